"""How does a program without an event loop use the sandbox?"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial

from agent.sandbox.server import Sandbox


@contextmanager
def in_thread(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Run a sandbox on a loop and a thread of its own while the context is open.

    Its addresses, `world`, `faults` and `requests` may be used from any thread. Raises what starting it raises.
    """
    started: Future[Callable[[], object]] = Future()
    thread = threading.Thread(target=lambda: asyncio.run(_live(sandbox, started)), name="sandbox", daemon=True)
    thread.start()
    try:
        stop = started.result()
        try:
            yield sandbox
        finally:
            stop()
    finally:
        thread.join()


async def _live(sandbox: Sandbox, started: "Future[Callable[[], object]]") -> None:
    """Be open until told to stop; what prevents that is for the other thread to hear of."""
    stop = asyncio.Event()
    try:
        async with sandbox:
            started.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, stop.set))
            await stop.wait()
    except BaseException as failure:
        if started.done():
            raise
        started.set_exception(failure)
