"""How is blocking work done on what bears only one at a time: a device, or a session with one?"""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from agent.clock import Clock, within
from agent.threads import aside

T = TypeVar("T")
P = ParamSpec("P")


class Turns:
    """One piece of work after the other, each in a thread, none on the loop.

    Work that is under way cannot be stopped. Whoever gives up on it leaves it behind, and the next still waits for it
    to end: a device that hangs holds one thread, however many ask. One that is only slow gets its work done, however
    many wait for it.
    """

    def __init__(self, clock: Clock, patience: float) -> None:
        """Wait `patience` seconds at most for the work, and before that for each that has its turn earlier."""
        self._clock = clock
        self._patience = patience
        self._under_way: asyncio.Task[object] | None = None

    async def take(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the work when its turn has come. Raises what it raises, and TimeoutError."""
        while self._under_way is not None and not self._under_way.done():
            await within(self._clock, self._patience, asyncio.wait({self._under_way}))
        task = asyncio.ensure_future(aside(work, *args, **kwargs))
        task.add_done_callback(_heard)
        self._under_way = task
        return await within(self._clock, self._patience, asyncio.shield(task))


def _heard(task: "asyncio.Task[object]") -> None:
    """Take notice of an error that nobody waits for any more."""
    if not task.cancelled():
        task.exception()
