import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.callers.aws.fairness import Lanes, Patience
from agent.errors import ProofUnchecked
from tests.fakes.clock import FakeClock, settle


class Work:
    """What is done by turns, each until it is let go."""

    def __init__(self, lanes: Lanes) -> None:
        self.lanes = lanes
        self.begun: list[str] = []
        self.go: dict[str, asyncio.Event] = {}
        self.after: dict[str, Callable[[], object]] = {}  # what happens when a turn has just been given on

    async def do(self, name: str, address: str) -> None:
        async with self.lanes.turn(address):
            self.begun.append(name)
            await self.go.setdefault(name, asyncio.Event()).wait()
        self.after.get(name, lambda: None)()

    def start(self, name: str, address: str) -> asyncio.Task[None]:
        return asyncio.ensure_future(self.do(name, address))

    async def finish(self, name: str) -> None:
        self.go.setdefault(name, asyncio.Event()).set()
        await settle()


async def test_so_many_are_done_at_once_and_the_rest_by_turns_of_their_addresses() -> None:
    work = Work(Lanes(2))
    tasks = [work.start(f"flood{number}", "192.0.2.1") for number in range(10)]
    await settle()
    tasks += [work.start("one", "192.0.2.2"), work.start("two", "192.0.2.3")]
    await settle()
    assert work.begun == ["flood0", "flood1"]
    await work.finish("flood0")
    await work.finish("flood1")
    await work.finish("flood2")
    assert work.begun == ["flood0", "flood1", "flood2", "one", "two"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_network_of_ipv6_is_one_address() -> None:
    work = Work(Lanes(1))
    tasks = [work.start(f"flood{number}", f"2001:db8::{number:x}") for number in range(1, 6)]
    await settle()
    tasks.append(work.start("other", "2001:db8:1::1"))
    await settle()
    await work.finish("flood1")
    await work.finish("flood2")
    assert work.begun == ["flood1", "flood2", "other"]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_gives_up_waiting_leaves_his_place_and_nobody_waits_for_ever() -> None:
    work = Work(Lanes(1))
    first, second, third = (work.start(name, "192.0.2.1") for name in ("first", "second", "third"))
    await settle()
    second.cancel()
    await settle()
    await work.finish("first")
    assert work.begun == ["first", "third"]
    await work.finish("third")
    await asyncio.gather(first, third)


async def test_a_turn_that_was_given_to_somebody_who_gives_up_just_then_goes_on() -> None:
    work = Work(Lanes(1))
    first, second, third = (work.start(name, "192.0.2.1") for name in ("first", "second", "third"))
    await settle()
    work.after["first"] = second.cancel
    await work.finish("first")
    assert first.done()
    assert work.begun == ["first", "third"]
    await work.finish("third")
    await third


async def test_who_gives_up_the_moment_before_his_turn_comes_takes_nobodys_turn() -> None:
    work = Work(Lanes(1))
    first, second, third = (work.start(name, "192.0.2.1") for name in ("first", "second", "third"))
    await settle()
    work.go.setdefault("first", asyncio.Event()).set()
    await asyncio.sleep(0)  # first goes on in the next round of the loop, and does not wait for second to hear of it
    second.cancel()
    await settle()
    assert work.begun == ["first", "third"]
    await work.finish("third")
    await asyncio.gather(first, third)
    await work.lanes.turn("192.0.2.2").__aenter__()  # and what was free once is free again


async def test_a_crowd_that_hangs_up_at_once_leaves_all_turns_to_others() -> None:
    work = Work(Lanes(2))
    crowd = [work.start(f"{number}", "192.0.2.1") for number in range(40)]
    await settle()
    for name in ("0", "1"):
        work.go.setdefault(name, asyncio.Event()).set()
    for task in crowd[2:]:
        task.cancel()
    await settle()
    assert [task.cancelled() for task in crowd] == [False, False, *[True] * 38]
    others = [work.start("two", "192.0.2.2"), work.start("three", "192.0.2.3")]
    await settle()
    assert work.begun == ["0", "1", "two", "three"]
    for task in others:
        task.cancel()
    await asyncio.gather(*crowd, *others, return_exceptions=True)


async def test_more_than_may_wait_are_told_so_at_once() -> None:
    work = Work(Lanes(1))
    tasks = [work.start(f"{number}", "192.0.2.1") for number in range(129)]
    await settle()
    with pytest.raises(ProofUnchecked):
        await work.do("more", "192.0.2.1")
    tasks.append(work.start("somebody else", "192.0.2.2"))
    await settle()
    await work.finish("0")
    await work.finish("1")
    assert work.begun[-1] == "somebody else"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_who_shows_too_much_that_is_no_good_is_not_heard_for_a_while_and_others_are() -> None:
    clock = FakeClock()
    patience = Patience(clock)
    for _ in range(20):
        patience.check("192.0.2.1")
        patience.strain("192.0.2.1")
    with pytest.raises(ProofUnchecked):
        patience.check("192.0.2.1")
    patience.check("192.0.2.2")
    await clock.advance(timedelta(seconds=1))
    patience.check("192.0.2.1")


async def test_however_much_it_was_a_minute_is_enough() -> None:
    clock = FakeClock()
    patience = Patience(clock)
    for _ in range(10_000):
        patience.strain("192.0.2.1")
    await clock.advance(timedelta(seconds=62))
    patience.check("192.0.2.1")


async def test_addresses_that_are_made_up_take_no_more_room_than_there_is() -> None:
    patience = Patience(FakeClock())
    for number in range(5000):
        patience.strain(f"10.0.{number // 250}.{number % 250}")
    assert len(patience._left) == 4096
