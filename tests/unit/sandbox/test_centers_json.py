"""Can an Identity Center be written down and read again?"""

import json
from datetime import timedelta

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import practice_world, world_as_json, world_from_json
from agent.sandbox.centers import IdentityCenter
from agent.sandbox.centers_json import identity_center_as_json, identity_center_from_json
from tests.unit.sandbox.identity_center.visit import center


def test_what_is_written_is_read_again() -> None:
    there = center(rotates=False, page=7, code=timedelta(seconds=30), scopes=("sso:account:access", "other:scope"))
    assert identity_center_from_json(json.loads(json.dumps(identity_center_as_json(there)))) == there
    world = practice_world()
    assert world_from_json(json.loads(json.dumps(world_as_json(world)))) == world


def test_what_is_left_out_has_its_default() -> None:
    assert identity_center_from_json({}) == IdentityCenter()
    assert "identity_center" not in world_as_json(world_from_json({}))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "is a JSON object"),
        ({"groups": []}, "has no 'groups'"),
        ({"rotates": 1}, "of the type int"),
        ({"page": True}, "of the type bool"),
        ({"code": 10**30}, "cannot be"),
        ({"session": -1}, "cannot be -1 seconds"),
        ({"accounts": [{"id": "123456789012"}]}, "needs name"),
        ({"users": [{"name": "ada", "assignments": {"123456789012": "Developer"}}]}, "no list of names"),
        ({"permission_sets": [{"name": "x", "session": 1}]}, "last 0:00:01"),
        ({"scopes": [1]}, "no list of names"),
    ],
)
def test_what_cannot_be_read_is_refused(document: object, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        identity_center_from_json(document)
