"""What becomes of work that may never end: a read from a file server that has gone away, say?

It gets a thread of its own. asyncio.to_thread has one pool for everything: a few reads that hang there, and nothing
else that needs a thread gets one, the look-up of names among it. And whoever leaves a loop, or the interpreter, waits
for that pool without limit; for these threads nobody waits.

So no work belongs here that must not be cut off in its middle, such as writing. How many such threads there can be is
for the callers to bound, by asking once at a time.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import ParamSpec, TypeVar

T = TypeVar("T")
P = ParamSpec("P")


async def aside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Do blocking work in a thread that nobody waits for but the caller, and he only until he is cancelled.

    Raises what the work raises, and RuntimeError if the system allows no more threads.
    """
    outcome: Future[T] = Future()
    outcome.set_running_or_notify_cancel()  # from here on a caller who gives up changes nothing for the thread

    def run() -> None:
        nonlocal outcome
        try:
            outcome.set_result(work(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            outcome.set_exception(error)
        finally:
            del outcome

    told = asyncio.wrap_future(outcome)
    Thread(target=run, name=f"aside: {getattr(work, '__name__', 'work')}", daemon=True).start()
    try:
        return await told
    finally:
        del told  # or an error would be held by its own frames, and with it the secrets that they have seen
