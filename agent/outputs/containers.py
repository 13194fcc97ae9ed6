"""What becomes of a listener whose address is not there yet?

The addresses at which SDKs look for credentials in a container are put on an interface by the operator, at some time,
or never. The listener for one waits for it, and the agent goes on.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, NoReturn

from agent.clock import Clock
from agent.errors import ListenerUnavailable
from agent.tasks import children
from agent.web.sockets import Address

#: How often it is tried again, in seconds.
_AGAIN: Final = 3.0


@asynccontextmanager
async def open_when_possible(
    where: Address,
    opening: Callable[[], AbstractAsyncContextManager[Address]],
    *,
    clock: Clock,
    tell: Callable[[ListenerUnavailable | None], None],
) -> AsyncIterator[Address]:
    """Have a listener open, from when it can be and while the context lasts; yields `where`, open or not.

    `opening` gives that listener, anew each time. `tell` is told once of each reason why it cannot be open, and None
    when it is. On the way out the listener closes as it does.
    """
    tried = asyncio.Event()
    async with children() as group:
        keeping = group.create_task(_kept_open(opening, clock, tell, tried))
        await tried.wait()
        try:
            yield where
        finally:
            keeping.cancel()


async def _kept_open(
    opening: Callable[[], AbstractAsyncContextManager[Address]],
    clock: Clock,
    tell: Callable[[ListenerUnavailable | None], None],
    tried: asyncio.Event,
) -> NoReturn:
    why = ""
    while True:
        try:
            async with opening():
                tell(None)
                tried.set()
                await asyncio.Event().wait()
        except ListenerUnavailable as error:
            if error.what != why:
                why = error.what
                tell(error)
        tried.set()
        await clock.sleep(_AGAIN)
