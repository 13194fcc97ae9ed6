"""A listener waits for its address, and nobody else does."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.errors import ListenerUnavailable
from agent.outputs.containers import open_when_possible
from agent.web.sockets import opened
from tests.fakes.clock import FakeClock
from tests.fakes.ports import own_port


class Door:
    """A real socket that listens, and how often it was tried."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.address = address
        self.tried = 0
        self.open = False

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[tuple[str, int]]:
        self.tried += 1
        with opened(self.address):
            self.open = True
            try:
                yield self.address
            finally:
                self.open = False


async def test_an_address_that_is_there_is_open_at_once() -> None:
    told: list[ListenerUnavailable | None] = []
    door = Door(("127.0.0.1", own_port()))
    async with open_when_possible(door.address, door, clock=FakeClock(), tell=told.append) as where:
        assert where == door.address
        assert door.open
        assert told == [None]
    assert not door.open


async def test_one_that_is_not_there_is_waited_for_and_told_of_once() -> None:
    told: list[ListenerUnavailable | None] = []
    clock, door = FakeClock(), Door(("192.0.2.1", 80))
    async with open_when_possible(door.address, door, clock=clock, tell=told.append) as where:
        assert where == ("192.0.2.1", 80)
        await clock.advance(timedelta(minutes=1))
        assert door.tried > 10
        assert [str(one) for one in told] == ["cannot listen on 192.0.2.1:80: that is no address of this machine"]
        door.address = ("127.0.0.1", own_port())  # it appears
        await clock.advance(timedelta(seconds=3))
        assert door.open
        assert told[1:] == [None]
    assert not door.open


async def test_each_reason_is_told_of() -> None:
    told: list[ListenerUnavailable | None] = []
    clock, door = FakeClock(), Door(("192.0.2.1", 80))
    async with open_when_possible(door.address, door, clock=clock, tell=told.append):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            door.address = taken.getsockname()
            await clock.advance(timedelta(seconds=9))
        assert [str(one).rpartition(": ")[2] for one in told] == [
            "that is no address of this machine",
            "something listens there already",
        ]


async def test_what_happens_inside_comes_out_as_it_is() -> None:
    door = Door(("192.0.2.1", 80))
    with pytest.raises(KeyError):
        async with open_when_possible(door.address, door, clock=FakeClock(), tell=lambda _: None):
            raise KeyError
    with pytest.raises(asyncio.CancelledError):
        async with open_when_possible(door.address, door, clock=FakeClock(), tell=lambda _: None):
            raise asyncio.CancelledError


async def test_a_listener_with_a_bug_ends_the_service() -> None:
    @asynccontextmanager
    async def broken() -> AsyncIterator[tuple[str, int]]:
        raise ZeroDivisionError
        yield ("", 0)

    with pytest.raises(ExceptionGroup) as raised:
        async with open_when_possible(("127.0.0.1", 1), broken, clock=FakeClock(), tell=lambda _: None):
            await asyncio.sleep(5)
    assert raised.group_contains(ZeroDivisionError)
