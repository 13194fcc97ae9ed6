"""What is a JWT, and who signed it?"""

import base64
import json

import pytest

from agent.sandbox import PracticeIssuer
from agent.sandbox.relying_parties.jws import Malformed, signed_by, take_apart
from tests.fakes.clock import START
from tests.unit.sandbox.scene import ec_key, rsa_key

OURS = PracticeIssuer(key=rsa_key())


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a.b",
        "a.b.c.d",
        f"{part({'alg': 'none'})}.{part({})}.",
        f"{part({'alg': 'RS256'})}.{part([])}.AAAA",
        f"{part({'alg': 'RS256', 'crit': ['b64']})}.{part({})}.AAAA",
        f"{part({'alg': 7})}.{part({})}.AAAA",
        f"{part({'alg': 'RS256', 'kid': 7})}.{part({})}.AAAA",
        f" {OURS.sign({})}",
        f"{OURS.sign({})}\n",
    ],
)
def test_what_is_no_jwt_is_not_taken_apart(token: str) -> None:
    with pytest.raises(Malformed):
        take_apart(token)


def test_what_a_token_says_can_be_asked_for() -> None:
    shown = take_apart(OURS.sign({"iss": "a", "aud": ["b", 7], "sub": 5, "exp": 7.9}))
    assert (shown.algorithm, shown.kid, shown.audiences) == ("RS256", "practice-key", ("b",))
    assert (shown.text("iss"), shown.text("sub"), shown.moment("exp"), shown.moment("iat")) == ("a", "", 7, None)
    wrongs: list[object] = [True, "7", []]
    for wrong in wrongs:
        with pytest.raises(Malformed):
            take_apart(OURS.sign({"exp": wrong})).moment("exp")


def test_a_key_for_another_purpose_or_algorithm_signed_nothing() -> None:
    shown = take_apart(OURS.sign(OURS.claims(START)))
    assert signed_by(shown, [OURS.jwk])
    for other in (
        {**OURS.jwk, "use": "enc"},
        {**OURS.jwk, "alg": "RS512"},
        {**OURS.jwk, "kty": "EC"},
        {**OURS.jwk, "n": "AAAA"},
        PracticeIssuer(key=ec_key(256)).jwk,
        {},
    ):
        assert not signed_by(shown, [other])
    assert signed_by(shown, [{}, OURS.jwk])
