"""Somebody else's web site, and a sandbox that is told to look there."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

from agent.sandbox import PracticeIssuer
from agent.sandbox.listen import listening
from tests.unit.sandbox.scene import ISSUER, Scene, rsa_key, scene

NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)


WRONG_CERTIFICATE = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"


DISCOVERY = "/.well-known/openid-configuration"


OURS = PracticeIssuer(ISSUER, rsa_key())


@dataclass
class Site:
    """Somebody else's web server, which shows our documents, or what a test puts in their place."""

    answers: dict[str, web.Response | str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    hang: bool = False
    visited: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers["Host"]))
        self.visited.set()
        if self.hang:
            await asyncio.Event().wait()
        given = self.answers.get(request.path)
        if isinstance(given, web.Response):
            return given
        if isinstance(given, str):
            return web.Response(status=302, headers={"Location": given})
        documents: Mapping[str, object] = {DISCOVERY: OURS.discovery, "/keys.json": {"keys": [OURS.jwk]}}
        if request.path not in documents:
            return web.Response(status=404)
        return web.json_response(documents[request.path])


@asynccontextmanager
async def visited(home: Path, site: Site, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Scene]:
    async with (
        listening(site.serve, "127.0.0.1", 0, tls) as url,
        scene(home, sites={ISSUER: url, "https://keys.example.com": url}, **options) as here,
    ):
        yield here
