"""What did a client send to AWS? A gate before the sandbox, one for each client, that hears every request.

It passes requests on as they are, byte for byte where that is signed, and judges by two things: whether there was a
signature at all, and whether AWS, which verifies it, took it.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web
from yarl import URL

from agent.sandbox import Sandbox

#: What speaks of one connection alone (RFC 9110, section 7.6.1), and what aiohttp counts by itself.
ONE_CONNECTION = frozenset({"connection", "keep-alive", "transfer-encoding", "te", "upgrade", "content-length"})
_KEY = re.compile(r"Credential=([^/,\s]+)/")


@dataclass
class Gate:
    """The way of one client to AWS, and what went through it since it was last asked.

    Attributes:
        heard: of each request "signed", or what was wrong: "unsigned", "expired", "of no session", "wrongly signed".
    """

    url: str = ""
    heard: list[str] = field(default_factory=list)

    def take(self) -> list[str]:
        """What was heard, and forget it."""
        heard, self.heard = self.heard, []
        return heard


@asynccontextmanager
async def gate_to(sandbox: Sandbox) -> AsyncIterator[Gate]:
    """A gate on a port of its own."""
    gate = Gate()
    async with aiohttp.ClientSession(auto_decompress=False, trust_env=False) as session:

        async def passed(request: web.BaseRequest) -> web.Response:
            body = await request.read()
            kept = [(name, value) for name, value in request.headers.items() if name.lower() not in ONE_CONNECTION]
            async with session.request(
                request.method,
                URL(sandbox.endpoint_url.rstrip("/") + request.raw_path, encoded=True),
                headers=kept,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as answer:
                said = await answer.read()
                gate.heard.append(_judged(request, answer.status, sandbox))
                drop = ONE_CONNECTION - ({"content-length"} if request.method == "HEAD" else set())
                named = [(name, value) for name, value in answer.headers.items() if name.lower() not in drop]
                return web.Response(status=answer.status, body=said, headers=named)

        runner = web.ServerRunner(web.Server(passed), shutdown_timeout=0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        gate.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield gate
        finally:
            await runner.cleanup()


def _judged(request: web.BaseRequest, status: int, sandbox: Sandbox) -> str:
    """A signature that AWS has taken is good; of one that it has not, why. HEAD has no body that could say."""
    if "Authorization" not in request.headers:
        return "unsigned"
    if status < 400:
        return "signed"
    key = _KEY.search(request.headers["Authorization"])
    issued = sandbox._cloud.register.find(key[1]) if key else None
    if issued is None:
        return "of no session"
    return "expired" if issued.expires_at <= sandbox._cloud.now() else "wrongly signed"
