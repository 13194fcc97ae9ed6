import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.clock import DRIFT, RemoteClock, SystemClock, WorldClock, instant, parse_instant, within
from tests.fakes.clock import START, FakeClock, settle

HOUR = timedelta(hours=1)


def test_the_system_clock_tells_the_time_in_utc() -> None:
    before = datetime.now(UTC)  # noqa: TID251 - what it is compared with
    told = SystemClock().now()

    assert told.utcoffset() == timedelta(0)
    assert timedelta(0) <= told - before < timedelta(seconds=10)


def test_the_steady_clock_counts_suspended_time() -> None:
    assert abs(SystemClock().steady() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 10


async def test_the_system_clock_sleeps() -> None:
    clock = SystemClock()
    before = clock.steady()

    await clock.sleep(0.01)

    assert clock.steady() - before >= 0.01


# The time as somebody else tells it


def test_until_it_is_heard_a_remote_clock_is_our_own() -> None:
    base = FakeClock()
    clock = RemoteClock(base)

    base.step(HOUR)

    assert clock.now() == START + HOUR
    assert clock.offset is None


def test_what_was_told_is_the_time() -> None:
    clock = RemoteClock(FakeClock())

    clock.learn(START + HOUR)

    assert clock.now() == START + HOUR
    assert clock.offset == HOUR


async def test_what_was_told_is_carried_forward() -> None:
    base = FakeClock()
    clock = RemoteClock(base)
    clock.learn(START - HOUR)

    await base.advance(timedelta(minutes=5))

    assert clock.now() == START - HOUR + timedelta(minutes=5)
    assert clock.offset == -HOUR


def test_a_step_of_our_own_clock_changes_nothing_but_the_offset() -> None:
    base = FakeClock()
    clock = RemoteClock(base)
    clock.learn(START)

    base.step(HOUR)

    assert clock.now() == START
    assert clock.offset == -HOUR


def test_suspended_time_counts() -> None:
    base = FakeClock()
    clock = RemoteClock(base)
    clock.learn(START)

    base.suspend(HOUR)

    assert clock.now() == START + HOUR
    assert clock.steady() == base.steady()


async def test_a_remote_clock_sleeps_by_our_own() -> None:
    base = FakeClock()
    sleeping = asyncio.ensure_future(RemoteClock(base).sleep(60))
    await settle()

    assert base.sleepers == 1
    await base.advance(timedelta(seconds=60))
    await sleeping


# The latest that it can be


def heard(wrong: timedelta = timedelta(0)) -> tuple[FakeClock, RemoteClock]:
    """A clock that is wrong by so much, and what the service said a moment ago."""
    base = FakeClock()
    base.step(wrong)
    clock = RemoteClock(base)
    clock.learn(START)
    return base, clock


def test_what_the_wall_clock_gains_on_the_steady_clock_may_have_passed() -> None:
    base, clock = heard()
    base.pause(HOUR)
    assert (clock.now(), clock.latest()) == (START, START + HOUR)


def test_hearing_the_service_settles_it() -> None:
    base, clock = heard()
    base.pause(HOUR)
    clock.learn(START + HOUR)
    assert clock.latest() == clock.now() == START + HOUR


@pytest.mark.parametrize(
    ("wrong", "step"),
    [
        (-HOUR, HOUR),  # set right
        (-3 * HOUR, HOUR),  # nearer to what is right
        (timedelta(0), -HOUR),
        (HOUR, -HOUR),
        (timedelta(0), DRIFT),
        (HOUR, DRIFT),
    ],
)
def test_a_clock_that_is_mended_or_set_back_or_drifts_shows_no_lost_time(wrong: timedelta, step: timedelta) -> None:
    base, clock = heard(wrong)
    base.step(step)
    assert clock.latest() == clock.now() == START


async def test_time_that_was_counted_is_not_counted_twice() -> None:
    base, clock = heard()
    base.suspend(HOUR)
    await base.advance(HOUR)
    assert clock.latest() == clock.now() == START + 2 * HOUR


def test_until_the_service_is_heard_there_is_nothing_to_compare_with() -> None:
    base = FakeClock()
    clock = RemoteClock(base)
    base.step(HOUR)
    assert clock.latest() == START


# The time by which strangers judge


@pytest.mark.parametrize("step", [3 * HOUR, -3 * HOUR], ids=str)
def test_until_a_service_is_heard_the_time_of_the_world_is_the_wall_clock_however_it_is_set(step: timedelta) -> None:
    base = FakeClock()
    world = WorldClock(RemoteClock(base))
    base.step(step)
    assert world.now() == world.latest() == START + step


def test_a_service_that_is_heard_has_the_time_of_the_world() -> None:
    base, remote = heard(wrong=-HOUR)
    world = WorldClock(remote)
    told = world.now()
    assert told == remote.now()
    base.step(-3 * HOUR)
    assert world.now() == told


def test_a_pause_that_the_wall_clock_shows_has_passed_for_the_world() -> None:
    base, remote = heard()
    world = WorldClock(remote)
    before = world.now()
    base.pause(2 * HOUR)
    assert world.now() == before + 2 * HOUR
    assert remote.now() == before


async def test_the_clock_of_the_world_sleeps_and_counts_by_our_own() -> None:
    base = FakeClock()
    world = WorldClock(RemoteClock(base))
    sleeping = asyncio.ensure_future(world.sleep(5))
    await base.advance(timedelta(seconds=5))
    assert sleeping.done()
    assert world.steady() == base.steady()


def test_an_instant_is_written_in_utc_to_the_second() -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    assert instant(datetime(2026, 11, 20, 17, 30, 59, 999_999, tzinfo=there)) == "2026-11-20T12:00:59Z"


def test_an_instant_that_was_written_is_read_again() -> None:
    moment = datetime(2026, 11, 20, 12, 0, 59, tzinfo=UTC)
    assert parse_instant(instant(moment)) == moment
    assert parse_instant(instant(moment)).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "tomorrow", "2026-11-20", "2026-11-20T12:00:59", "2026-11-20 12:00:59Z", "2026-11-20T12:00:59z"),
        *("2026-11-20T12:00:59+00:00", "2026-11-20T12:00:59.5Z", "2026-11-31T12:00:59Z", "2026-11-20T12:00:60Z"),
        *("2026-11-2T12:00:59Z", "2026-11-20T12:0:59Z", "2026-11-20T12:00:59Z\n", "٢٠٢٦-11-20T12:00:59Z"),
    ],
)
def test_what_we_would_not_have_written_is_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"instant|format|range|convert|must be in"):
        parse_instant(text)


# Waiting no longer than so


async def test_what_is_ready_in_time_is_given() -> None:
    async def answer() -> str:
        await clock.sleep(5)
        return "here"

    clock = FakeClock()
    waiting = asyncio.ensure_future(within(clock, 10, answer()))
    await clock.advance(timedelta(seconds=5))

    assert await waiting == "here"
    assert clock.sleepers == 0


async def test_what_is_too_late_is_cancelled() -> None:
    async def answer() -> None:
        try:
            await clock.sleep(50)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    clock, ended = FakeClock(), list[str]()
    waiting = asyncio.ensure_future(within(clock, 10, answer()))
    await clock.advance(timedelta(seconds=10))

    with pytest.raises(TimeoutError):
        await waiting
    await settle()
    assert ended == ["cancelled"]


async def test_an_error_in_time_is_given_as_it_is() -> None:
    async def fail() -> None:
        raise LookupError("why")

    clock = FakeClock()
    with pytest.raises(LookupError, match="why"):
        await within(clock, 10, fail())
    await settle()
    assert clock.sleepers == 0


async def test_who_gives_up_waiting_leaves_nothing_behind() -> None:
    clock = FakeClock()
    waiting = asyncio.ensure_future(within(clock, 10, clock.sleep(50)))
    await settle()
    assert clock.sleepers == 2

    waiting.cancel()
    await settle()

    assert clock.sleepers == 0
    assert waiting.cancelled()
