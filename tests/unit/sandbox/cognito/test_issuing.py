import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import jwt
import pytest

from agent.sandbox.cognito.issuing import (
    Origin,
    access_token,
    discovery,
    id_token,
    identity_token,
    new_id,
    new_keys,
    publish,
)
from tests.fakes.cognito import ISSUER, a_client, a_pool, a_user, pool_keys

NOW = datetime(2026, 11, 20, 12, 0, 0, 900_000, tzinfo=UTC)
ORIGIN = Origin(NOW - timedelta(hours=2), "origin")


def said(token: str) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return claims


def test_keys_are_two_with_names_of_their_own() -> None:
    keys = new_keys(Random(2))
    assert len({one["kid"] for one in keys.jwks["keys"]} | {keys.of_id_tokens.kid}) == 2  # type: ignore[attr-defined]  # a list
    assert len(keys.of_id_tokens.kid) == 44
    assert "PRIVATE" not in repr(keys)
    assert "RSAPrivateKey" not in repr(keys)


def test_what_the_world_reads_is_what_aws_needs(tmp_path: Path) -> None:
    publish(a_pool(), pool_keys(), tmp_path)

    shown = json.loads((tmp_path / ".well-known/openid-configuration").read_text())
    assert shown == discovery(a_pool())
    assert shown["issuer"] == ISSUER
    for member in ("response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"):
        assert shown[member]
    jwks = json.loads((tmp_path / ".well-known/jwks.json").read_text())
    assert [set(one) for one in jwks["keys"]] == [{"alg", "e", "kid", "kty", "n", "use"}] * 2


@pytest.mark.parametrize("make", [id_token, access_token])
def test_times_are_of_this_token_and_of_the_sign_in(make: Any) -> None:
    client = a_client(token_lifetime=timedelta(minutes=5))
    token = make(pool_keys(), a_pool(), client, a_user(), ORIGIN, now=NOW, rng=Random(1))
    claims, seconds = said(token), int(NOW.timestamp())
    assert (claims["iat"], claims["exp"], claims["auth_time"]) == (seconds, seconds + 300, seconds - 7200)
    assert claims["origin_jti"] == "origin"


def test_nothing_that_a_user_has_can_take_the_place_of_a_claim() -> None:
    user = a_user(attributes={"iss": "https://evil.example.com", "aud": "x", "sub": "x", "email_verified": "true"})
    claims = said(id_token(pool_keys(), a_pool(), a_client(), user, ORIGIN, now=NOW, rng=Random(1)))
    assert claims["iss"] == ISSUER
    assert claims["sub"] == user.subject
    assert claims["email_verified"] is True


def test_the_token_of_an_identity_pool_is_for_that_pool() -> None:
    key = pool_keys().of_id_tokens
    claims = said(identity_token(key, "pool", "identity", ["authenticated"], NOW, timedelta(minutes=10)))
    assert (claims["aud"], claims["sub"], claims["amr"]) == ("pool", "identity", ["authenticated"])


def test_ids_are_never_the_same() -> None:
    rng = Random(1)
    assert len({new_id(rng) for _ in range(100)}) == 100
