"""Are session policies refused that are none, or too large?"""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from agent.sandbox import practice_world
from tests.unit.sandbox.scene import ISSUER, scene
from tests.unit.sandbox.wrong import (
    Wrong,
    is_refused,
)

WRONG: dict[str, Wrong] = {
    "session policy is no JSON": Wrong(
        (400, "MalformedPolicyDocument", "Syntax errors in policy."), {"Policy": "{'Version'"}
    ),
    "session policy without actions": Wrong(
        (400, "MalformedPolicyDocument", "Policy statement must contain actions."),
        {"Policy": '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}'},
    ),
    "session policy with a principal": Wrong(
        (400, "MalformedPolicyDocument", "Has prohibited field Principal"),
        {"Policy": '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}]}'},
    ),
    "session policy with an unknown operator": Wrong(
        (400, "MalformedPolicyDocument", "Invalid Condition type : StringAlmost"),
        {
            "Policy": '{"Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*",'
            '"Condition":{"StringAlmost":{"s3:prefix":"a"}}}]}'
        },
    ),
    "missing managed policy": Wrong(
        (400, "ValidationError", "Policy arn:aws:iam::aws:policy/None does not exist or is not attachable."),
        {"PolicyArns.member.1.arn": "arn:aws:iam::aws:policy/None"},
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)


#: Names of actions as they are, 42 of them in a policy of some 1660 characters.
ACTIONS = [
    "autoscaling:ExecutePolicy",
    "autoscaling:PutNotificationConfiguration",
    "ec2:AssociateSecurityGroupVpc",
    "ec2:CreateCapacityReservationBySplitting",
    "ec2:CreateCapacityReservationCancellationQuote",
    "ec2:CreateIpamRoutingPolicyRegistration",
    "ec2:CreateLocalGatewayRouteTableVirtualInterfaceGroupAssociation",
    "ec2:CreateTrafficMirrorSession",
    "ec2:CreateVerifiedAccessGroup",
    "ec2:DeleteEgressOnlyInternetGateway",
    "ec2:DeleteIpamInternetRegistryAssociation",
    "ec2:DeleteTrafficMirrorFilter",
    "ec2:DescribeClientVpnRoutes",
    "ec2:DescribeNetworkInterfaceAttribute",
    "ec2:DescribeSecurityGroupReferences",
    "ec2:DescribeSpotFleetRequestHistory",
    "ec2:DescribeVpcEndpointServicePermissions",
    "ec2:DisableFastSnapshotRestores",
    "ec2:EnableAwsNetworkPerformanceMetricSubscription",
    "ec2:GetEbsDefaultKmsKeyId",
    "ec2:GetImageBlockPublicAccessState",
    "ec2:GetIpamPoolAllocations",
    "ec2:ModifyInstanceConnectEndpoint",
    "ec2:ModifyInstanceCreditSpecification",
    "ec2:RejectVpcEndpointConnections",
    "ec2:RestoreManagedPrefixListVersion",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:UnassignPrivateNatGatewayAddress",
    "elasticache:CreateReplicationGroup",
    "elasticache:DescribeReplicationGroups",
    "iam:DeleteOpenIDConnectProvider",
    "iam:DisableOutboundWebIdentityFederation",
    "iam:ListAttachedGroupPolicies",
    "iam:ListInstanceProfilesForRole",
    "iam:SetSecurityTokenServicePreferences",
    "rds:DescribeDBCapacityReservations",
    "rds:DescribeDBEngineVersions",
    "rds:ModifyDBClusterEndpoint",
    "route53:AssociateVPCWithHostedZone",
    "route53:DisassociateVPCFromHostedZone",
    "route53:ListReusableDelegationSets",
    "route53:UpdateHealthCheck",
]


def many_actions(count: int) -> str:
    statement = {"Effect": "Allow", "Action": ACTIONS[:count], "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


@pytest.mark.parametrize(("count", "seen"), [(42, 157), (31, 118)])
async def test_a_policy_of_many_actions_is_about_as_large_as_users_have_seen(
    count: int, seen: int, tmp_path: Path
) -> None:
    async with scene(tmp_path) as here:
        status, code, message = (await here.assume(Policy=many_actions(count))).refusal
        assert (status, code) == (400, "PackedPolicyTooLarge")
        found = re.fullmatch(r"Packed policy consumes (\d+)% of allotted space", message)
        assert found
        assert abs(int(found[1]) - seen) <= 10


async def test_a_managed_policy_of_another_account_is_not_there(tmp_path: Path) -> None:
    arn = "arn:aws:iam::210987654321:policy/look"
    document = json.loads(many_actions(2))
    world = replace(
        practice_world(ISSUER), managed_policies={arn: document, arn.replace("210987654321", "aws"): document}
    )
    async with scene(tmp_path, world=world) as here:
        answer = await here.post(here.parameters(**{"PolicyArns.member.1.arn": arn}))
        assert answer.refusal == (400, "ValidationError", f"Policy {arn} does not exist or is not attachable.")
        assert (
            await here.post(here.parameters(**{"PolicyArns.member.1.arn": arn.replace("210987654321", "aws")}))
        ).status == 200


async def test_inline_and_managed_policies_share_2048_characters(tmp_path: Path) -> None:
    arn = "arn:aws:iam::123456789012:policy/look"
    world = replace(practice_world(ISSUER), managed_policies={arn: json.loads(many_actions(2))})
    async with scene(tmp_path, world=world) as here:
        for size, status in ((2048 - len(arn), 200), (2049 - len(arn), 400)):
            answer = await here.post(
                here.parameters(Policy=many_actions(2).ljust(size), **{"PolicyArns.member.1.arn": arn})
            )
            assert answer.status == status


async def test_a_policy_of_few_actions_fits(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert 20 < int((await here.assume(Policy=many_actions(5))).text("PackedPolicySize")) < 60
