"""Blocking work, one piece at a time: nobody waits for ever, and nothing piles up behind what hangs."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest

from agent.clock import SystemClock
from agent.turns import Turns
from tests.fakes.clock import FakeClock, settle


class Device:
    """Does one thing at a time, and hangs until it is let go."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.done: list[str] = []
        self.at_once = 0
        self.most = 0
        self._count = threading.Lock()

    def work(self, name: str) -> str:
        with self._count:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        assert self.may_go.wait(10)
        with self._count:
            self.at_once -= 1
            self.done.append(name)
        return name


@contextmanager
def hanging() -> Iterator[Device]:
    device = Device()
    device.may_go.clear()
    try:
        yield device
    finally:
        device.may_go.set()


async def until(true: Callable[[], bool]) -> None:
    """Wait, for threads cannot be told the time, until it is so."""
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - no thread tells the loop
            await asyncio.sleep(0.001)


def threads() -> int:
    return sum(thread.name == "aside: hang_here" for thread in threading.enumerate())


async def test_work_is_done_off_the_loop_and_gives_what_it_gives() -> None:
    turns = Turns(SystemClock(), 10)

    def where(*, add: int) -> tuple[int, int]:
        return threading.get_ident(), add + 1

    thread, sum_ = await turns.take(where, add=1)
    assert thread != threading.get_ident()
    assert sum_ == 2


async def test_one_works_at_a_time_and_all_come_to_their_turn() -> None:
    turns, device = Turns(SystemClock(), 10), Device()
    names = [str(n) for n in range(30)]
    assert await asyncio.gather(*(turns.take(device.work, name) for name in names)) == names
    assert device.done == names
    assert device.most == 1


async def test_what_the_work_raises_is_raised_and_the_next_goes_on() -> None:
    turns = Turns(SystemClock(), 10)
    with pytest.raises(ValueError, match="invalid literal"):
        await turns.take(int, "no number")
    assert await turns.take(int, "7") == 7


async def test_whoever_waits_for_work_that_hangs_is_told_when_his_patience_ends() -> None:
    clock = FakeClock()
    turns = Turns(clock, 5)
    with hanging() as device:
        first, second = (asyncio.ensure_future(turns.take(device.work, name)) for name in ("first", "second"))
        await settle()
        await clock.advance(timedelta(seconds=4))
        assert not first.done()
        await clock.advance(timedelta(seconds=2))
        for asked in (first, second):
            with pytest.raises(TimeoutError):
                await asked
        await until(lambda: device.at_once == 1)
    await until(lambda: device.done == ["first"])  # the other had given up before its turn


async def test_a_device_that_is_only_slow_does_the_work_of_all_who_wait() -> None:
    clock = FakeClock()
    turns = Turns(clock, 5)
    may_go = threading.Semaphore(0)

    def slow(name: int) -> int:
        assert may_go.acquire(timeout=10)
        return name

    asked = [asyncio.ensure_future(turns.take(slow, name)) for name in range(20)]
    await settle()
    for done in range(20):  # 80 seconds, and nobody's patience is worn out
        await clock.advance(timedelta(seconds=4))
        may_go.release()
        await until(lambda: sum(one.done() for one in asked) > done)  # noqa: B023 - it is awaited here
        await settle()
    assert [one.result() for one in asked] == list(range(20))


async def test_however_many_ask_a_device_that_hangs_it_holds_one_thread_and_works_again_afterwards() -> None:
    clock = FakeClock()
    turns = Turns(clock, 5)
    with hanging() as device:

        def hang_here() -> str:
            return device.work("hangs")

        for _ in range(20):
            asked = asyncio.ensure_future(turns.take(hang_here))
            await settle()
            await clock.advance(timedelta(seconds=6))
            with pytest.raises(TimeoutError):
                await asked
        assert threads() == 1
        waiting = asyncio.ensure_future(turns.take(device.work, "later"))
        await settle()
        assert not waiting.done()
    assert await waiting == "later"
    assert device.done == ["hangs", "later"]
    assert device.most == 1


async def test_a_caller_who_is_cancelled_leaves_his_work_behind_and_the_next_waits_for_it() -> None:
    turns = Turns(SystemClock(), 10)
    with hanging() as device:
        first = asyncio.ensure_future(turns.take(device.work, "first"))
        await until(lambda: device.at_once == 1)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        second = asyncio.ensure_future(turns.take(device.work, "second"))
        await settle()
        assert device.at_once == 1
    assert await second == "second"
    assert device.done == ["first", "second"]
    assert device.most == 1


async def test_a_caller_who_is_cancelled_before_his_turn_starts_nothing() -> None:
    turns = Turns(SystemClock(), 10)
    with hanging() as device:
        first = asyncio.ensure_future(turns.take(device.work, "first"))
        await until(lambda: device.at_once == 1)
        second = asyncio.ensure_future(turns.take(device.work, "second"))
        await settle()
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    assert await first == "first"
    assert await turns.take(device.work, "third") == "third"
    assert device.done == ["first", "third"]


async def test_an_error_that_nobody_waits_for_any_more_disturbs_nobody() -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    clock = FakeClock()
    turns = Turns(clock, 5)
    may_go = threading.Event()

    def fails() -> None:
        assert may_go.wait(10)
        raise OSError("the device fails at last")

    asked = asyncio.ensure_future(turns.take(fails))
    await settle()
    await clock.advance(timedelta(seconds=6))
    with pytest.raises(TimeoutError):
        await asked
    may_go.set()
    assert await turns.take(str, 7) == "7"
    del asked
    await settle()
    assert told == []
