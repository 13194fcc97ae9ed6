import pytest

from agent.errors import ConfigurationError, IssuerUnreadable, TokenRejected
from agent.verification import Keys, Rule, Standing
from agent.verification.verifier import RuleVerifier
from tests.fakes.clock import FakeClock
from tests.fakes.foreign import AUDIENCE, ISSUER, a_token, claims, forged


class Locked:
    """Keys that must be looked up, and cannot be."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def known(self, kid: str) -> Keys | None:
        self.asked.append(kid)
        return None

    async def look_up(self, kid: str) -> Keys:
        raise IssuerUnreadable(f"no {kid} to be had")

    def standing(self) -> Standing:
        return Standing(problem="no keys to be had")


def test_a_rule_that_nothing_can_fit_makes_no_verifier() -> None:
    with pytest.raises(ConfigurationError):
        RuleVerifier(Rule(ISSUER, (AUDIENCE,), algorithms=("HS256",)), Locked(), FakeClock())


async def test_without_keys_there_is_no_verdict() -> None:
    verifier = RuleVerifier(Rule(ISSUER, (AUDIENCE,)), Locked(), FakeClock())

    assert verifier.ready(a_token()) is None
    with pytest.raises(IssuerUnreadable):
        await verifier.verify(a_token())


@pytest.mark.parametrize(
    "token",
    [
        b"",
        a_token(claims(iss="https://other.example.com")),
        a_token(algorithm="ES256"),
        forged({"alg": "none", "kid": "one"}, claims()),
        a_token(kid=None),
    ],
)
async def test_no_issuer_is_asked_for_a_token_that_would_not_be_taken_in_any_case(token: bytes) -> None:
    keys = Locked()
    verifier = RuleVerifier(Rule(ISSUER, (AUDIENCE,)), keys, FakeClock())

    with pytest.raises(TokenRejected):
        verifier.ready(token)
    with pytest.raises(TokenRejected):
        await verifier.verify(token)
    assert keys.asked == []
