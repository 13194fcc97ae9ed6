"""Is nothing handed out that has ended, if the steady clock stood still, and nothing good dropped, if it did not?"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.clock import RemoteClock
from agent.credentials import Credentials
from agent.errors import CredentialsUnavailable
from agent.schedule import RefreshPolicy
from agent.sessions import NAP, Keeper, RoleSession
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

HOUR = timedelta(hours=1)
LOOK = timedelta(seconds=NAP + 0.1)
DOWN = CredentialsUnavailable("STS does not answer.")


class HeardSource(FakeSource):
    """Tells the time with each answer, as STS does."""

    remote: RemoteClock

    async def fetch(self) -> Credentials:
        given = await super().fetch()
        self.remote.learn(given.obtained_at)
        return given


class Host:
    """Roles on a machine whose clock may be wrong, and may stand still."""

    def __init__(self, roles: int = 1, wrong: timedelta = timedelta(0)) -> None:
        self.clock = FakeClock()
        self.clock.step(timedelta(seconds=self.clock.steady()) + wrong)  # the issuer's clock, and how wrong this one is
        self.remote = RemoteClock(self.clock)
        self.sources = [HeardSource(self.clock, role=f"role{n}") for n in range(roles)]
        for source in self.sources:
            source.remote = self.remote
        self.sessions = [
            RoleSession(source.role, source, RefreshPolicy(), clock=self.remote, report=Reported(), spread=lambda: 0.0)
            for source in self.sources
        ]

    @property
    def source(self) -> FakeSource:
        return self.sources[0]

    @property
    def session(self) -> RoleSession:
        return self.sessions[0]

    def given(self, number: int = 0) -> int | None:
        """The number of the set that is handed out, which must not have ended."""
        held = self.sessions[number].usable()
        if held is None:
            return None
        assert self.clock.steady() + self.clock.paused < self.sources[number].ends[held.access_key_id]
        return int(held.access_key_id[4:])


@asynccontextmanager
async def kept(host: Host) -> AsyncIterator[Host]:
    keeper = Keeper(host.sessions, clock=host.remote, concurrency=4, spread=lambda: 0.0)
    keeping = asyncio.ensure_future(keeper.keep_fresh())
    await host.clock.advance(timedelta(minutes=5))
    try:
        yield host
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.mark.parametrize("wrong", [timedelta(0), 3 * HOUR, -timedelta(minutes=30)])
async def test_after_a_pause_what_has_ended_is_not_handed_out_though_sts_is_down(wrong: timedelta) -> None:
    async with kept(Host(wrong=wrong)) as host:
        host.source.failure = DOWN
        host.clock.pause(2 * HOUR)
        await host.clock.advance(LOOK)
        assert host.given() is None
        assert len(host.source.fetches) > 1
        host.source.failure = None
        await host.clock.advance(timedelta(seconds=10))
        assert host.given() == len(host.source.fetches)


async def test_after_a_pause_everything_is_renewed_at_once() -> None:
    async with kept(Host(roles=3)) as host:
        host.clock.pause(timedelta(minutes=2))
        await host.clock.advance(LOOK)
        assert [host.given(number) for number in range(3)] == [2, 2, 2]
        await host.clock.advance(timedelta(minutes=20))
        assert [len(source.fetches) for source in host.sources] == [2, 2, 2]


async def test_after_a_pause_what_is_still_good_is_handed_out_to_its_true_end() -> None:
    async with kept(Host()) as host:
        host.source.failure = DOWN
        host.clock.pause(timedelta(minutes=20))
        await host.clock.advance(LOOK)
        left = host.session.snapshot().left
        assert left is not None
        assert timedelta(minutes=34) < left < timedelta(minutes=36)
        await host.clock.advance(timedelta(minutes=33))
        assert host.given() == 1
        await host.clock.advance(timedelta(minutes=2))
        assert host.given() is None


async def test_a_pause_that_no_clock_here_shows_is_noticed_when_sts_is_heard_for_any_role() -> None:
    async with kept(Host(roles=2)) as host:
        host.sources[0].failure = DOWN
        host.clock.pause(2 * HOUR)
        host.clock.step(-2 * HOUR)  # the wall clock has stood still as well
        await host.sessions[1].renew()
        await host.clock.advance(LOOK)
        assert (host.given(0), host.given(1)) == (None, 2)


async def test_two_pauses_too_short_to_notice_do_not_add_up_to_one_that_outlasts_the_margin() -> None:
    short = timedelta(seconds=55)
    async with kept(Host(roles=2)) as host:
        host.source.failure = DOWN
        await host.clock.advance(timedelta(minutes=40))
        host.clock.pause(short)
        await host.sessions[1].renew()  # STS is heard, and with it the first pause
        host.sources[1].failure = DOWN
        await host.clock.advance(LOOK)
        host.clock.pause(short)
        for _ in range(200):
            await host.clock.advance(timedelta(seconds=5))
            host.given()  # which sees to it that nothing has ended
        assert host.given() is None


@pytest.mark.parametrize("slow", [timedelta(minutes=5), 3 * HOUR, timedelta(days=9000)])
async def test_a_wrong_clock_that_is_set_right_costs_nothing(slow: timedelta) -> None:
    async with kept(Host(wrong=-slow)) as host:
        host.source.failure = DOWN
        host.clock.step(slow)
        await host.clock.advance(timedelta(minutes=20))
        assert host.given() == 1
        assert len(host.source.fetches) == 1


async def test_a_right_clock_that_is_set_wrong_costs_one_renewal() -> None:
    async with kept(Host()) as host:
        host.clock.step(3 * HOUR)
        await host.clock.advance(LOOK)
        assert host.given() == 2
        await host.clock.advance(timedelta(minutes=20))
        assert host.given() == 2


async def test_what_was_doubted_is_handed_out_again_when_the_clock_is_set_right() -> None:
    async with kept(Host()) as host:
        host.source.failure = DOWN
        host.clock.step(3 * HOUR)
        await host.clock.advance(LOOK)
        assert host.given() is None
        host.clock.step(-3 * HOUR)
        await host.clock.advance(LOOK)
        assert host.given() == 1
        await host.clock.advance(HOUR)
        assert host.given() is None


async def test_a_clock_set_back_changes_nothing() -> None:
    async with kept(Host()) as host:
        host.source.failure = DOWN
        host.clock.step(-3 * HOUR)
        await host.clock.advance(timedelta(minutes=20))
        assert host.given() == 1
        assert len(host.source.fetches) == 1


async def test_suspended_time_that_the_steady_clock_has_counted_is_not_counted_twice() -> None:
    async with kept(Host()) as host:
        host.source.failure = DOWN
        host.clock.suspend(timedelta(minutes=20))
        await host.clock.advance(timedelta(minutes=20))
        assert host.given() == 1


async def test_a_new_set_that_ends_before_the_one_in_doubt_was_thought_to_is_taken() -> None:
    host = Host()
    host.source.lifetime = 12 * HOUR
    async with kept(host):
        host.source.lifetime = HOUR
        host.clock.pause(12 * HOUR)
        await host.clock.advance(LOOK)
        assert host.given() == 2


async def test_the_secrets_of_a_set_that_has_ended_are_let_go_and_what_it_was_is_still_told() -> None:
    async with kept(Host()) as host:
        host.source.failure = DOWN
        held = host.session.usable()
        assert held is not None
        expected = (held.access_key_id, held.expires_at)
        assert reachable(host.session)
        await host.clock.advance(HOUR)
        snapshot = host.session.snapshot()
        assert (snapshot.id, snapshot.expires_at, snapshot.usable) == (*expected, False)
        assert snapshot.left is not None
        assert snapshot.left < timedelta(0)
        assert not reachable(host.session)


def reachable(session: RoleSession) -> bool:
    """Whether a session holds on to any credentials."""
    return any(isinstance(thing, Credentials) for thing in gc.get_referents(session, session.__dict__))
