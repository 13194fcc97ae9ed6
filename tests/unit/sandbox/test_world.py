"""Is a world refused that AWS would not have let anybody make?"""

import json
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import Provider, Role, World, practice_world, world_as_json, world_from_json
from tests.unit.sandbox.scene import ISSUER, ROLE, allow, trust

TRUST = trust(allow())
WRONG: dict[str, tuple[Any, str]] = {
    "http": (lambda: Provider("http://oidc.example.com"), "IAM takes no identity provider of the URL"),
    "port": (lambda: Provider("https://oidc.example.com:8443"), "IAM takes no identity provider of the URL"),
    "query": (lambda: Provider("https://oidc.example.com/?a=b"), "IAM takes no identity provider of the URL"),
    "blank": (lambda: Provider("https://oidc.example.com/a b"), "IAM takes no identity provider of the URL"),
    "long": (lambda: Provider(f"https://oidc.example.com/{'a' * 255}"), "IAM takes no identity provider of the URL"),
    "101 clients": (lambda: Provider(ISSUER, tuple(map(str, range(101)))), "client ids that IAM does not take"),
    "empty client": (lambda: Provider(ISSUER, ("",)), "client ids that IAM does not take"),
    "thumbprint": (lambda: Provider(ISSUER, thumbprints=("ab",)), "thumbprints that IAM does not take"),
    "six thumbprints": (lambda: Provider(ISSUER, thumbprints=("a" * 40,) * 6), "thumbprints that IAM does not take"),
    "not a role": (lambda: Role("arn:aws:iam::123456789012:user/x", TRUST), "is not the ARN of a role"),
    "newline": (lambda: Role(f"{ROLE}\n", TRUST), "is not the ARN of a role"),
    "short": (lambda: Role(ROLE, TRUST, timedelta(minutes=59)), "the longest session of"),
    "long session": (lambda: Role(ROLE, TRUST, timedelta(hours=13)), "the longest session of"),
    "trust": (lambda: Role(ROLE, {"Statement": []}), "IAM would refuse a policy of"),
    "permissions": (lambda: Role(ROLE, TRUST, policies=({},)), "IAM would refuse a policy of"),
    "account": (lambda: World("12345"), "is not an AWS account id"),
    "bucket": (lambda: World(bucket="Bucket"), "S3 takes no bucket of the name"),
    "elsewhere": (
        lambda: World("210987654321", roles=(Role(ROLE, TRUST),)),
        "is not of account 210987654321 in partition aws",
    ),
    "partition": (
        lambda: World(partition="aws-cn", roles=(Role(ROLE, TRUST),)),
        "is not of account 123456789012 in partition aws-cn",
    ),
    "role twice": (lambda: World(roles=(Role(ROLE, TRUST),) * 2), "exists twice"),
    "provider twice": (lambda: World(providers=(Provider(ISSUER),) * 2), "exists twice"),
    "managed": (lambda: World(managed_policies={"arn:aws:iam::aws:policy/x": {}}), "IAM would refuse the policy"),
}


@pytest.mark.parametrize(("make", "what"), WRONG.values(), ids=WRONG)
def test_it_is_refused(make: Any, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert what in caught.value.what
    assert caught.value.hint


def test_a_world_survives_being_written_down() -> None:
    world = practice_world(ISSUER)
    policies = {"arn:aws:iam::aws:policy/x": world.roles[0].policies[0]}
    world = World(
        providers=(Provider(ISSUER, ("a", "b"), ("0" * 40,)),),
        roles=world.roles,
        objects={"text": b"text", "bytes": b"\xff\x00"},
        managed_policies=policies,
    )
    assert world_from_json(json.loads(json.dumps(world_as_json(world)))) == world


def test_what_is_left_out_has_its_default() -> None:
    assert world_from_json({}) == World()


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ([], "a world is a JSON object"),
        ({"account": "1"}, "a world has no 'account'"),
        ({"account_id": 123456789012}, "account_id of a world is of the type int"),
        ({"providers": [{}]}, "a provider needs url"),
        ({"providers": ["x"]}, "a provider is a JSON object"),
        ({"roles": [{"arn": ROLE}]}, "a role needs trust_policy"),
        (
            {"roles": [{"arn": ROLE, "trust_policy": {}, "max_session": True}]},
            "max_session of a role is of the type bool",
        ),
        ({"objects": {"k": 7}}, "the object k is neither text nor base64"),
        ({"objects": {"k": {"base64": "="}}}, "the object k is not base64"),
    ],
)
def test_what_is_written_wrong_is_said_to_be(written: object, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        world_from_json(written)
    assert caught.value.what == what
    assert caught.value.hint
