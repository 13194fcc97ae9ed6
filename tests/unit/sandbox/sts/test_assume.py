"""What a token is exchanged for, when nothing is wrong with it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from agent.sandbox import Provider, Role, World
from tests.unit.sandbox.scene import ISSUER, PROVIDER, allow, scene, trust, trusting


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


async def test_a_session_may_be_as_long_as_the_role_allows(tmp_path: Path) -> None:
    async with scene(tmp_path, world=trusting(allow(), max_session=timedelta(hours=12))) as here:
        assert (await here.assume(DurationSeconds="43200")).text("Expiration") == "2026-11-21T00:00:00Z"
        assert (await here.assume(DurationSeconds="900")).text("Expiration") == "2026-11-20T12:15:00Z"
        assert (await here.assume()).text("Expiration") == "2026-11-20T13:00:00Z"


async def test_a_role_in_another_partition_is_named_accordingly(tmp_path: Path) -> None:
    arn = "arn:aws-cn:iam::123456789012:role/team/demo"
    world = World(partition="aws-cn", providers=(Provider(ISSUER),))
    policy = trust(allow(Principal={"Federated": PROVIDER.replace("arn:aws:", "arn:aws-cn:")}))
    async with scene(tmp_path, world=replace(world, roles=(Role(arn, policy),))) as here:
        answer = await here.assume(RoleArn=arn)
        assert answer.text("Arn") == "arn:aws-cn:sts::123456789012:assumed-role/demo/tester"
