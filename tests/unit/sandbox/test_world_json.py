"""Is a world read as it was written, and refused where it is written wrong?"""

import json

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import Provider, World, practice_world, world_as_json, world_from_json
from tests.unit.sandbox.scene import ISSUER, ROLE


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
