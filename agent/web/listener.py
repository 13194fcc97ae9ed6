"""Where do requests come in, and how does that end?"""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from agent.web import sockets
from agent.web.sockets import Address

#: How long requests that are under way may still take when we close, in seconds.
GRACE = 2.0


@asynccontextmanager
async def serving(application: web.Application, where: Address | socket.socket) -> AsyncIterator[Address]:
    """Serve an ordinary application while the context lasts; yields the address that it listens on.

    On the way out nothing more is accepted, requests under way get their answer, then connections close.
    Raises ListenerUnavailable.
    """
    listening = sockets.opened(where)
    address = sockets.address_of(listening)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=GRACE)
    try:
        await runner.setup()
        await web.SockSite(runner, listening, backlog=sockets.BACKLOG).start()
        yield address
    finally:
        await runner.cleanup()
        listening.close()
