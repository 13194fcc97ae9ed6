"""A job that keeps a file, run by a clock that moves only when told to; its threads are real."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from tests.fakes.clock import FakeClock, settle

#: A job may take so many turns between a thread and the loop before it naps.
_TURNS = 3

#: As long as a job naps.
_STEP = timedelta(seconds=10)


async def quiet() -> None:
    """Wait until whoever works in a thread of its own has come back, and what follows from that has been done."""
    for _ in range(_TURNS):
        while any(thread.name.startswith("aside: ") for thread in threading.enumerate()):  # noqa: ASYNC110 - no events
            await asyncio.sleep(0.001)
        await settle()


async def pass_time(clock: FakeClock, by: timedelta) -> None:
    """Let time pass in steps, each with all that is done in it: threads must come back before their time is up."""
    while by > timedelta(0):
        await clock.advance(min(by, _STEP))
        await quiet()
        by -= _STEP


@asynccontextmanager
async def kept(job: Callable[[], Coroutine[Any, Any, Any]]) -> AsyncIterator[None]:
    """Run the job while the context lasts; it must not end by itself."""
    running = asyncio.ensure_future(job())
    await quiet()
    try:
        yield
        await quiet()
        if running.done():
            await running
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
