"""How does the sandbox open a port?"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from agent.errors import ListenerUnavailable

_LARGEST_BODY: Final = 64 * 1024 * 1024

Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def listening(serve: Serve, host: str, port: int, tls: ssl.SSLContext | None) -> AsyncIterator[str]:
    """Serve every request with `serve` while the context is open; gives the base URL.

    Raises ListenerUnavailable if the address is taken or not ours.
    """
    application = web.Application(client_max_size=_LARGEST_BODY)
    application.router.add_route("*", "/{anything:.*}", serve)
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls, backlog=1024)
        try:
            await site.start()
        except OSError as failure:
            raise ListenerUnavailable(
                f"the sandbox cannot listen on {host}:{port}",
                hint="is something there already? ss -ltnp tells; or choose another address, or port 0 for any",
            ) from failure
        bound = runner.addresses[0][1]
        shown = f"[{host}]" if ":" in host else host
        yield f"{'https' if tls else 'http'}://{shown}:{bound}"
    finally:
        transports = [one.transport for one in (runner.server.connections if runner.server else ())]
        await runner.cleanup()
        for transport in transports:
            if transport is not None:
                transport.abort()  # TLS would wait for the other side to say goodbye too
        for _ in range(3):
            await asyncio.sleep(0)  # what was aborted is closed in the loop's next turns
