"""Who sends what to the proxy that the environment names? One that passes on, and remembers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from tests.conformance.gate import ONE_CONNECTION


@dataclass
class Proxy:
    """What came to it.

    Attributes:
        requests: method and URL of each request, the oldest first.
        tokens: the Authorization headers that came along.
    """

    url: str = ""
    requests: list[str] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def forget(self) -> None:
        """Forget all of it."""
        self.requests.clear()
        self.tokens.clear()


@asynccontextmanager
async def listening_proxy() -> AsyncIterator[Proxy]:
    """A proxy for plain HTTP, on a port of its own. It has no CONNECT: that is 405, and remembered like the rest."""
    proxy = Proxy()
    async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session:

        async def passed(request: web.BaseRequest) -> web.Response:
            proxy.requests.append(f"{request.method} {request.raw_path}")
            if token := request.headers.get("Authorization"):
                proxy.tokens.append(token)
            if not request.raw_path.startswith("http://"):
                return web.Response(status=405)
            body = await request.read()
            kept = [(name, value) for name, value in request.headers.items() if name.lower() not in ONE_CONNECTION]
            async with session.request(
                request.method, URL(request.raw_path, encoded=True), headers=kept, data=body, allow_redirects=False
            ) as answer:
                named = [(name, value) for name, value in answer.headers.items() if name.lower() not in ONE_CONNECTION]
                return web.Response(status=answer.status, body=await answer.read(), headers=named)

        runner = web.ServerRunner(web.Server(passed), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        proxy.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
