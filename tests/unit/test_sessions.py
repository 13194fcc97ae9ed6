"""Is what we promise to have at hand at hand, and is nobody asked more often than needed?"""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.clock import RemoteClock
from agent.credentials import Credentials
from agent.errors import (
    AgentError,
    CredentialsNotReady,
    CredentialsRefused,
    CredentialsUnavailable,
    KeyUnavailable,
    TokenUnavailable,
)
from agent.events import RenewalFailed, SessionRenewed
from agent.schedule import RefreshPolicy
from agent.sessions import NAP, PATIENCE, STUCK, Keeper, RoleSession
from tests.fakes.clock import START, FakeClock, settle
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource, Traffic

DOWN = CredentialsUnavailable("STS does not answer.", hint="Wait.")
REFUSED = CredentialsRefused("STS refuses: AccessDenied.", hint="Compare the trust policy.")
FIRST, SECOND, THIRD = (f"ASIA{number:016d}" for number in (1, 2, 3))


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


def halfway() -> float:
    return 0.5


class Stage:
    """A clock, sessions with their sources, and the keeper of them."""

    def __init__(
        self,
        *,
        roles: int = 1,
        concurrency: int = 8,
        lifetime: timedelta = timedelta(hours=1),
        spread: Callable[[], float] = halfway,
        policy: RefreshPolicy | None = None,
    ) -> None:
        self.clock = NapCountingClock()
        self.reported = Reported()
        self.traffic = Traffic()
        self.sources = [
            FakeSource(self.clock, role=f"role{n}", lifetime=lifetime, traffic=self.traffic) for n in range(roles)
        ]
        self.sessions = [
            RoleSession(
                source.role,
                source,
                policy or RefreshPolicy(),
                clock=self.clock,
                report=self.reported,
                spread=spread,
            )
            for source in self.sources
        ]
        self.source, self.session = self.sources[0], self.sessions[0]
        self.keeper = Keeper(self.sessions, clock=self.clock, concurrency=concurrency, spread=spread)

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator["Stage"]:
        keeping = asyncio.ensure_future(self.keeper.keep_fresh())
        await settle()
        try:
            yield self
        finally:
            keeping.cancel()
            ended = (await asyncio.gather(keeping, return_exceptions=True))[0]
            assert isinstance(ended, asyncio.CancelledError), ended

    def another(self) -> tuple[RoleSession, FakeSource]:
        """A session that nobody keeps fresh yet."""
        source = FakeSource(self.clock, role="late")
        late = RoleSession(
            "late",
            source,
            RefreshPolicy(),
            clock=self.clock,
            report=self.reported,
            spread=lambda: 0.0,
            about="grants#2: unit a.service",
        )
        return late, source

    async def callers(self, number: int) -> Sequence[asyncio.Future[Credentials]]:
        asked = [asyncio.ensure_future(self.session.current()) for _ in range(number)]
        await settle()
        return asked

    async def key_id(self) -> str:
        return (await self.session.current()).access_key_id


class NapCountingClock(FakeClock):
    """Counts how often somebody lay down for as long as an idle keeper naps."""

    def __init__(self) -> None:
        super().__init__()
        self.sleeps = 0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        await super().sleep(seconds)


async def ended(asked: Sequence[asyncio.Future[Credentials]]) -> Counter[str]:
    """How the callers fared: the key id, or the name of the error, of each."""
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    return Counter(o.access_key_id if isinstance(o, Credentials) else type(o).__name__ for o in outcomes)


# Ahead of need


async def test_a_set_is_renewed_at_half_its_life_and_told_of() -> None:
    async with Stage(spread=lambda: 0.0).kept_fresh() as stage:
        await stage.clock.advance(minutes(30) - seconds(1))
        assert await stage.key_id() == FIRST
        await stage.clock.advance(seconds(1))
        assert await stage.key_id() == SECOND
        assert [(told.access_key_id, told.renew_in) for told in stage.reported.of(SessionRenewed)] == [
            (FIRST, minutes(30)),
            (SECOND, minutes(30)),
        ]


async def test_jitter_brings_it_forward() -> None:
    async with Stage(spread=halfway).kept_fresh() as stage:
        await stage.clock.advance(minutes(28.5))
        assert await stage.key_id() == SECOND


async def test_half_an_hour_is_renewed_before_less_than_the_reserve_is_left() -> None:
    async with Stage(lifetime=minutes(30), spread=lambda: 0.0).kept_fresh() as stage:
        for _ in range(120):
            left = stage.session.snapshot().left
            assert left is not None
            assert left >= minutes(25)
            await stage.clock.advance(minutes(1))
        assert len(stage.source.fetches) == 25


async def test_a_slow_answer_does_not_eat_the_reserve() -> None:
    stage = Stage(lifetime=minutes(30), spread=lambda: 0.0)
    stage.source.lies = seconds(40)
    async with stage.kept_fresh():
        await stage.clock.advance(minutes(30))
    assert [later - sooner for sooner, later in itertools.pairwise(stage.source.fetches)] == [300.0] * 6


@pytest.mark.parametrize(
    ("lifetime", "most"),
    [(minutes(15), 13), (minutes(5), 26), (seconds(120), 65), (seconds(75), 105)],
)
async def test_short_sessions_are_not_renewed_without_end(lifetime: timedelta, most: int) -> None:
    async with Stage(lifetime=lifetime, spread=lambda: 0.0).kept_fresh() as stage:
        await stage.clock.advance(timedelta(hours=1))
    assert 1 < len(stage.source.fetches) <= most


async def test_a_session_of_a_minute_is_refused_and_asked_for_with_back_off() -> None:
    async with Stage(lifetime=seconds(60)).kept_fresh() as stage:
        with pytest.raises(CredentialsUnavailable, match="good for 60 s only"):
            await stage.session.current()
        await stage.clock.advance(timedelta(hours=1))
    assert len(stage.source.fetches) <= 3600 / 3 + 5  # half of six seconds, once backed off


# When it fails


async def test_an_outage_before_expiry_is_not_noticed_and_after_it_errors_and_never_stale() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.failure = DOWN
        for _ in range(59):
            assert await stage.key_id() == FIRST
            await stage.clock.advance(minutes(1))
        for _ in range(60):
            with pytest.raises(CredentialsUnavailable, match="STS does not answer"):
                await stage.session.current()
            await stage.clock.advance(minutes(1))
        stage.source.failure = None
        await stage.clock.advance(seconds(6))
        assert await stage.key_id() == f"ASIA{len(stage.source.fetches):016d}"


async def test_no_long_wait_begun_while_holding_outlasts_what_is_held() -> None:
    async with Stage(spread=lambda: 1 - 2**-53).kept_fresh() as stage:
        stage.source.failure = DOWN
        await stage.clock.advance(minutes(70))
    last_minute = [moment - 1000 for moment in stage.source.fetches if moment - 1000 >= 58 * 60]
    assert last_minute[0] < 59 * 60
    assert all(later - sooner <= 6.001 for sooner, later in itertools.pairwise(last_minute))


async def test_a_slow_answer_does_not_lengthen_a_life() -> None:
    stage = Stage()
    stage.source.lies = seconds(40)
    async with stage.kept_fresh():
        await stage.clock.advance(seconds(41))
        stage.source.failure = DOWN
        await stage.clock.advance(minutes(58))
        assert stage.session.usable() is not None
        await stage.clock.advance(seconds(20))
        assert stage.session.usable() is None


async def test_a_set_is_handed_out_until_a_minute_before_its_end_and_not_a_moment_longer() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.failure = DOWN
        await stage.clock.advance(minutes(59) - seconds(0.001))
        assert stage.session.usable() is not None
        await stage.clock.advance(seconds(0.001))
        assert stage.session.usable() is None


async def test_waits_grow_to_six_seconds_while_nothing_is_held() -> None:
    stage = Stage()
    stage.source.failure = DOWN
    async with stage.kept_fresh():
        await stage.clock.advance(seconds(30))
    waits = [told.retry_in.total_seconds() for told in stage.reported.of(RenewalFailed)]
    assert waits[:6] == [0.5, 1, 2, 3, 3, 3]
    assert [round(b - a, 6) for a, b in itertools.pairwise(stage.source.fetches)] == waits[:-1]


async def test_waits_grow_to_a_minute_while_something_is_held() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.failure = DOWN
        await stage.clock.advance(minutes(40))
        waits = [told.retry_in.total_seconds() for told in stage.reported.of(RenewalFailed)]
        assert waits[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert {told.held_until for told in stage.reported.of(RenewalFailed)} == {stage.session.snapshot().expires_at}


@pytest.mark.parametrize("refusal", [REFUSED, KeyUnavailable("The key is gone.", hint="Bring it back.")])
async def test_what_somebody_has_to_mend_is_asked_for_slowly(refusal: AgentError) -> None:
    stage = Stage()
    stage.source.failure = refusal
    async with stage.kept_fresh():
        await stage.clock.advance(timedelta(hours=1))
        with pytest.raises(type(refusal)) as caught:
            await stage.session.current()
        assert (caught.value.what, caught.value.hint) == (refusal.what, refusal.hint)
    waits = [told.retry_in.total_seconds() for told in stage.reported.of(RenewalFailed)]
    assert waits[:6] == [15, 30, 60, 120, 225, 225]


async def test_each_kind_of_failure_has_its_own_back_off() -> None:
    stage = Stage()
    stage.source.failure = TokenUnavailable("The token file is being written.", hint="Wait.")
    async with stage.kept_fresh():
        await stage.clock.advance(minutes(2))
        before = len(stage.source.fetches)
        assert before > 20
        stage.source.failure = REFUSED
        await stage.clock.advance(seconds(4))
        stage.source.failure = DOWN
        await stage.clock.advance(seconds(16))
        waits = [told.retry_in.total_seconds() for told in stage.reported.of(RenewalFailed)]
        assert waits[before : before + 2] == [15, 0.5]
        assert stage.session.snapshot().failures == len(waits)


@pytest.mark.parametrize("lifetime", [seconds(0), seconds(-3600), seconds(59), seconds(60)])
async def test_credentials_that_arrive_expired_are_refused_and_replace_nothing(lifetime: timedelta) -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.lifetime = lifetime
        await stage.clock.advance(minutes(29))
        assert await stage.key_id() == FIRST
        assert stage.reported.of(RenewalFailed)
        assert stage.session.snapshot().problem is not None


async def test_a_set_that_would_end_before_the_one_held_replaces_nothing() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.lifetime = minutes(15)
        await stage.clock.advance(minutes(40))
        assert await stage.key_id() == FIRST
        assert "would end before those that are held" in stage.reported.of(RenewalFailed)[-1].error.what
        await stage.clock.advance(minutes(6))
        assert await stage.key_id() != FIRST
        assert stage.session.snapshot().problem is None
        await stage.clock.advance(timedelta(hours=1))
        assert stage.session.usable() is not None


async def test_an_answer_that_lay_unread_while_the_machine_slept_is_not_taken_for_fresh() -> None:
    stage = Stage()
    stage.source.lies = seconds(1)
    async with stage.kept_fresh():
        stage.clock.suspend(timedelta(hours=2))
        await stage.clock.advance(seconds(1))
        assert stage.session.usable() is None
        assert "good for -" in str(stage.session.snapshot().problem)


async def test_a_source_that_hangs_is_told_of_and_asked_again() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.hangs = True
        await stage.clock.advance(minutes(28.5))
        assert stage.source.under_way == 1
        await stage.clock.advance(seconds(STUCK))
        assert "came to nothing in 120 s" in stage.reported.of(RenewalFailed)[0].error.what
        assert await stage.key_id() == FIRST
        stage.source.hangs = False
        await stage.clock.advance(seconds(1))
        assert await stage.key_id() == THIRD
        assert (stage.source.under_way, stage.source.most) == (0, 1)


async def test_hanging_sources_do_not_keep_others_from_their_turn_for_ever() -> None:
    stage = Stage(roles=3, concurrency=2, spread=lambda: 0.0)
    stage.sources[0].hangs = stage.sources[1].hangs = True
    async with stage.kept_fresh():
        await stage.clock.advance(seconds(STUCK))
        assert stage.sessions[2].usable() is not None


async def test_a_bug_in_a_source_ends_the_keeper() -> None:
    stage = Stage()
    stage.source.failure = ZeroDivisionError("a bug")
    keeping = asyncio.ensure_future(stage.keeper.keep_fresh())
    asked = await stage.callers(3)
    with pytest.raises(ExceptionGroup) as caught:
        await keeping
    assert caught.group_contains(ZeroDivisionError)
    assert await ended(asked) == {"CredentialsNotReady": 3}


async def test_a_bug_in_who_listens_ends_the_keeper() -> None:
    clock = FakeClock()

    def broken(_event: object) -> None:
        raise LookupError

    session = RoleSession("r", FakeSource(clock), RefreshPolicy(), clock=clock, report=broken, spread=halfway)
    with pytest.raises(ExceptionGroup) as caught:
        await Keeper([session], clock=clock, concurrency=1, spread=halfway).keep_fresh()
    assert caught.group_contains(LookupError)


async def test_the_failure_kept_for_callers_holds_no_frames() -> None:
    stage = Stage()
    stage.source.failure = DOWN
    async with stage.kept_fresh():
        problem = stage.session.snapshot().problem
        assert problem is not None
        assert problem.__traceback__ is None
        assert problem.__cause__ is None
        for asked in await stage.callers(2):
            assert asked.exception() is not problem


# Callers


@pytest.mark.parametrize("number", [50, 1_000])
async def test_callers_of_a_cold_role_share_one_fetch(number: int) -> None:
    stage = Stage()
    stage.source.answers_in = seconds(0.3)
    async with stage.kept_fresh():
        asked = await stage.callers(number)
        await stage.clock.advance(seconds(0.3))
        assert await ended(asked) == {FIRST: number}
        assert len(stage.source.fetches) == 1


async def test_callers_while_sts_is_down_share_one_failure_and_cause_no_further_fetch() -> None:
    stage = Stage()
    stage.source.answers_in, stage.source.failure = seconds(0.3), DOWN
    async with stage.kept_fresh():
        asked = await stage.callers(50)
        await stage.clock.advance(seconds(0.3))
        assert await ended(asked) == {"CredentialsUnavailable": 50}
        assert len(stage.source.fetches) == 1
        for _ in range(4):
            assert await ended(await stage.callers(50)) == {"CredentialsUnavailable": 50}
            assert len(stage.source.fetches) == 1
            await stage.clock.advance(seconds(0.1))
        await stage.clock.advance(seconds(0.2))
        assert len(stage.source.fetches) == 2


async def test_callers_never_start_a_fetch() -> None:
    stage = Stage()
    asked = await stage.callers(50)
    await stage.clock.advance(minutes(10))
    assert await ended(asked) == {"CredentialsNotReady": 50}
    assert stage.source.fetches == []


async def test_a_caller_that_comes_before_the_first_fetch_gets_what_it_brings() -> None:
    stage = Stage()
    asked = await stage.callers(2)
    async with stage.kept_fresh():
        assert await ended(asked) == {FIRST: 2}


async def test_a_first_caller_that_leaves_does_not_hurt_the_rest() -> None:
    stage = Stage()
    stage.source.answers_in = seconds(0.3)
    async with stage.kept_fresh():
        asked = await stage.callers(10)
        asked[0].cancel()
        asked[7].cancel()
        await stage.clock.advance(seconds(0.3))
        assert await ended(asked) == {FIRST: 8, "CancelledError": 2}
        assert len(stage.source.fetches) == 1


async def test_patience_ends_after_seven_tenths_of_a_second() -> None:
    stage = Stage()
    stage.source.answers_in = seconds(3)
    async with stage.kept_fresh():
        asked = await stage.callers(2)
        await stage.clock.advance(seconds(PATIENCE - 0.001))
        assert not any(caller.done() for caller in asked)
        await stage.clock.advance(seconds(0.001))
        assert PATIENCE == 0.7
        assert await ended(asked) == {"CredentialsNotReady": 2}
        await stage.clock.advance(seconds(3))
        assert await stage.key_id() == FIRST


async def test_who_waits_in_vain_during_an_outage_is_told_the_latest_reason() -> None:
    stage = Stage()
    stage.source.failure = REFUSED
    async with stage.kept_fresh():
        stage.source.failure, stage.source.hangs = None, True
        await stage.clock.advance(seconds(15))
        assert stage.source.under_way == 1
        asked = await stage.callers(1)
        await stage.clock.advance(seconds(PATIENCE))
        assert await ended(asked) == {"CredentialsRefused": 1}


async def test_who_holds_a_good_set_never_waits_for_the_next() -> None:
    async with Stage().kept_fresh() as stage:
        stage.source.hangs = True
        await stage.clock.advance(minutes(29))
        assert stage.source.under_way == 1
        asked = await stage.callers(1)
        assert asked[0].done()


# Clocks


async def test_a_suspended_machine_notices_within_a_nap() -> None:
    async with Stage().kept_fresh() as stage:
        await stage.clock.advance(minutes(3))
        stage.clock.suspend(timedelta(hours=8))
        with pytest.raises(CredentialsNotReady):
            await stage.session.current()
        assert NAP == 10
        await stage.clock.advance(seconds(10))
        assert await stage.key_id() == SECOND


@pytest.mark.parametrize("step", [timedelta(hours=-30), timedelta(hours=30)])
async def test_steps_of_the_wall_clock_change_nothing(step: timedelta) -> None:
    async with Stage().kept_fresh() as stage:
        await stage.clock.advance(minutes(20))
        stage.clock.step(step)
        assert await stage.key_id() == FIRST
        await stage.clock.advance(minutes(8.5))
        assert await stage.key_id() == SECOND
        assert len(stage.source.fetches) == 2


@pytest.mark.parametrize("ahead", [timedelta(hours=1), timedelta(hours=-1)])
async def test_learning_that_sts_is_an_hour_off_does_not_disturb_the_schedule(ahead: timedelta) -> None:
    base = FakeClock()
    clock, source, reported = RemoteClock(base), FakeSource(base, issuer_ahead=ahead), Reported()
    session = RoleSession("web", source, RefreshPolicy(), clock=clock, report=reported, spread=halfway)
    keeping = asyncio.ensure_future(Keeper([session], clock=clock, concurrency=1, spread=halfway).keep_fresh())
    clock.learn(START + ahead)
    await base.advance(minutes(10))
    clock.learn(START + minutes(10) + ahead)
    assert clock.offset == ahead
    for _ in range(6):
        await base.advance(minutes(14.25))
        assert (await session.current()).access_key_id == f"ASIA{len(source.fetches):016d}"
    await base.advance(minutes(30))
    begun = [moment - 1000 for moment in source.fetches]
    assert begun == [1710.0 * n for n in range(len(begun))]
    assert len(begun) == 5
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


# Many roles


async def test_no_more_calls_are_under_way_than_allowed() -> None:
    stage = Stage(roles=40, concurrency=3, spread=lambda: 0.0)
    for source in stage.sources:
        source.answers_in = seconds(1)
    async with stage.kept_fresh():
        await stage.clock.advance(seconds(14))
    assert stage.traffic.most == 3
    assert all(session.usable() for session in stage.sessions)


async def test_many_roles_are_spread_over_the_start() -> None:
    chance = random.Random(7)
    async with Stage(roles=400, concurrency=400, spread=chance.random).kept_fresh() as stage:
        await stage.clock.advance(seconds(20))
    begun = Counter(int(source.fetches[0] - 1000) for source in stage.sources)
    assert set(begun) == set(range(20))
    assert max(begun.values()) < 45


async def test_a_thousand_idle_roles_wake_us_once_in_ten_seconds() -> None:
    async with Stage(roles=1_000, concurrency=1_000, spread=lambda: 0.0).kept_fresh() as stage:
        await stage.clock.advance(seconds(1))
        assert all(session.usable() for session in stage.sessions)
        before = stage.clock.sleeps
        await stage.clock.advance(minutes(20))
        assert stage.clock.sleeps - before <= 120


async def test_each_role_has_its_own_failures() -> None:
    stage = Stage(roles=2, spread=lambda: 0.0)
    stage.sources[0].failure = REFUSED
    async with stage.kept_fresh():
        assert [session.failing for session in stage.sessions] == [True, False]
        assert stage.sessions[1].usable() is not None


# First attempts, second chances, and what can be told


async def test_tried_returns_when_every_role_was_tried_whatever_came_of_it() -> None:
    stage = Stage(roles=3, spread=lambda: 0.0)
    stage.sources[0].failure, stage.sources[2].answers_in = DOWN, seconds(2)
    async with stage.kept_fresh():
        tried = asyncio.ensure_future(stage.keeper.tried())
        await stage.clock.advance(seconds(1.9))
        assert not tried.done()
        await stage.clock.advance(seconds(0.2))
        assert tried.done()
        await stage.keeper.tried()


async def test_no_roles_are_tried_at_once() -> None:
    keeper = Keeper([], clock=FakeClock(), concurrency=1, spread=halfway)
    await keeper.tried()


async def test_retry_now_asks_again_for_what_failed_and_for_nothing_else() -> None:
    stage = Stage(roles=2, spread=lambda: 0.0)
    stage.sources[0].failure = REFUSED
    async with stage.kept_fresh():
        stage.sources[0].failure = None
        await stage.clock.advance(seconds(1))
        stage.keeper.retry_now()
        await settle()
        assert [len(source.fetches) for source in stage.sources] == [2, 1]
        assert all(session.usable() for session in stage.sessions)
        stage.keeper.retry_now()
        await settle()
        assert [len(source.fetches) for source in stage.sources] == [2, 1]


async def test_retry_now_starts_no_second_fetch_of_a_role() -> None:
    stage = Stage(spread=lambda: 0.0)
    stage.source.failure = REFUSED
    async with stage.kept_fresh():
        stage.source.hangs = True
        await stage.clock.advance(seconds(10))
        assert stage.source.under_way == 1
        for _ in range(5):
            stage.keeper.retry_now()
            await settle()
        assert stage.source.most == 1


async def test_a_snapshot_tells_how_it_stands_and_no_secret() -> None:
    stage = Stage()
    fresh = stage.session.snapshot()
    assert (fresh.usable, fresh.id, fresh.left, fresh.next_attempt_in) == (False, None, None, None)
    async with stage.kept_fresh():
        await stage.clock.advance(minutes(10))
        told = stage.session.snapshot()
        assert told.name == "role0"
        assert (told.usable, told.id, told.failures, told.problem) == (True, FIRST, 0, None)
        assert (told.left, told.next_attempt_in) == (minutes(50), minutes(18.5))
        assert told.last_success is not None
        assert told.expires_at == told.last_success + timedelta(hours=1)
        assert not any(word in repr(told) for word in ("secret-of", "token-of"))
        stage.source.failure = DOWN
        await stage.clock.advance(minutes(60))
        late = stage.session.snapshot()
        assert (late.usable, late.id, late.left) == (False, FIRST, minutes(-10))
        assert late.failures > 1
        assert str(late.problem) == DOWN.what


# Sessions that come and go


async def test_a_session_that_is_added_is_fetched_at_once_and_kept_fresh() -> None:
    async with Stage(spread=lambda: 0.0).kept_fresh() as stage:
        await stage.clock.advance(minutes(10))
        late, source = stage.another()
        stage.keeper.add(late)
        stage.keeper.add(late)
        await settle()
        assert late.usable() is not None
        await stage.clock.advance(minutes(31))
        assert len(source.fetches) == 2


async def test_a_session_that_was_added_before_the_keeper_began_is_planned_once() -> None:
    stage = Stage()
    late, source = stage.another()
    stage.keeper.add(late)
    async with stage.kept_fresh():
        await stage.clock.advance(seconds(1))
        assert len(source.fetches) == len(stage.source.fetches) == 1


async def test_a_session_that_is_dropped_is_never_asked_for_again() -> None:
    async with Stage(roles=2, spread=lambda: 0.0).kept_fresh() as stage:
        stage.keeper.drop(stage.sessions[0])
        stage.keeper.drop(stage.sessions[0])
        await stage.clock.advance(timedelta(hours=2))
        assert len(stage.sources[0].fetches) == 1
        assert len(stage.sources[1].fetches) == 5


async def test_a_session_that_is_dropped_during_its_fetch_is_not_planned_again() -> None:
    stage = Stage()
    stage.source.answers_in = seconds(5)
    async with stage.kept_fresh():
        stage.keeper.drop(stage.session)
        await stage.clock.advance(timedelta(hours=2))
        assert len(stage.source.fetches) == 1


async def test_a_session_that_is_dropped_while_it_waits_for_its_turn_is_not_fetched() -> None:
    stage = Stage(roles=2, concurrency=1, spread=lambda: 0.0)
    stage.sources[0].answers_in = seconds(5)
    async with stage.kept_fresh():
        stage.keeper.drop(stage.sessions[1])
        await stage.clock.advance(minutes(1))
        assert (len(stage.sources[0].fetches), len(stage.sources[1].fetches)) == (1, 0)


async def test_ready_waits_for_those_of_the_start_alone_and_not_for_what_is_gone() -> None:
    stage = Stage(roles=2, spread=lambda: 0.0)
    stage.sources[1].hangs = True
    async with stage.kept_fresh():
        late, source = stage.another()
        source.hangs = True
        stage.keeper.add(late)
        waiting = asyncio.ensure_future(stage.keeper.tried())
        await settle()
        assert not waiting.done()
        stage.keeper.drop(stage.sessions[1])
        await waiting


async def test_what_a_session_is_about_is_told_with_all_that_happens_to_it() -> None:
    stage = Stage()
    late, source = stage.another()
    await late.renew()
    source.failure = DOWN
    await late.renew()
    assert late.snapshot().about == "grants#2: unit a.service"
    assert [told.about for told in stage.reported.of(SessionRenewed)] == ["grants#2: unit a.service"]
    assert [told.about for told in stage.reported.of(RenewalFailed)] == ["grants#2: unit a.service"]


async def test_the_longest_life_there_was_is_remembered() -> None:
    stage = Stage()
    assert stage.session.longest == timedelta(0)
    await stage.session.renew()
    stage.source.lifetime = timedelta(hours=2)
    await stage.session.renew()
    await stage.clock.advance(timedelta(hours=2))
    stage.source.lifetime = minutes(15)
    await stage.session.renew()
    assert stage.session.longest == timedelta(hours=2)
