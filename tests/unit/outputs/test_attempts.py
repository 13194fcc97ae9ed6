import asyncio
import threading
import time
from datetime import timedelta

import pytest

from agent.errors import ConfigurationError, TokenUnavailable
from agent.events import FileStuck
from agent.outputs.attempts import NAP, PATIENCE, Attempts, Means
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

MENDED_BY_SOMEBODY = ConfigurationError("/x cannot be replaced: no space", hint="make room")
PASSES = TokenUnavailable("the token is away", hint="wait")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def reported() -> Reported:
    return Reported()


@pytest.fixture
def attempts(clock: FakeClock, reported: Reported) -> Attempts:
    return Attempts("/x", "credentials", "web", Means(clock, reported, lambda: 0.5))


async def test_what_hinders_is_told_once_and_again_when_it_is_something_else(
    attempts: Attempts, reported: Reported
) -> None:
    for error in (MENDED_BY_SOMEBODY, MENDED_BY_SOMEBODY, PASSES, MENDED_BY_SOMEBODY):
        attempts.failed(error, None)
    told = [event.error for event in reported.of(FileStuck)]
    assert [(error.what, error.hint) for error in told] == [
        (error.what, error.hint) for error in (MENDED_BY_SOMEBODY, PASSES, MENDED_BY_SOMEBODY)
    ]
    assert attempts.trouble is told[-1]
    assert attempts.succeeded() == 4
    assert attempts.trouble is None
    assert attempts.succeeded() == 0
    attempts.failed(MENDED_BY_SOMEBODY, None)
    assert len(reported.of(FileStuck)) == 4


async def test_what_led_to_an_error_is_forgotten_since_it_has_seen_secrets(
    attempts: Attempts, reported: Reported
) -> None:
    secret = OSError("canary")
    with pytest.raises(ConfigurationError) as raised:
        raise ConfigurationError("no", hint="mend it") from secret
    attempts.failed(raised.value, None)
    (stuck,) = reported.of(FileStuck)
    for error in (stuck.error, attempts.trouble):
        assert error is not None
        assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)


async def test_waits_grow_to_five_minutes_for_what_somebody_must_mend(attempts: Attempts, clock: FakeClock) -> None:
    waits = []
    for _ in range(8):
        attempts.failed(MENDED_BY_SOMEBODY, None)
        before = clock.steady()
        while not attempts.due:
            await clock.advance(timedelta(seconds=1))
        waits.append(clock.steady() - before)
    assert waits == [15, 30, 60, 120, 225, 225, 225, 225]


async def test_what_passes_by_itself_is_tried_again_sooner_the_less_there_is_left(
    attempts: Attempts, clock: FakeClock, reported: Reported
) -> None:
    for _ in range(8):
        attempts.failed(PASSES, clock.now() + timedelta(minutes=1))
    await clock.advance(timedelta(seconds=29))
    assert not attempts.due
    await clock.advance(timedelta(seconds=1))
    assert attempts.due
    attempts.failed(PASSES, clock.now())
    await clock.advance(timedelta(seconds=3))
    assert attempts.due
    assert reported.of(FileStuck)[0].good_until is not None


async def test_a_nap_ends_when_somebody_is_in_a_hurry(attempts: Attempts, clock: FakeClock) -> None:
    attempts.failed(MENDED_BY_SOMEBODY, None)
    napping = asyncio.ensure_future(attempts.nap())
    await clock.advance(timedelta(seconds=1))
    assert not napping.done()
    attempts.hurry()
    await clock.advance(timedelta(0))
    assert napping.done()
    assert attempts.due


@pytest.mark.parametrize(("asked", "lasts"), [(3600.0, NAP), (2.5, 2.5)])
async def test_a_nap_is_short_so_that_a_machine_that_slept_is_not_late(
    attempts: Attempts, clock: FakeClock, asked: float, lasts: float
) -> None:
    napping = asyncio.ensure_future(attempts.nap(asked))
    await clock.advance(timedelta(seconds=lasts - 0.1))
    assert not napping.done()
    await clock.advance(timedelta(seconds=0.1))
    assert napping.done()


async def test_a_file_system_that_hangs_holds_one_thread_and_is_told_of(attempts: Attempts, clock: FakeClock) -> None:
    mended = threading.Event()
    order: list[int] = []

    def hang(number: int) -> int:
        mended.wait(10)
        order.append(number)
        return number

    threads = threading.active_count()
    for number in (1, 2, 3):
        waiting = asyncio.ensure_future(attempts.blocking(hang, number))
        await clock.advance(timedelta(seconds=PATIENCE))
        with pytest.raises(ConfigurationError, match="no answer for 30 s"):
            await waiting
    assert threading.active_count() == threads + 1
    last = asyncio.ensure_future(attempts.blocking(hang, 4))
    mended.set()
    assert await last == 4
    assert order == [1, 4]


async def test_no_thread_to_be_had_is_told_of(attempts: Attempts) -> None:
    def work() -> None:
        raise RuntimeError("can't start new thread")

    with pytest.raises(ConfigurationError, match="no thread"):
        await attempts.blocking(work)


async def test_the_loop_is_not_held_up(attempts: Attempts) -> None:
    turns = 0
    waiting = asyncio.ensure_future(attempts.blocking(time.sleep, 0.05))
    while not waiting.done():
        turns += 1
        await asyncio.sleep(0.001)
    assert turns > 5
