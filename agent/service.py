"""How does the daemon live: what is opened, in which order, and closed again?

Shutdown is nesting, not a routine: what is opened last is closed first. When `until` returns, a late caller
is refused at the socket, the request in flight gets its answer, the jobs are cancelled, the clients close.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import NoReturn

from agent.clock import Clock, within
from agent.tasks import children

#: Something that runs for as long as the daemon does.
Job = Callable[[], Awaitable[object]]

#: The address that a listener listens on, once it is open: host and port.
Address = tuple[str, int]

#: Opens a listener when entered, closes it when left.
Listener = Callable[[], AbstractAsyncContextManager[Address]]

#: How long a start waits for each role's first attempt, in seconds: a machine must boot without a network.
READY_PATIENCE = 5.0


@dataclass(frozen=True, slots=True)
class Service:
    """The daemon, built and not started.

    `run` lives by all of it but the last two, which are for whoever starts it: for a signal, and for telling how it is.

    Attributes:
        clients: connections to the outside, opened first and closed last.
        jobs: what runs for ever; a job that ends, ends the daemon.
        listeners: by name, in the order in which they open.
        tried: returns when every role has had its first attempt.
        nudge: tries again at once whatever is waiting after a failure.
        state: one line on how it is, for the service manager.
    """

    clients: AbstractAsyncContextManager[object]
    jobs: Sequence[Job]
    listeners: Sequence[tuple[str, Listener]]
    tried: Callable[[], Awaitable[None]]
    nudge: Callable[[], None]
    state: Callable[[], str]


async def run(
    service: Service,
    *,
    until: Callable[[], Awaitable[object]],
    ready: Callable[[dict[str, Address]], None],
    stopping: Callable[[], None],
    clock: Clock,
) -> None:
    """Live until `until` returns.

    `ready` is told the open listeners once every role has had its first attempt, or after 5 s; `stopping` is
    called when the end begins. Raises the AgentError that kept a client or listener from opening; an
    ExceptionGroup if a job died, with the listeners already closed.
    """
    async with service.clients, running(service.jobs), AsyncExitStack() as listeners:
        addresses = {name: await listeners.enter_async_context(listener()) for name, listener in service.listeners}
        ended = asyncio.ensure_future(until())
        settled = asyncio.ensure_future(_settled(service, clock))
        try:
            await asyncio.wait({ended, settled}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                ready(addresses)
            await ended
        finally:
            settled.cancel()
            ended.cancel()
            await asyncio.wait({settled, ended})  # what they still hold is let go before the listeners close
        stopping()


async def _settled(service: Service, clock: Clock) -> None:
    # A role that has none yet answers 503 and shows in the status; the machine boots on.
    with contextlib.suppress(TimeoutError):
        await within(clock, READY_PATIENCE, service.tried())


@asynccontextmanager
async def running(jobs: Sequence[Job]) -> AsyncIterator[None]:
    """Run all jobs while the body runs; a job that ends in any way ends the body, too."""
    async with children() as group:
        tasks = [group.create_task(_for_ever(job)) for job in jobs]
        yield
        for task in tasks:
            task.cancel()


async def _for_ever(job: Job) -> NoReturn:
    await job()
    name = getattr(job, "__qualname__", repr(job))
    raise RuntimeError(f"{name} was to run for ever, and has returned")
