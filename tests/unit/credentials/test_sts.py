"""agent/credentials/sts/__init__.py: the fetch itself."""

import asyncio
from datetime import timedelta

import pytest

from agent.clock import RemoteClock
from agent.credentials.sts import Answer, Role, StsWebIdentity
from agent.errors import CredentialsRefused, CredentialsUnavailable, TokenUnavailable
from agent.events import ClockMeasured, Event, StsAnswered
from agent.secret import Secret
from agent.tokens import Token
from tests.fakes.clock import START, FakeClock
from tests.fakes.minted import CANARY_TOKEN, MintedTokens
from tests.fakes.sts_server import (
    ACCESS_KEY_ID,
    CANARY_SECRET,
    CANARY_SESSION,
    ROLE_ARN,
    Reply,
    error,
    granted,
    http,
    members,
)
from tests.unit.credentials.conftest import ROLE, BenchFor

HALF = timedelta(milliseconds=500)
EMPTY = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult/></AssumeRoleWithWebIdentityResponse>"
EXPIRED = "Token expired: current date/time {now} must be before the expiration date/time 1753089571"


async def test_a_token_becomes_credentials(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())
    credentials = await bench.source.fetch()
    assert credentials.access_key_id == ACCESS_KEY_ID
    assert credentials.secret_access_key.reveal() == CANARY_SECRET
    assert credentials.session_token.reveal() == CANARY_SESSION
    assert credentials.obtained_at == START + HALF
    assert credentials.expires_at == START + timedelta(hours=1)
    assert (credentials.role_arn, credentials.account_id) == (ROLE_ARN, "123456789012")
    assert bench.events == [StsAnswered("Success"), ClockMeasured(HALF)]


async def test_the_request_says_all_that_is_configured_and_is_not_signed(bench_for: BenchFor) -> None:
    arns = ("arn:aws:iam::aws:policy/ReadOnlyAccess", "arn:aws:iam::123456789012:policy/mine")
    role = Role(ROLE_ARN, "host-1", timedelta(minutes=90), policy='{"Version":"2012-10-17"}', policy_arns=arns)
    bench = await bench_for(granted(), role=role)
    await bench.source.fetch()
    (request,) = bench.server.requests
    assert request.line == "POST / HTTP/1.1"
    assert request.form == {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": ROLE_ARN,
        "RoleSessionName": "host-1",
        "WebIdentityToken": CANARY_TOKEN,
        "DurationSeconds": "5400",
        "Policy": '{"Version":"2012-10-17"}',
        "PolicyArns.member.1.arn": arns[0],
        "PolicyArns.member.2.arn": arns[1],
    }
    assert "authorization" not in request.headers
    assert "x-amz-security-token" not in request.headers


async def test_an_hour_of_clock_error_is_learnt_and_the_token_minted_again_within_one_fetch(
    bench_for: BenchFor,
) -> None:
    theirs = START + timedelta(hours=1)
    bench = await bench_for(
        error("ExpiredTokenException", EXPIRED.format(now=1), date=theirs),
        granted(date=theirs, Expiration="2026-11-20T14:00:00Z"),
    )
    credentials = await bench.source.fetch()
    assert bench.tokens.minted_at == [START, theirs + HALF]
    assert credentials.obtained_at == theirs + HALF
    offset = ClockMeasured(timedelta(hours=1) + HALF)
    assert bench.events == [StsAnswered("ExpiredTokenException"), offset, StsAnswered("Success"), offset]


@pytest.mark.parametrize("words", ["The token is not yet valid", "Words that nobody foresaw"])
async def test_a_token_from_the_future_is_minted_again_too(bench_for: BenchFor, words: str) -> None:
    theirs = START - timedelta(hours=1)
    bench = await bench_for(
        error("InvalidIdentityToken", words, date=theirs),
        granted(date=theirs, Expiration="2026-11-20T12:00:00Z"),
    )
    await bench.source.fetch()
    assert bench.tokens.minted_at == [START, theirs + HALF]


async def test_a_bad_token_is_not_minted_again_when_the_clock_was_right(bench_for: BenchFor) -> None:
    bench = await bench_for(error("InvalidIdentityToken", "Words that nobody foresaw"))
    with pytest.raises(CredentialsRefused):
        await bench.source.fetch()
    assert len(bench.tokens.minted_at) == 1


async def test_without_a_date_the_time_is_read_from_the_message(bench_for: BenchFor) -> None:
    theirs = START + timedelta(minutes=20)
    text = EXPIRED.format(now=int(theirs.timestamp()))
    bench = await bench_for(error("ExpiredTokenException", text, date=None), granted(date=None))
    await bench.source.fetch()
    assert bench.tokens.minted_at == [START, theirs + HALF]


async def test_a_token_that_stays_expired_is_tried_twice_and_no_more(bench_for: BenchFor) -> None:
    bench = await bench_for(
        error("ExpiredTokenException", EXPIRED.format(now=1), date=START + timedelta(hours=2)),
    )
    with pytest.raises(CredentialsUnavailable) as caught:
        await bench.source.fetch()
    assert len(bench.server.requests) == 2
    assert "clock" in caught.value.hint
    assert "7200 s ahead of this machine" in caught.value.hint


async def test_a_token_that_nobody_renews_is_not_shown_twice(bench_for: BenchFor) -> None:
    bench = await bench_for(error("ExpiredTokenException", EXPIRED.format(now=1)))
    stale = await bench.tokens.token()

    class Stale:
        async def token(self) -> Token:
            return stale

    source = StsWebIdentity(
        bench.source._sts, ROLE, Stale(), bench.clock, bench.events.append, patience=timedelta(seconds=20)
    )
    with pytest.raises(CredentialsUnavailable) as caught:
        await source.fetch()
    assert len(bench.server.requests) == 1
    assert "whoever writes the token" in caught.value.hint


@pytest.mark.parametrize(
    "reply",
    [
        granted(),
        error("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403),
        error("Throttling", "Rate exceeded"),
        error("ServiceUnavailable", "", 503),
    ],
)
async def test_any_answer_of_sts_teaches_the_clock(bench_for: BenchFor, reply: Reply) -> None:
    bench = await bench_for(reply, base=FakeClock(START - timedelta(minutes=3)))
    await asyncio.gather(bench.source.fetch(), return_exceptions=True)
    assert bench.clock.offset == timedelta(minutes=3) + HALF


@pytest.mark.parametrize(
    "reply",
    [
        http("<html>Sign in</html>", date=START + timedelta(days=1)),
        http("<html>Bad gateway</html>", 502, date=START + timedelta(days=1), request_id=None),
        http("", date=START + timedelta(days=1)),
        http(EMPTY, date=START + timedelta(days=1)),
        error("AccessDenied", "current date/time 1753382758", 403, date=None),
        granted(date="half past nine"),
        granted(date="Fri, 20 Nov 1970 12:00:00 GMT"),
        granted(date="Fri, 20 Nov 9999 23:59:59 GMT"),
        granted(date=None),
    ],
)
async def test_what_is_not_of_sts_or_not_a_time_teaches_nothing(bench_for: BenchFor, reply: Reply) -> None:
    bench = await bench_for(reply)
    await asyncio.gather(bench.source.fetch(), return_exceptions=True)
    assert bench.clock.offset is None
    assert not any(isinstance(event, ClockMeasured) for event in bench.events)


async def test_without_any_date_the_machines_own_clock_has_to_do(bench_for: BenchFor) -> None:
    bench = await bench_for(granted(date=None))
    assert (await bench.source.fetch()).obtained_at == START


async def test_a_hanging_sts_ends_at_the_deadline(bench_for: BenchFor) -> None:
    bench = await bench_for(Reply(b"", "hang"))
    fetching = asyncio.ensure_future(bench.source.fetch())
    await bench.server.asked.wait()
    await bench.base.advance(timedelta(seconds=19.9))
    assert not fetching.done()
    await bench.base.advance(timedelta(seconds=0.2))
    with pytest.raises(CredentialsUnavailable, match="within 20 s") as caught:
        await fetching
    assert caught.value.retryable
    assert bench.events == [StsAnswered("Unreachable")]


async def test_an_answer_that_trickles_ends_at_the_deadline(bench_for: BenchFor) -> None:
    whole = granted().data
    bench = await bench_for(Reply(whole[: len(whole) // 2], "hang"))
    fetching = asyncio.ensure_future(bench.source.fetch())
    await bench.server.asked.wait()
    await bench.base.advance(timedelta(seconds=21))
    with pytest.raises(CredentialsUnavailable, match="within 20 s"):
        await fetching


async def test_a_silent_sts_ends_at_the_read_timeout(bench_for: BenchFor) -> None:
    bench = await bench_for(Reply(b"", "hang"), read_timeout=timedelta(milliseconds=200))
    with pytest.raises(CredentialsUnavailable, match="did not answer in time"):
        await bench.source.fetch()


async def test_a_fetch_that_is_cancelled_lets_go_of_sts(bench_for: BenchFor) -> None:
    bench = await bench_for(Reply(b"", "hang"))
    fetching = asyncio.ensure_future(bench.source.fetch())
    await bench.server.asked.wait()
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert bench.base.sleepers == 0


async def test_sts_is_not_asked_without_a_token(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())

    class Broken:
        async def token(self) -> Token:
            raise TokenUnavailable("no")

    clock = RemoteClock(bench.base)
    source = StsWebIdentity(
        bench.source._sts, ROLE, Broken(), clock, bench.events.append, patience=timedelta(seconds=20)
    )
    with pytest.raises(TokenUnavailable):
        await source.fetch()
    assert bench.server.requests == []
    assert bench.events == []


async def test_nothing_is_retried_here(bench_for: BenchFor) -> None:
    bench = await bench_for(error("ServiceUnavailable", "", 503))
    with pytest.raises(CredentialsUnavailable):
        await bench.source.fetch()
    assert len(bench.server.requests) == 1


async def test_many_fetches_share_one_client(bench_for: BenchFor) -> None:
    bench = await bench_for(granted())
    await asyncio.gather(*(bench.source.fetch() for _ in range(30)))
    assert len(bench.server.requests) == 30


async def test_each_fetch_asks_anew(bench_for: BenchFor) -> None:
    bench = await bench_for(granted(), granted(AccessKeyId="ASIASECONDSECOND1234"))
    first, second = await bench.source.fetch(), await bench.source.fetch()
    assert (first.access_key_id, second.access_key_id) == (ACCESS_KEY_ID, "ASIASECONDSECOND1234")


class Scripted:
    """An `Sts` of the test's own: the protocol is all that is needed to stand in for AWS."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = [*answers]

    async def assume_role_with_web_identity(self, role: Role, token: Secret) -> Answer:
        assert role is ROLE
        assert token.reveal().startswith(CANARY_TOKEN)
        return self.answers.pop(0)


async def test_unknown_codes_are_counted_under_one_name() -> None:
    events: list[Event] = []
    clock = RemoteClock(FakeClock())
    answers = (Answer("Made" + "Up" * 500, status=400), Answer("502", status=502))
    source = StsWebIdentity(
        Scripted(*answers), ROLE, MintedTokens(clock), clock, events.append, patience=timedelta(seconds=20)
    )
    with pytest.raises(CredentialsRefused):
        await source.fetch()
    with pytest.raises(CredentialsUnavailable):
        await source.fetch()
    assert events == [StsAnswered("Other"), StsAnswered("502")]


async def test_a_success_without_what_was_asked_for_is_reported_and_refused(bench_for: BenchFor) -> None:
    bench = await bench_for(http(members(SessionToken=None)))
    with pytest.raises(CredentialsUnavailable, match="SessionToken is missing"):
        await bench.source.fetch()
    assert bench.events[0] == StsAnswered("Success")
