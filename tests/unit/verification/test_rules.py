from datetime import timedelta
from typing import Any

import pytest

from agent.errors import ConfigurationError, TokenRejected
from agent.verification import Rule
from agent.verification.rules import check, check_rule, scopes_of
from tests.fakes.foreign import AUDIENCE, ISSUER, NOW, claims

RULE = Rule(ISSUER, (AUDIENCE,))


def reason(rule: Rule, **said: object) -> str:
    """Why these claims are rejected; "" if they are not."""
    try:
        check(claims(**said), rule, NOW)
    except TokenRejected as error:
        return error.reason
    return ""


def test_a_rule_without_an_audience_would_take_tokens_for_anybody_and_is_no_rule() -> None:
    with pytest.raises(ConfigurationError, match="made for anybody"):
        check_rule(Rule(ISSUER))


@pytest.mark.parametrize("algorithms", [("HS256",), ("none",), (), ("RS256", "rs256"), ("ES256K",)])
def test_a_rule_cannot_name_what_shares_a_secret_or_is_unknown(algorithms: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="no token is verified by"):
        check_rule(Rule(ISSUER, (AUDIENCE,), algorithms=algorithms))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"scope": "read write"}, ("read", "write")),
        ({"scope": " read  write read "}, ("read", "write")),
        ({"scope": ["read", "write", 7, ""]}, ("read", "write")),
        ({"scp": "read"}, ("read",)),
        ({"scp": ["read", "write"]}, ("read", "write")),
        ({"scope": "read", "scp": ["write"]}, ("read", "write")),
        ({"scope": {"read": True}}, ()),
        ({"scope": None}, ()),
        ({}, ()),
    ],
)
def test_scopes_are_words_of_a_text_or_an_array(said: dict[str, Any], found: tuple[str, ...]) -> None:
    assert scopes_of(said) == found


def test_all_scopes_of_a_rule_must_be_there() -> None:
    rule = Rule(ISSUER, (AUDIENCE,), scopes=("read", "write"))
    assert reason(rule, scope="write read admin") == ""
    assert reason(rule, scope="read") == "scope"
    assert reason(rule, scope="readwrite") == "scope"
    assert reason(rule, scope=None) == "scope"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"team": "web"}, ""),
        ({"team": ["db", "web"]}, ""),
        ({"team": "Web"}, "claims"),
        ({"team": "web "}, "claims"),
        ({"team": ["webs"]}, "claims"),
        ({"team": [["web"]]}, "claims"),
        ({"team": {"web": True}}, "claims"),
        ({"team": None}, "claims"),
        ({"team": 7}, ""),
        ({"team": 7.0}, "claims"),
        ({"team": True}, "claims"),
    ],
)
def test_a_claim_must_be_one_of_the_values_or_have_one_of_them(said: dict[str, Any], why: str) -> None:
    rule = Rule(ISSUER, (AUDIENCE,), claims={"team": ("web", "7")})
    assert reason(rule, **said) == why


def test_all_claims_of_a_rule_must_fit() -> None:
    rule = Rule(ISSUER, (AUDIENCE,), claims={"token_use": ("access",), "email_verified": ("true",)})
    assert reason(rule, token_use="access", email_verified=True) == ""
    assert reason(rule, token_use="access", email_verified=False) == "claims"
    assert reason(rule, token_use="id", email_verified=True) == "claims"


def test_a_claim_inside_others_is_found_by_its_way_and_one_with_dots_in_its_name_by_that() -> None:
    roles = Rule(ISSUER, (AUDIENCE,), claims={"realm_access.roles": ("admin",)})
    assert reason(roles, realm_access={"roles": ["user", "admin"]}) == ""
    assert reason(roles, realm_access={"roles": ["user"]}) == "claims"
    assert reason(roles, realm_access=["roles"]) == "claims"
    assert reason(roles, **{"realm_access.roles": "admin"}) == ""

    named = Rule(ISSUER, (AUDIENCE,), claims={"https://example.com/team": ("web",)})
    assert reason(named, **{"https://example.com/team": "web"}) == ""


def test_a_token_of_a_known_client_needs_no_audience_where_the_rule_says_so() -> None:
    rule = Rule(ISSUER, client_ids=("app",))
    assert reason(rule, aud=None, client_id="app") == ""
    assert reason(rule, aud=None, client_id="other") == "audience"
    assert reason(rule, aud=None, client_id=["app"]) == "malformed"
    assert reason(rule, aud=AUDIENCE, client_id="app") == "audience", "it says that it is for somebody else"
    both = Rule(ISSUER, (AUDIENCE,), client_ids=("app",))
    assert reason(both, client_id="other") == ""
    assert reason(both, aud="other", client_id="app") == "audience"


def test_how_long_a_token_may_be_good_for_is_counted_from_its_beginning_and_from_now() -> None:
    rule = Rule(ISSUER, (AUDIENCE,), longest=timedelta(minutes=10), leeway=timedelta(0))
    assert reason(rule, iat=NOW, exp=NOW + 600) == ""
    assert reason(rule, iat=NOW, exp=NOW + 601) == "lifetime"
    assert reason(rule, iat=None) == "lifetime"
    assert reason(rule, iat=0, exp=NOW + 60) == "lifetime"


def test_a_leeway_of_nothing_is_none() -> None:
    strict = Rule(ISSUER, (AUDIENCE,), leeway=timedelta(0))
    assert reason(strict, exp=NOW + 1) == ""
    assert reason(strict, exp=NOW) == "expired"
    assert reason(strict, nbf=NOW + 1) == "not_yet"
