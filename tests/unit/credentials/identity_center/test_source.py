import asyncio
from collections.abc import Mapping
from datetime import timedelta

import pytest

from agent.clock import RemoteClock
from agent.credentials.identity_center.permission_set import PermissionSet
from agent.credentials.identity_center.source import IdentityCenterCredentials, Shared
from agent.credentials.identity_center.validation import Given
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import SUCCESS, Answer
from tests.fakes.center import PORTAL, FakeCenter, Reply, given, refused
from tests.fakes.clock import START, FakeClock
from tests.fakes.report import Reported

SESSION = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Developer_0123456789abcdef/me@example.com"
ROLE_ARN = (
    "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/"
    "AWSReservedSSO_Developer_0123456789abcdef"
)
UNAUTHORIZED = refused("UnauthorizedException", 401, "Session token not found or invalid")


def credentials(number: int = 1, *, ends: timedelta = timedelta(hours=1)) -> Answer:
    return given(
        roleCredentials={
            "accessKeyId": f"ASIAEXAMPLE00000000{number}",
            "secretAccessKey": "canary-secret",
            "sessionToken": "canary-session",
            "expiration": int((START + ends).timestamp() * 1000),
        }
    )


class Bench:
    """A source, and what it lives on; it also stands for the tokens and for who hears how the sign-in fares."""

    def __init__(self, *replies: Reply) -> None:
        self.center = FakeCenter(get_role_credentials=[*replies] or credentials())
        self.clock = FakeClock()
        self.heard: list[str] = []
        self.sts: str | AgentError = SESSION
        self.shown: list[Given] = []
        self.fresh: list[str] = ["access-2"]
        shared = Shared(
            PORTAL, self.center, self, self, self.who_am_i, RemoteClock(self.clock), Reported(), timedelta(seconds=20)
        )  # fmt: skip
        self.source = IdentityCenterCredentials(PermissionSet("123456789012", "Developer", "eu-central-1"), shared)

    async def token(self) -> Secret:
        return Secret("access-1")

    async def another(self, refused: Secret) -> Secret:
        assert refused == Secret("access-1")
        if not self.fresh:
            raise SignInNeeded("the sign-in is over", hint="sign in: rolecall login")
        return Secret(self.fresh.pop())

    def taken(self, token: Secret) -> None:
        self.heard.append(f"taken {token.reveal()}")

    def over(self, why: AgentError) -> None:
        self.heard.append(f"over: {why.what}")

    async def who_am_i(self, given: Given) -> str:
        self.shown.append(given)
        if isinstance(self.sts, AgentError):
            raise self.sts
        return self.sts


async def test_what_is_given_is_of_the_role_that_sts_says_it_is() -> None:
    bench = Bench()
    one = await bench.source.fetch()
    assert (one.role_arn, one.account_id) == (ROLE_ARN, "123456789012")
    assert (one.obtained_at, one.expires_at) == (START, START + timedelta(hours=1))
    assert bench.center.asked[0][1] == {
        "roleName": "Developer", "accountId": "123456789012", "accessToken": "access-1",
    }  # fmt: skip
    assert bench.heard == ["taken access-1"]


async def test_every_set_is_shown_to_sts_before_it_is_served() -> None:
    bench = Bench(credentials(1), credentials(2))
    await bench.source.fetch()
    await bench.source.fetch()
    assert [one.access_key_id[-1] for one in bench.shown] == ["1", "2"]


async def test_a_refused_token_is_renewed_once() -> None:
    def fresh(asked: Mapping[str, object]) -> Answer:
        return credentials() if asked["accessToken"] == "access-2" else UNAUTHORIZED

    bench = Bench(fresh)
    assert (await bench.source.fetch()).role_arn == ROLE_ARN
    assert bench.heard == ["taken access-2"]


@pytest.mark.parametrize("fresh", [[], ["access-2"]], ids=["none to be had", "refused as well"])
async def test_then_somebody_has_to_sign_in_and_it_is_told(fresh: list[str]) -> None:
    bench = Bench(UNAUTHORIZED)
    bench.fresh = fresh
    with pytest.raises(SignInNeeded) as caught:
        await bench.source.fetch()
    assert caught.value.hint == "sign in: rolecall login"
    assert bench.heard[0].startswith("over: the sign-in is over")


async def test_what_sts_knows_as_something_else_is_not_served() -> None:
    bench = Bench()
    bench.sts = SESSION.replace("Developer", "Administrator")
    with pytest.raises(CredentialsUnavailable, match="is, by STS's word"):
        await bench.source.fetch()


async def test_while_sts_is_down_the_role_is_what_it_was() -> None:
    bench = Bench(credentials(1), credentials(2))
    await bench.source.fetch()
    bench.sts = CredentialsUnavailable("STS cannot be reached", hint="check the network")
    assert (await bench.source.fetch()).role_arn == ROLE_ARN


async def test_before_sts_was_heard_nothing_is_served() -> None:
    bench = Bench()
    bench.sts = CredentialsUnavailable("STS cannot be reached", hint="check the network")
    with pytest.raises(CredentialsUnavailable) as caught:
        await bench.source.fetch()
    assert "STS has not said yet of which role" in caught.value.what
    assert caught.value.hint == "check the network"


async def test_what_sts_does_not_take_is_not_served_even_when_the_role_is_known() -> None:
    bench = Bench(credentials(1), credentials(2))
    await bench.source.fetch()
    bench.sts = CredentialsRefused("STS refuses them: InvalidClientTokenId", hint="see")
    with pytest.raises(CredentialsUnavailable, match="STS does not take"):
        await bench.source.fetch()


async def test_a_clock_that_is_an_hour_off_is_put_right_by_the_portal() -> None:
    told = START + timedelta(hours=1)
    answer = credentials(ends=timedelta(hours=2))
    bench = Bench(Answer(SUCCESS, told=told, members=answer.members))
    one = await bench.source.fetch()
    assert one.lifetime == timedelta(hours=1)


async def test_who_never_answers_is_not_waited_for() -> None:
    bench = Bench()
    bench.center.silent = True
    asking = asyncio.ensure_future(bench.source.fetch())
    await bench.clock.advance(timedelta(seconds=21))
    with pytest.raises(CredentialsUnavailable, match="within 20 s"):
        await asking


async def test_no_access_is_a_refusal_and_the_sign_in_is_good() -> None:
    bench = Bench(refused("ForbiddenException", 403, "No access"))
    with pytest.raises(CredentialsRefused):
        await bench.source.fetch()
    assert bench.heard == ["taken access-1"]


async def test_nonsense_keeps_nothing_of_the_answer_in_its_traceback() -> None:
    bench = Bench(given(roleCredentials={"accessKeyId": "canary"}))
    with pytest.raises(CredentialsUnavailable) as caught:
        await bench.source.fetch()
    frames, trace = [], caught.value.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert "believe" not in frames
