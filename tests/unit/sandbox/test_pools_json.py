import json
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import ConfigurationError
from agent.sandbox import world_as_json, world_from_json
from agent.sandbox.pools_json import identity_pool_from_json, user_pool_as_json, user_pool_from_json
from tests.fakes.cognito import POOL_ID, TOTP_SECRET, a_client, a_pool, a_user, a_world


def test_what_is_written_is_read_again() -> None:
    client = a_client(secret="s" * 30, flows=(), rotation=True, grace=timedelta(seconds=30))
    user = a_user(mfa="SOFTWARE_TOKEN_MFA", totp_secret=TOTP_SECRET, groups=("a",), attributes={"email": "e"})
    world = a_world(a_pool(client=client, user=user, aliases=("email",), mfa="ON"))

    assert world_from_json(json.loads(json.dumps(world_as_json(world)))) == world


def test_what_is_left_out_has_its_default() -> None:
    written = {"pool_id": POOL_ID, "clients": [{"client_id": "c"}], "users": [{"name": "u", "password": "p"}]}
    assert user_pool_as_json(user_pool_from_json(written))["mfa"] == "OPTIONAL"


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "is a JSON object"),
        ({}, "lacks a member"),
        ({"pool_id": POOL_ID, "colour": "red"}, "has no 'colour'"),
        ({"pool_id": 7}, "of the type int"),
        ({"pool_id": POOL_ID, "users": {}}, "of the type dict"),
        ({"pool_id": POOL_ID, "shortest_password": True}, "of the type bool"),
        ({"pool_id": POOL_ID, "users": [{"name": "u"}]}, "lacks a member"),
        ({"pool_id": POOL_ID, "clients": [{"client_id": "c", "grace": 10**12}]}, "grace"),
        ({"pool_id": POOL_ID, "clients": [{"client_id": "c", "rotation": 1}]}, "of the type int"),
    ],
)
def test_what_cannot_be_read_is_said(document: Any, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        user_pool_from_json(document)


@pytest.mark.parametrize("client", ["x", [], ["a"], ["a", "b", "c"]])
def test_a_client_of_an_identity_pool_is_a_pair(client: Any) -> None:
    pool = "eu-central-1:01234567-89ab-cdef-0123-456789abcdef"
    with pytest.raises(ConfigurationError, match="list of two"):
        identity_pool_from_json({"pool_id": pool, "clients": [client]})
