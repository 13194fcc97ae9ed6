"""From an Authorization header to facts: is STS asked only where that may help, and each proof taken once?"""

import asyncio
from datetime import timedelta

import pytest

from agent.callers import Facts
from agent.callers.aws import Principal, rejected
from agent.callers.aws.hosts import origins
from agent.callers.aws.presigned import Presigned
from agent.callers.aws.proofs import Proofs, Shown
from agent.callers.aws.web_identity import WebIdentity
from agent.errors import AgentError, ProofUnchecked, TokenRejected
from tests.fakes.clock import START, FakeClock, settle
from tests.unit.callers.aws.shown import header, numbered, url
from tests.unit.callers.aws.test_web_identity import Stage as Tokens
from tests.unit.callers.aws.test_web_identity import claims, token

HERE, THERE = "192.0.2.1", "192.0.2.2"
ROLE = "arn:aws:iam::123456789012:role/deploy"
DEPLOY = Principal(ROLE, "123456789012", "web")
STRANGER = Principal("arn:aws:iam::999999999999:role/deploy", "999999999999", "web")
PATTERN = "arn:aws:iam::123456789012:role/dep*"
GRANTED: list[Facts] = [frozenset({("aws.principal.like", PATTERN)})]


class Sts:
    """An STS that says what it is told to; it can be made to wait."""

    def __init__(self) -> None:
        self.says: Principal | AgentError = DEPLOY
        self.asked: list[str] = []
        self.go = asyncio.Event()
        self.go.set()

    async def whose(self, proof: Presigned, address: str) -> Principal:
        self.asked.append(proof.url.reveal())
        assert address in {HERE, THERE}
        await self.go.wait()
        if isinstance(self.says, AgentError):
            raise self.says
        return self.says


class Stage:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.sts = Sts()
        self.proofs = Proofs(self.sts, origins(["eu-central-1"]), WebIdentity({}), GRANTED, clock=self.clock)

    async def reason(self, presented: bytes | None, address: str = HERE) -> str:
        with pytest.raises(TokenRejected) as error:
            await self.proofs.prove(presented, address)
        return error.value.reason


async def test_a_proof_becomes_what_is_known_of_its_bearer() -> None:
    shown = await Stage().proofs.prove(header(url()), HERE)
    assert shown.facts == {
        ("aws.principal", ROLE),
        ("aws.principal.like", PATTERN),
        ("aws.account", "123456789012"),
        ("aws.session", "web"),
    }


@pytest.mark.parametrize("scheme", [b"AWS-Presigned", b"aws-presigned", b"AWS-PRESIGNED"])
async def test_the_scheme_may_be_written_in_any_capitals(scheme: bytes) -> None:
    assert await Stage().proofs.prove(header(url()).replace(b"AWS-Presigned", scheme), HERE)


@pytest.mark.parametrize(
    "presented", [None, b"", b"Basic YTpi", b"Negotiate", b"AWS4-HMAC-SHA256 Credential=x", b"\xff\xfe", b"token"]
)
async def test_what_is_no_proof_is_said_to_be_missing(presented: bytes | None) -> None:
    stage = Stage()
    assert await stage.reason(presented) == "missing"
    assert stage.sts.asked == []


@pytest.mark.parametrize(
    "presented",
    [
        header(url("https://sts.example.com")),
        header(url(Action="AssumeRole")),
        header(url(X_Amz_SignedHeaders="host")),
        header(url(at=START - timedelta(minutes=16), X_Amz_Expires="900")),
        header(url(at=START + timedelta(minutes=6))),
        b"AWS-Presigned",
        b"AWS-Presigned " + b"A" * 16_000,
        b"Bearer a.b.c",
    ],
)
async def test_what_can_be_told_without_sts_is_told_without_it(presented: bytes) -> None:
    stage = Stage()
    for _ in range(100):
        await stage.reason(presented)
    assert stage.sts.asked == []
    assert await stage.proofs.prove(header(url()), HERE)  # and who showed them is heard all the same


async def test_a_proof_is_taken_once_from_wherever_it_is_shown() -> None:
    stage = Stage()
    await stage.proofs.prove(header(url()), HERE)
    assert await stage.reason(header(url()), HERE) == "used_before"
    assert await stage.reason(header(url()), THERE) == "used_before"
    assert len(stage.sts.asked) == 1


async def test_the_same_signature_in_another_order_is_the_same_proof() -> None:
    stage = Stage()
    await stage.proofs.prove(header(url()), HERE)
    origin, _, query = url().partition("?")
    other = f"{origin}?{'&'.join(reversed(query.split('&')))}"
    assert await stage.reason(header(other)) == "used_before"


async def test_of_two_that_come_at_once_with_one_proof_one_is_refused() -> None:
    stage = Stage()
    stage.sts.go.clear()
    first = asyncio.ensure_future(stage.proofs.prove(header(url()), HERE))
    await settle()
    assert await stage.reason(header(url()), THERE) == "used_before"
    stage.sts.go.set()
    assert isinstance(await first, Shown)
    assert len(stage.sts.asked) == 1


async def test_a_proof_that_could_not_be_judged_may_be_shown_again() -> None:
    stage = Stage()
    stage.sts.says = ProofUnchecked("STS is away", hint="wait")
    with pytest.raises(ProofUnchecked):
        await stage.proofs.prove(header(url()), HERE)
    stage.sts.says = DEPLOY
    assert await stage.proofs.prove(header(url()), HERE)
    assert await stage.reason(header(url())) == "used_before"


async def test_a_proof_that_nothing_came_of_may_be_shown_again_if_it_is_given_back() -> None:
    stage = Stage()
    (await stage.proofs.prove(header(url()), HERE)).give_back()
    assert await stage.proofs.prove(header(url()), HERE)
    assert await stage.reason(header(url())) == "used_before"


async def test_who_hangs_up_while_sts_is_asked_has_not_used_up_the_proof() -> None:
    stage = Stage()
    stage.sts.go.clear()
    asked = asyncio.ensure_future(stage.proofs.prove(header(url()), HERE))
    await settle()
    asked.cancel()
    await settle()
    stage.sts.go.set()
    assert await stage.proofs.prove(header(url()), HERE)


async def test_what_sts_did_not_believe_is_not_asked_about_again() -> None:
    stage = Stage()
    stage.sts.says = rejected("no", "refused")
    for _ in range(5):
        assert await stage.reason(header(url())) == "refused"
    assert len(stage.sts.asked) == 1


async def test_a_forged_proof_does_not_use_up_the_one_it_was_forged_from() -> None:
    stage = Stage()
    stage.sts.says = rejected("no", "refused")
    forged = url(X_Amz_Credential="ASIAEXAMPLEEXAMPLEEY/20261120/eu-central-1/sts/aws4_request")
    assert await stage.reason(header(forged)) == "refused"
    stage.sts.says = DEPLOY
    assert await stage.proofs.prove(header(url()), HERE)


async def test_who_floods_us_with_forged_proofs_soon_has_sts_asked_no_more_and_others_are_served() -> None:
    stage = Stage()
    stage.sts.says = rejected("no", "refused")
    outcomes = []
    for number in range(1000):
        try:
            await stage.proofs.prove(numbered(number), HERE)
        except (TokenRejected, ProofUnchecked) as error:
            outcomes.append(type(error))
    assert len(stage.sts.asked) == outcomes.count(TokenRejected) == 20
    stage.sts.says = DEPLOY
    assert await stage.proofs.prove(numbered(2000), THERE)
    await stage.clock.advance(timedelta(seconds=2))
    assert await stage.proofs.prove(numbered(2001), HERE)


async def test_strangers_with_good_proofs_take_no_room_and_are_known_as_strangers() -> None:
    stage = Stage()
    stage.sts.says = STRANGER
    for number in range(200):
        shown = await stage.proofs.prove(numbered(number), HERE)
        assert ("aws.account", "999999999999") in shown.facts
    assert len(stage.proofs._spent) == 0
    assert await stage.reason(numbered(0)) == "used_before"
    assert len(stage.sts.asked) == 200


async def test_what_was_signed_before_we_began_is_refused() -> None:
    assert await Stage().reason(header(url(at=START - timedelta(seconds=1)))) == "expired"


async def test_a_token_is_taken_once_as_well() -> None:
    tokens = Tokens()
    proofs = Proofs(Sts(), {}, tokens.tokens, GRANTED, clock=tokens.clock)
    shown = await proofs.prove(b"Bearer " + token().encode(), HERE)
    assert ("aws.organization", "o-a1b2c3d4e5") in shown.facts
    with pytest.raises(TokenRejected) as error:
        await proofs.prove(b"Bearer " + token().encode(), THERE)
    assert error.value.reason == "used_before"
    assert await proofs.prove(b"Bearer " + token(claims(jti="another")).encode(), HERE)
