"""What a token is exchanged for, when nothing is wrong with it."""

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlencode

import jwt
import pytest

from agent.sandbox import PracticeIssuer, Provider, Role, World, practice_world
from tests.fakes.clock import START, FakeClock
from tests.unit.sandbox.scene import ISSUER, PROVIDER, ROLE, allow, ec_key, rsa_key, scene, trust, trusting

NOW = int(START.timestamp())
TAGS = "https://aws.amazon.com/tags"


async def test_the_answer_has_every_member(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume()
        assert answer.status == 200
        assert answer.root.tag.endswith("}AssumeRoleWithWebIdentityResponse")
        assert answer.text("Arn") == "arn:aws:sts::123456789012:assumed-role/demo/tester"
        assert answer.text("AssumedRoleId") == f"{here.sandbox.world.roles[0].unique_id}:tester"
        assert answer.text("SubjectFromWebIdentityToken") == "host:practice"
        assert answer.text("Audience") == "sts.amazonaws.com"
        assert answer.text("Provider") == PROVIDER
        assert answer.text("Expiration") == "2026-11-20T13:00:00Z"
        assert answer.text("AccessKeyId").startswith("ASIA")
        assert len(answer.text("AccessKeyId")) == 20
        assert len(answer.text("SecretAccessKey")) == 40
        assert int(answer.text("SessionTokenSize")) == len(answer.text("SessionToken"))
        assert b"PackedPolicySize" not in answer.body
        assert b"SourceIdentity" not in answer.body
        assert answer.headers["x-amzn-requestid"] == answer.text("RequestId")


async def test_credentials_differ_from_call_to_call_and_repeat_with_the_seed(tmp_path: Path) -> None:
    seen = []
    for _ in range(2):
        async with scene(tmp_path, rng=Random(1)) as here:
            seen.append([(await here.assume()).text("SecretAccessKey") for _ in range(2)])
    assert seen[0] == seen[1]
    assert seen[0][0] != seen[0][1]


async def test_json_is_given_to_those_who_accept_it(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume(headers={"Accept": "application/json"})
        assert answer.headers["Content-Type"] == "application/json"
        result = json.loads(answer.body)["AssumeRoleWithWebIdentityResponse"]["AssumeRoleWithWebIdentityResult"]
        assert result["Credentials"]["Expiration"] == NOW + 3600
        assert result["AssumedRoleUser"]["Arn"].endswith(":assumed-role/demo/tester")
        refused = await here.assume("garbage", headers={"Accept": "application/json"})
        assert refused.status == 400
        assert json.loads(refused.body)["Error"]["Code"] == "InvalidIdentityToken"
        assert json.loads(refused.body)["Error"]["Type"] == "Sender"
        assert json.loads(refused.body)["RequestId"] == refused.headers["x-amzn-requestid"]


async def test_a_get_does_as_well_as_a_post(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.get(f"{here.sandbox.endpoint_url}/?{urlencode(here.parameters())}")
        assert answer.status == 200
        assert answer.text("Audience") == "sts.amazonaws.com"


@pytest.mark.parametrize("bits", [256, 384, 521])
async def test_tokens_of_elliptic_curve_keys_are_taken(bits: int, tmp_path: Path) -> None:
    async with scene(tmp_path, issuer=PracticeIssuer(ISSUER, ec_key(bits))) as here:
        assert (await here.assume()).status == 200


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
async def test_a_key_that_names_no_algorithm_may_use_any_of_its_type(algorithm: str, tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        jwk = {name: value for name, value in here.issuer.jwk.items() if name not in ("alg", "use")}
        (here.site / "keys.json").write_text(json.dumps({"keys": [jwk]}))
        claims = here.issuer.claims(START)
        token = jwt.encode(claims, rsa_key(), algorithm, headers={"kid": here.issuer.kid})
        assert (await here.assume(token)).status == 200


async def test_a_token_without_kid_means_the_only_key(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume(jwt.encode(here.issuer.claims(START), rsa_key(), "RS256"))).status == 200


async def test_a_hundred_keys_of_each_type_are_not_too_many(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        others = [{**here.issuer.jwk, "kid": f"r{number}"} for number in range(99)]
        curves = [{**PracticeIssuer(ISSUER, ec_key(256)).jwk, "kid": f"e{number}"} for number in range(100)]
        (here.site / "keys.json").write_text(json.dumps({"keys": [*others, *curves, here.issuer.jwk]}))
        assert (await here.assume()).status == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": NOW - 299},
        {"iat": NOW + 300, "nbf": NOW + 300},
        {"nbf": None},
        {"aud": ["sts.amazonaws.com"]},
        {"jti": "the same every time"},
        {"exp": NOW + 100 * 86400},
        {"sub": "s" * 255},
        {"https://aws.amazon.com/roles": ROLE},
        {"https://aws.amazon.com/roles": ["arn:aws:iam::123456789012:role/other", ROLE]},
        {"x5c": ["whatever"]},
    ],
    ids=str,
)
async def test_what_aws_lets_pass_passes(claims: dict[str, object], tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume(here.token(**claims))).status == 200


async def test_the_authorized_party_takes_the_place_of_the_audience(tmp_path: Path) -> None:
    world = trusting(
        allow(
            {
                "StringEquals": {"oidc.example.com:aud": "client"},
                "ForAllValues:StringEquals": {"oidc.example.com:oaud": ["one", "two"]},
                "Null": {"oidc.example.com:oaud": "false"},
            }
        )
    )
    world = replace(world, providers=(Provider(ISSUER, ("client",)),))
    async with scene(tmp_path, world=world) as here:
        answer = await here.assume(here.token(azp="client", aud=["one", "two"]))
        assert answer.status == 200
        assert answer.text("Audience") == "client"
        assert (await here.assume(here.token(azp="client", aud="three"))).status == 403


async def test_an_issuer_with_path_and_trailing_slash_keeps_both(tmp_path: Path) -> None:
    url = "https://oidc.example.com/tenant/"
    async with scene(tmp_path, issuer=PracticeIssuer(url, rsa_key())) as here:
        answer = await here.assume()
        assert answer.status == 200
        assert answer.text("Provider") == "arn:aws:iam::123456789012:oidc-provider/oidc.example.com/tenant/"


async def test_session_tags_are_conditions_and_cost_room(tmp_path: Path) -> None:
    condition = {
        "StringEquals": {"aws:RequestTag/Team": "web"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Team", "Cost"], "sts:TransitiveTagKeys": ["Team"]},
    }
    world = trusting(allow(condition, Action=["sts:AssumeRoleWithWebIdentity", "sts:TagSession"]))
    nested = {TAGS: {"principal_tags": {"Team": ["web"], "Cost": ["a b"]}, "transitive_tag_keys": ["Team"]}}
    flat = {
        f"{TAGS}/principal_tags/Team": "web",
        f"{TAGS}/principal_tags/Cost": "a b",
        f"{TAGS}/transitive_tag_keys": ["Team"],
    }
    async with scene(tmp_path, world=world) as here:
        for claims in (nested, flat):
            answer = await here.assume(here.token(**claims))
            assert answer.status == 200
            assert 1 <= int(answer.text("PackedPolicySize")) <= 100
        other = {TAGS: {"principal_tags": {"Team": ["api"]}}}
        assert (await here.assume(here.token(**other))).status == 403


async def test_the_source_identity_is_a_condition_and_in_the_answer(tmp_path: Path) -> None:
    action = ["sts:AssumeRoleWithWebIdentity", "sts:SetSourceIdentity"]
    world = trusting(allow({"StringLike": {"sts:SourceIdentity": "adm*"}}, Action=action))
    async with scene(tmp_path, world=world) as here:
        answer = await here.assume(here.token(**{"https://aws.amazon.com/source_identity": "admin"}))
        assert answer.text("SourceIdentity") == "admin"
        assert (await here.assume()).status == 403


async def test_a_pinned_token_meets_the_condition_that_asks_for_pins(tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow({"Bool": {"sts:RoleAuthorizedByIdp": "true"}}))) as here:
        assert (await here.assume(here.token(**{"https://aws.amazon.com/roles": [ROLE]}))).status == 200


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"sts:RoleSessionName": "tester"}},
        {"StringEquals": {"aws:FederatedProvider": PROVIDER}},
        {"ForAnyValue:StringLike": {"oidc.example.com:amr": "mfa*"}},
        {"StringEquals": {"oidc.example.com:email": "one@example.com"}},
        {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}},
        {"StringEquals": {"OIDC.example.com:SUB": "host:practice"}},
    ],
    ids=str,
)
async def test_a_trust_policy_can_ask_about(condition: dict[str, object], tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow(condition))) as here:
        assert (await here.assume(here.token(amr=["pwd", "mfa-1"], email="one@example.com"))).status == 200


async def test_a_session_may_be_as_long_as_the_role_allows(tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow(), max_session=timedelta(hours=12))) as here:
        assert (await here.assume(DurationSeconds="43200")).text("Expiration") == "2026-11-21T00:00:00Z"
        assert (await here.assume(DurationSeconds="900")).text("Expiration") == "2026-11-20T12:15:00Z"
        assert (await here.assume()).text("Expiration") == "2026-11-20T13:00:00Z"


async def test_a_session_token_is_as_long_as_was_asked(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        answer = await here.assume(MinimumSessionTokenSize="4096")
        assert len(answer.text("SessionToken")) == 4096
        assert answer.text("SessionTokenUtilization") == "100"


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


async def test_a_policy_of_few_actions_fits(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert 20 < int((await here.assume(Policy=many_actions(5))).text("PackedPolicySize")) < 60


async def test_provider_and_roles_can_change_while_it_runs(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume()).status == 200
        here.sandbox.world = replace(here.sandbox.world, roles=())
        assert (await here.assume()).status == 403
        here.sandbox.world = replace(here.sandbox.world, providers=())
        assert (await here.assume()).status == 400
        here.sandbox.world = practice_world(ISSUER)
        assert (await here.assume()).status == 200


async def test_a_new_key_is_seen_at_once(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume()).status == 200
        successor = PracticeIssuer(ISSUER, rsa_key(1), "next")
        token = successor.sign(successor.claims(START))
        assert (await here.assume(token)).status == 400
        successor.publish(here.site)
        assert (await here.assume(token)).status == 200
        assert (await here.assume()).status == 400


async def test_keys_may_be_kept_and_an_unknown_one_is_looked_up(tmp_path: Path) -> None:
    clock = FakeClock()
    async with scene(tmp_path, clock=clock, keys_kept=timedelta(minutes=10)) as here:
        assert (await here.assume()).status == 200
        successor = PracticeIssuer(ISSUER, rsa_key(1), "next")
        successor.publish(here.site)
        assert (await here.assume()).status == 200  # the old key is gone from the site, and still known
        assert (await here.assume(successor.sign(successor.claims(START)))).status == 200
        assert (await here.assume()).status == 400  # what was fetched for the new key no longer shows the old one
        here.issuer.publish(here.site)
        assert (await here.assume()).status == 200
        (here.site / "keys.json").unlink()
        await clock.advance(timedelta(minutes=11))
        assert (await here.assume()).refusal[1] == "InvalidIdentityToken"


async def test_a_role_in_another_partition_is_named_accordingly(tmp_path: Path) -> None:
    arn = "arn:aws-cn:iam::123456789012:role/team/demo"
    world = World(partition="aws-cn", providers=(Provider(ISSUER),))
    policy = trust(allow(Principal={"Federated": PROVIDER.replace("arn:aws:", "arn:aws-cn:")}))
    async with scene(tmp_path, world=replace(world, roles=(Role(arn, policy),))) as here:
        answer = await here.assume(RoleArn=arn)
        assert answer.text("Arn") == "arn:aws-cn:sts::123456789012:assumed-role/demo/tester"


async def test_the_calls_are_written_down(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        await here.assume()
        (here.site / "keys.json").unlink()
        await here.assume()
        await here.post({"Action": "GetCallerIdentity", "Version": "2011-06-15"})
        first, second, third = here.sandbox.requests
        assert (first.action, first.code, first.status) == ("AssumeRoleWithWebIdentity", "Success", 200)
        assert (first.role_arn, first.session_name, first.at) == (ROLE, "tester", START)
        assert (second.code, second.status) == ("InvalidIdentityToken", 400)
        assert second.why.endswith("keys.json answered 404")
        assert (third.action, third.code, third.status) == ("GetCallerIdentity", "MissingAuthenticationToken", 403)


async def test_nothing_secret_is_written_down(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        token = here.token()
        answer = await here.assume(token)
        secrets = (token, answer.text("SecretAccessKey"), answer.text("SessionToken"))
        written = repr(here.sandbox.requests)
        async with here.http.get(f"{here.sandbox.control_url}/requests") as shown:
            written += await shown.text()
        assert not [secret for secret in secrets if secret in written]
