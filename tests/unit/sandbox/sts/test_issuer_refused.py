"""Are issuers refused that AWS would not find, or not believe?"""

import json
from pathlib import Path

import pytest

from agent.sandbox import World, practice_world
from tests.unit.sandbox.scene import ISSUER, rsa_key
from tests.unit.sandbox.wrong import (
    NO_KEY,
    NOT_A_JWT,
    OTHER_KEY,
    OUR_KEY,
    Wrong,
    discovery,
    invalid,
    is_refused,
    jwks,
    no_provider,
    signed,
)

HUGE = json.dumps({"keys": [OUR_KEY]}).encode() + b" " * (1024 * 1024)
WRONG: dict[str, Wrong] = {
    # the issuer
    "no issuer": Wrong(invalid("Missing a required claim: iss"), claims={"iss": None}),
    "issuer is a number": Wrong(invalid(NOT_A_JWT), claims={"iss": 7}),
    "another issuer": Wrong(no_provider("https://other.example.com"), claims={"iss": "https://other.example.com"}),
    "trailing slash": Wrong(no_provider(f"{ISSUER}/"), claims={"iss": f"{ISSUER}/"}),
    "upper case": Wrong(no_provider("https://OIDC.example.com"), claims={"iss": "https://OIDC.example.com"}),
    "no scheme": Wrong(no_provider("oidc.example.com"), claims={"iss": "oidc.example.com"}),
    "account without a provider": Wrong(no_provider(ISSUER), world=World(roles=practice_world(ISSUER).roles)),
    "role of another account": Wrong(no_provider(ISSUER), {"RoleArn": "arn:aws:iam::210987654321:role/demo"}),
    "markup in the issuer": Wrong(no_provider("<b>&amp;"), claims={"iss": "<b>&amp;"}),
    # discovery and keys
    "no discovery document": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": None}),
    "discovery is no JSON": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": b"<html>"}),
    "discovery is a list": Wrong(invalid(NO_KEY), publish={".well-known/openid-configuration": b"[]"}),
    "discovery of another issuer": Wrong(invalid(NO_KEY), publish=discovery(issuer=f"{ISSUER}/")),
    "discovery without issuer": Wrong(invalid(NO_KEY), publish=discovery(issuer=None)),
    "discovery without jwks_uri": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri=None)),
    "discovery without response types": Wrong(invalid(NO_KEY), publish=discovery(response_types_supported=None)),
    "discovery without subject types": Wrong(invalid(NO_KEY), publish=discovery(subject_types_supported=None)),
    "discovery without algorithms": Wrong(
        invalid(NO_KEY), publish=discovery(id_token_signing_alg_values_supported=None)
    ),
    "jwks over http": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri="http://oidc.example.com/keys.json")),
    "jwks at an unknown host": Wrong(invalid(NO_KEY), publish=discovery(jwks_uri="https://elsewhere.example.com/k")),
    "no jwks": Wrong(invalid(NO_KEY), publish={"keys.json": None}),
    "jwks is no JSON": Wrong(invalid(NO_KEY), publish={"keys.json": b"keys"}),
    "jwks without keys": Wrong(invalid(NO_KEY), publish=jwks()),
    "keys that are no keys": Wrong(invalid(NO_KEY), publish=jwks("key")),
    "huge jwks": Wrong(invalid(NO_KEY), publish={"keys.json": HUGE}),
    "101 RSA keys": Wrong(
        invalid(NO_KEY), publish=jwks(OUR_KEY, *({**OTHER_KEY, "kid": f"k{number}"} for number in range(100)))
    ),
    "unknown kid": Wrong(invalid(NO_KEY), token=signed("RS256", rsa_key(), kid="unknown")),
    "no kid and two keys": Wrong(
        invalid(NO_KEY), token=signed("RS256", rsa_key(), kid=None), publish=jwks(OUR_KEY, {**OTHER_KEY, "kid": "2"})
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_what_is_wrong_is_refused_in_the_words_of_aws(wrong: Wrong, tmp_path: Path) -> None:
    await is_refused(wrong, tmp_path)
