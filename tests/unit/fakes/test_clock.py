"""Can tests trust the clock they are given?"""

import asyncio
from datetime import timedelta

from tests.fakes.clock import START, FakeClock


async def test_time_stands_still_until_told() -> None:
    clock = FakeClock()
    before = clock.steady()
    await asyncio.sleep(0)
    assert (clock.now(), clock.steady()) == (START, before)


async def test_sleepers_wake_in_order_and_see_the_moment_they_asked_for() -> None:
    clock = FakeClock()
    woke: list[tuple[str, float]] = []

    async def sleeper(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woke.append((name, clock.steady() - 1000))

    async with asyncio.TaskGroup() as tasks:
        for name, seconds in (("late", 30), ("early", 10), ("later", 40)):
            tasks.create_task(sleeper(name, seconds))
        await clock.advance(timedelta(seconds=35))
        assert woke == [("early", 10), ("late", 30)]
        assert clock.steady() == 1035
        assert clock.sleepers == 1
        await clock.advance(timedelta(seconds=5))
    assert woke[-1] == ("later", 40)


async def test_who_sleeps_again_when_woken_is_woken_again_within_one_advance() -> None:
    clock = FakeClock()
    ticks: list[float] = []

    async def ticker() -> None:
        for _ in range(5):
            await clock.sleep(2)
            ticks.append(clock.steady() - 1000)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(ticker())
        await clock.advance(timedelta(seconds=10))
    assert ticks == [2, 4, 6, 8, 10]


async def test_a_step_moves_the_wall_clock_alone() -> None:
    clock = FakeClock()
    clock.step(timedelta(hours=-1))
    assert clock.now() == START - timedelta(hours=1)
    assert clock.steady() == 1000


async def test_a_suspended_machine_counts_the_time_but_its_sleepers_do_not() -> None:
    clock = FakeClock()
    nap = asyncio.ensure_future(clock.sleep(10))
    await clock.advance(timedelta(seconds=4))
    clock.suspend(timedelta(hours=2))
    assert clock.steady() == 1004 + 7200
    assert clock.now() == START + timedelta(seconds=7204)
    await clock.advance(timedelta(seconds=5))
    assert not nap.done()
    await clock.advance(timedelta(seconds=1))
    assert nap.done()


async def test_a_cancelled_sleeper_is_not_counted_and_harms_nobody() -> None:
    clock = FakeClock()
    gone, stays = asyncio.ensure_future(clock.sleep(1)), asyncio.ensure_future(clock.sleep(2))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(0)
    assert clock.sleepers == 1
    await clock.advance(timedelta(seconds=2))
    assert stays.done()
    assert gone.cancelled()


async def test_no_sleep_is_no_wait() -> None:
    await FakeClock().sleep(0)
    await FakeClock().sleep(-1)
