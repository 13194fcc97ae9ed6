"""The life of the daemon: opened in order, closed in the opposite order, whatever happens in between."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta

import pytest

from agent.errors import ListenerUnavailable
from agent.service import Address, Service, run
from tests.fakes.clock import FakeClock, settle


class Diary:
    """Builds services out of parts that write down what happens to them."""

    def __init__(self) -> None:
        self.entries: list[str] = []
        self.stop = asyncio.Event()
        self.tried = asyncio.Event()
        self.clock = FakeClock()

    @asynccontextmanager
    async def part(self, name: str) -> AsyncIterator[Address]:
        self.entries.append(f"{name} opens")
        try:
            yield ("127.0.0.1", 1)
        finally:
            self.entries.append(f"{name} closes")

    async def job(self) -> None:
        self.entries.append("job starts")
        try:
            await asyncio.Event().wait()
        finally:
            self.entries.append("job ends")

    async def wait_for_first_attempts(self) -> None:
        await self.tried.wait()

    def service(
        self,
        *,
        job: Callable[[], Awaitable[object]] | None = None,
        last: Callable[[], AbstractAsyncContextManager[Address]] | None = None,
    ) -> Service:
        return Service(
            clients=self.part("client"),
            jobs=[job or self.job],
            listeners=[("first", lambda: self.part("first")), ("last", last or (lambda: self.part("last")))],
            tried=self.wait_for_first_attempts,
            nudge=lambda: None,
            state=lambda: "",
        )

    def started(self, service: Service) -> "asyncio.Future[None]":
        return asyncio.ensure_future(
            run(
                service,
                until=self.stop.wait,
                ready=lambda addresses: self.entries.append(f"ready {sorted(addresses)}"),
                stopping=lambda: self.entries.append("stopping"),
                clock=self.clock,
            )
        )


async def test_what_is_opened_last_is_closed_first() -> None:
    diary = Diary()
    running = diary.started(diary.service())
    diary.tried.set()
    await settle()
    diary.stop.set()
    await running
    assert diary.entries == [
        "client opens",
        "first opens",
        "last opens",
        "job starts",
        "ready ['first', 'last']",
        "stopping",
        "last closes",
        "first closes",
        "job ends",
        "client closes",
    ]


async def test_ready_waits_for_the_first_attempts_but_only_so_long() -> None:
    diary = Diary()
    running = diary.started(diary.service())
    await diary.clock.advance(timedelta(seconds=4.9))
    assert not [entry for entry in diary.entries if entry.startswith("ready")]
    await diary.clock.advance(timedelta(seconds=0.2))
    assert [entry for entry in diary.entries if entry.startswith("ready")]
    diary.stop.set()
    await running


async def test_told_to_stop_before_it_is_ready_it_stops_at_once() -> None:
    diary = Diary()
    running = diary.started(diary.service())
    await settle()
    diary.stop.set()
    await settle()
    await running
    assert not [entry for entry in diary.entries if entry.startswith("ready")]
    assert diary.entries[-1] == "client closes"


async def test_a_job_that_dies_closes_the_listeners_first_and_comes_out_as_a_group() -> None:
    diary = Diary()

    async def dies() -> None:
        await diary.clock.sleep(10)
        raise ZeroDivisionError

    running = diary.started(diary.service(job=dies))
    await diary.clock.advance(timedelta(seconds=11))
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)
    assert diary.entries[-3:] == ["last closes", "first closes", "client closes"]


async def test_a_job_that_merely_returns_is_an_error_too() -> None:
    diary = Diary()

    async def returns() -> None:
        await diary.clock.sleep(10)

    running = diary.started(diary.service(job=returns))
    await diary.clock.advance(timedelta(seconds=11))
    with pytest.raises(ExceptionGroup) as caught:
        await running
    assert "was to run for ever" in str(caught.value.exceptions[0])


async def test_a_listener_that_cannot_open_closes_all_before_it_and_comes_out_bare() -> None:
    diary = Diary()

    @asynccontextmanager
    async def taken() -> AsyncIterator[Address]:
        raise ListenerUnavailable("taken")
        yield ("", 0)

    with pytest.raises(ListenerUnavailable):
        await diary.started(diary.service(last=taken))
    assert diary.entries[-2:] == ["first closes", "client closes"]
