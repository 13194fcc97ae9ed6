import hmac
import json
from typing import Any

import pytest

from agent.clock import SystemClock
from agent.doctor.token import examined, unavailable, verified
from agent.errors import AgentError, KeyUnavailable
from agent.jose import compact, signing_input
from agent.secret import Secret
from tests.fakes.memory_key import MemoryKey

KEY = MemoryKey()
JWK = {**KEY.public.jwk, "kid": KEY.public.kid, "alg": "ES256", "use": "sig"}
JWKS = {"keys": [JWK]}
NOW = int(SystemClock().now().timestamp())
GOOD: dict[str, Any] = {
    "iss": "https://oidc.example.com",
    "sub": "host:web-1",
    "aud": "sts.amazonaws.com",
    "iat": NOW - 10,
    "exp": NOW + 600,
}


def a_token(header: dict[str, object] | None = None, **changes: object) -> Secret:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    signed = signing_input({"alg": "ES256", "kid": KEY.public.kid} if header is None else header, claims)
    return Secret(compact(signed, KEY.sign_now(signed)))


def judged(token: Secret, keys: object = JWKS, issuer: str | None = "https://oidc.example.com") -> dict[str, Any]:
    return verified(token, keys, audience="sts.amazonaws.com", issuer=issuer)


def test_a_good_token_gives_its_claims() -> None:
    assert judged(a_token()) == GOOD


def test_a_key_without_a_name_will_do_where_there_is_but_one() -> None:
    assert judged(a_token({"alg": "ES256"}), {"keys": [dict(KEY.public.jwk)]}) == GOOD


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (a_token(exp=NOW - 60), "Signature has expired"),
        (a_token(nbf=NOW + 3600), "The token is not yet valid"),
        (a_token(aud="vault"), "Audience doesn't match"),
        (a_token(iss="https://oidc.example.com/"), "Invalid issuer"),
        (a_token(sub=None), 'missing the "sub" claim'),
        (a_token(iat=None), 'missing the "iat" claim'),
        (a_token(exp=None), 'missing the "exp" claim'),
        (a_token({"alg": "none", "kid": KEY.public.kid}), "the token is signed with 'none'"),
        (a_token({"alg": "HS256", "kid": KEY.public.kid}), "the token is signed with 'HS256'"),
        (a_token({"alg": "PS256", "kid": KEY.public.kid}), "the token is signed with 'PS256'"),
        (a_token({"alg": "RS256", "kid": KEY.public.kid}), "the token is not good"),
        (a_token({"alg": "ES256", "kid": "other"}), "of 1 keys in the JWKS, 0 are the one that the token names"),
    ],
)
def test_a_token_that_a_relying_party_would_refuse_is_refused(token: Secret, sentence: str) -> None:
    with pytest.raises(AgentError) as caught:
        judged(token)

    assert sentence in caught.value.what
    assert caught.value.hint


def test_a_token_signed_with_the_public_key_as_a_password_is_refused() -> None:
    """The classical confusion: HS256 with what everybody knows."""
    signed = signing_input({"alg": "HS256", "kid": KEY.public.kid}, GOOD)
    forged = compact(signed, hmac.digest(json.dumps(JWK).encode(), signed, "sha256"))

    with pytest.raises(AgentError, match="the token is signed with 'HS256'"):
        judged(Secret(forged))


def test_another_key_of_the_same_name_is_refused() -> None:
    other = {**MemoryKey().public.jwk, "kid": KEY.public.kid}

    with pytest.raises(AgentError, match="Signature verification failed"):
        judged(a_token(), {"keys": [other]})


@pytest.mark.parametrize(
    "keys",
    [None, [], {}, {"keys": None}, {"keys": []}, {"keys": [1]}, {"keys": [JWK, JWK]}, {"keys": [{**JWK, "x": "AA"}]}],
)
def test_keys_that_are_none_are_refused(keys: object) -> None:
    with pytest.raises(AgentError):
        judged(a_token(), keys)


def test_a_good_token_is_a_link_that_holds() -> None:
    tried = examined(a_token(), JWKS, audience="sts.amazonaws.com", issuer="https://oidc.example.com")
    assert tried.good == "a token for host:web-1 verifies against the keys that the world reads"
    assert tried.findings == ()


def test_a_bad_one_is_an_error_that_shows_nothing_of_the_token() -> None:
    token = a_token(exp=NOW - 60)
    tried = examined(token, JWKS, audience="sts.amazonaws.com", issuer="https://oidc.example.com")
    assert [(one.link, one.severity) for one in tried.findings] == [("token", "error")]
    assert "expired" in tried.findings[0].what
    assert token.reveal()[:20] not in repr(tried)


def test_a_token_that_cannot_be_made_is_an_error_in_its_own_words() -> None:
    tried = unavailable(KeyUnavailable("the TPM is away", hint="plug it in"))
    assert [(one.what, one.hint) for one in tried.findings] == [("the TPM is away", "plug it in")]
