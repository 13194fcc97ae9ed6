import asyncio
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import CredentialsUnavailable, SignInNeeded
from agent.events import RefreshTokenUnsaved
from agent.sign_in import Answer, SignIn
from agent.sign_in.cache import Cache, Room
from agent.sign_in.renewal import Renewal
from tests.fakes.center import PORTAL, REGISTERED_UNTIL, FakeCenter, refused, sign_in, tokens
from tests.fakes.clock import FakeClock, settle
from tests.fakes.report import Reported

MINUTE = timedelta(minutes=1)


class Failing(Cache):
    """On a disk that is full, or breaks while it is written to."""

    full = False
    broken = False

    def room(self, path: Path | None = None) -> Room:
        if self.full:
            raise CredentialsUnavailable("a sign-in cannot be kept: no space left on device", hint="make room")
        room = super().room(path)
        if self.broken:
            room._draft.unlink()  # so that it cannot take its place
        return room


class Bench:
    """A sign-in in its file, a center that renews it, and time."""

    def __init__(self, home: Path, center: FakeCenter | None = None) -> None:
        self.clock = FakeClock()
        self.center = center or FakeCenter(create_token=tokens("2", refresh="refresh-2"))
        self.cache = Cache(home, PORTAL)
        self.reported = Reported()
        self.renewal = self.another_process()

    def another_process(self) -> Renewal:
        return Renewal(PORTAL, self.cache, self.center, self.clock, self.reported)

    def keep(self, one: SignIn) -> None:
        with self.cache.room() as room:
            room.keep(one)

    def kept(self) -> SignIn:
        found = self.cache.read()
        assert found is not None
        return found.sign_in

    async def token(self) -> str:
        return (await self.renewal.token()).reveal()

    async def another(self) -> str:
        return (await self.renewal.another(self.kept().access_token)).reveal()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_without_a_sign_in_somebody_is_asked_to_sign_in(bench: Bench) -> None:
    with pytest.raises(SignInNeeded) as caught:
        await bench.token()
    assert "nobody has signed in" in caught.value.what
    assert caught.value.hint == "sign in: rolecall login"


async def test_a_token_is_used_until_fifteen_minutes_before_its_end(bench: Bench) -> None:
    bench.keep(sign_in())
    await bench.clock.advance(45 * MINUTE)
    assert await bench.token() == "access-1"
    await bench.clock.advance(timedelta(seconds=1))
    assert await bench.token() == "access-2"
    assert bench.center.number_of("create_token") == 1
    _, asked = bench.center.asked[0]
    assert asked["grantType"] == "refresh_token"
    assert asked["refreshToken"] == "refresh-1"


async def test_what_was_renewed_is_in_the_file_before_anybody_has_it(bench: Bench) -> None:
    bench.keep(sign_in(lasts=MINUTE))
    assert await bench.token() == "access-2"
    kept = bench.kept()
    assert kept.access_token.reveal() == "access-2"
    assert kept.refresh_token is not None
    assert kept.refresh_token.reveal() == "refresh-2"
    assert kept.expires_at == bench.clock.now() + timedelta(hours=1)


async def test_a_refresh_token_is_kept_where_none_came_in_its_place(bench: Bench) -> None:
    bench.center.say("create_token", tokens("2"))
    bench.keep(sign_in(lasts=MINUTE))
    await bench.token()
    assert bench.kept().refresh_token == sign_in().refresh_token


async def test_an_outage_is_not_noticed_while_the_token_is_good(bench: Bench) -> None:
    bench.center.say("create_token", CredentialsUnavailable("down", hint="wait"))
    bench.keep(sign_in(lasts=10 * MINUTE))
    assert await bench.token() == "access-1"
    await bench.clock.advance(11 * MINUTE)
    with pytest.raises(CredentialsUnavailable, match="down"):
        await bench.token()


async def test_it_is_tried_for_once_a_minute_at_most(bench: Bench) -> None:
    bench.center.say("create_token", refused("InternalServerException", 500))
    bench.keep(sign_in(lasts=10 * MINUTE))
    for _ in range(10):
        assert await bench.token() == "access-1"
    assert bench.center.number_of("create_token") == 1
    await bench.clock.advance(MINUTE)
    await bench.token()
    assert bench.center.number_of("create_token") == 2


async def test_many_at_once_renew_it_once(bench: Bench) -> None:
    bench.keep(sign_in(lasts=MINUTE))
    assert {*await asyncio.gather(*(bench.token() for _ in range(20)))} == {"access-2"}
    assert bench.center.number_of("create_token") == 1


async def test_two_processes_at_once_use_a_refresh_token_once(bench: Bench) -> None:
    def once(asked: Mapping[str, object]) -> Answer:
        if asked["refreshToken"] != "refresh-1":
            return refused("InvalidGrantException")
        return tokens("2", refresh="refresh-2")

    bench.center.say("create_token", once)
    bench.keep(sign_in(lasts=MINUTE))
    both = asyncio.gather(bench.renewal.token(), bench.another_process().token())
    while not both.done():
        await bench.clock.advance(timedelta(seconds=1))
        await asyncio.sleep(0.005)
    assert [one.reveal() for one in await both] == ["access-2", "access-2"]
    assert bench.center.number_of("create_token") == 1


async def test_who_holds_the_lock_too_long_is_not_waited_for(bench: Bench) -> None:
    bench.keep(sign_in(lasts=-MINUTE))
    with bench.cache.lock() or pytest.fail("nobody has it"):
        asking = asyncio.ensure_future(bench.token())
        while not asking.done():
            await bench.clock.advance(timedelta(seconds=1))
            await asyncio.sleep(0.002)
        with pytest.raises(CredentialsUnavailable, match="another process"):
            await asking
    assert bench.center.number_of("create_token") == 0


async def test_what_the_aws_cli_has_renewed_meanwhile_is_used(bench: Bench) -> None:
    """It knows nothing of our lock: its use of the refresh token makes ours fail."""

    def too_late(_: Mapping[str, object]) -> Answer:
        bench.keep(sign_in("of-the-cli", refresh="refresh-9"))
        return refused("InvalidGrantException")

    bench.center.say("create_token", too_late)
    bench.keep(sign_in(lasts=MINUTE))
    assert await bench.token() == "access-of-the-cli"


async def test_what_somebody_has_written_is_read_each_time(bench: Bench) -> None:
    bench.keep(sign_in())
    assert await bench.token() == "access-1"
    bench.keep(sign_in("9"))
    assert await bench.token() == "access-9"


async def test_a_refresh_token_that_is_revoked_is_tried_once_and_the_access_token_used_to_its_end(bench: Bench) -> None:
    bench.center.say("create_token", refused("InvalidGrantException"))
    bench.keep(sign_in(lasts=10 * MINUTE))
    assert await bench.token() == "access-1"
    for _ in range(4):
        await bench.clock.advance(2 * MINUTE)
        assert await bench.token() == "access-1"
    assert bench.center.number_of("create_token") == 1
    found = await bench.renewal.kept()
    assert found is not None
    assert found.sign_in.ends_at(bench.clock.now()) == sign_in(lasts=10 * MINUTE).expires_at


async def test_a_token_that_the_portal_refuses_is_renewed_at_once(bench: Bench) -> None:
    bench.keep(sign_in())
    assert await bench.another() == "access-2"


async def test_somebody_has_to_sign_in_when_the_portal_refuses_and_nothing_renews(bench: Bench) -> None:
    bench.keep(sign_in(refresh=None))
    with pytest.raises(SignInNeeded, match="the sign-in is over"):
        await bench.another()
    assert bench.center.number_of("create_token") == 0


async def test_somebody_has_to_sign_in_when_all_of_it_was_revoked(bench: Bench) -> None:
    bench.center.say("create_token", refused("InvalidGrantException"))
    bench.keep(sign_in())
    with pytest.raises(SignInNeeded) as caught:
        await bench.another()
    assert "used already, or has ended" in caught.value.what
    assert caught.value.hint == "sign in: rolecall login"


async def test_a_registration_that_has_ended_renews_nothing(bench: Bench) -> None:
    bench.keep(sign_in(at=REGISTERED_UNTIL))
    await bench.clock.advance(REGISTERED_UNTIL - bench.clock.now())
    with pytest.raises(SignInNeeded):
        await bench.another()
    assert bench.center.number_of("create_token") == 0


async def test_a_fresh_token_that_is_refused_is_no_reason_to_ask_without_end(bench: Bench) -> None:
    bench.keep(sign_in())
    assert await bench.another() == "access-2"
    with pytest.raises(CredentialsUnavailable, match="has just given"):
        await bench.another()
    assert bench.center.number_of("create_token") == 1


async def test_a_refresh_token_is_not_used_up_where_there_is_no_room_for_the_next(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "cache")
    bench.keep(sign_in(lasts=10 * MINUTE))
    bench.cache = Failing(tmp_path / "cache", PORTAL)
    bench.cache.full = True
    bench.renewal = bench.another_process()
    assert await bench.token() == "access-1"
    assert bench.center.number_of("create_token") == 0


async def test_what_could_not_be_written_is_used_and_written_later(bench: Bench) -> None:
    """The old refresh token is used up: what we remember is all that is left of the sign-in."""
    bench.keep(sign_in(lasts=MINUTE))
    bench.cache = failing = Failing(bench.cache.path.parent, PORTAL)
    failing.broken = True
    bench.renewal = bench.another_process()
    assert await bench.token() == "access-2"
    assert bench.kept().access_token.reveal() == "access-1"
    assert [one.source for one in bench.reported.of(RefreshTokenUnsaved)] == ["identity_center"]
    assert await bench.token() == "access-2"
    failing.broken = False
    assert await bench.token() == "access-2"
    assert bench.kept().refresh_token != sign_in().refresh_token
    assert bench.center.number_of("create_token") == 1


async def test_who_is_told_to_stop_writes_down_what_has_just_been_given(bench: Bench) -> None:
    answered = asyncio.Event()

    class Slow(FakeCenter):
        async def ask(self, operation: str, **parameters: object) -> Answer:
            answer = await super().ask(operation, **parameters)
            answered.set()
            await asyncio.sleep(0.05)
            return answer

    bench.center = Slow(create_token=tokens("2", refresh="refresh-2"))
    bench.renewal = bench.another_process()
    bench.keep(sign_in(lasts=MINUTE))
    asking = asyncio.ensure_future(bench.token())
    await answered.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert bench.kept().access_token.reveal() == "access-2"


async def test_a_clock_that_is_an_hour_off_decides_nothing(bench: Bench) -> None:
    """The portal is the judge: a token that looks ended and cannot be renewed is shown to it all the same."""
    bench.keep(sign_in(refresh=None))
    bench.clock.step(timedelta(hours=2))
    assert await bench.token() == "access-1"


async def test_after_a_sign_in_what_failed_is_forgotten(bench: Bench) -> None:
    bench.center.say("create_token", refused("InternalServerException", 500), tokens("3"))
    bench.keep(sign_in(lasts=MINUTE))
    assert await bench.token() == "access-1"
    bench.renewal.start_afresh()
    assert await bench.token() == "access-3"
    await settle()
