"""How is the sandbox started and stopped?"""

import random
import ssl
from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from agent.clock import Clock, SystemClock
from agent.errors import ConfigurationError
from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.control import Control
from agent.sandbox.faults import Faults
from agent.sandbox.front import Front
from agent.sandbox.listen import listening
from agent.sandbox.s3.service import S3
from agent.sandbox.site import DirectorySite
from agent.sandbox.sts.assume import WebIdentity
from agent.sandbox.sts.fetch import Fetcher
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.sts.service import Sts
from agent.sandbox.tls import new_authority, server_context, with_wrong_certificate
from agent.sandbox.wire import Wire
from agent.sandbox.world import Site, World

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


class Sandbox:
    """An AWS of one's own: STS and a little S3, and the web sites of the issuers it trusts.

    Building it starts nothing; it runs while its context is open (`async with`). The attributes that begin with an
    address exist from then on.

    Args:
        world: the account; assign to `world` to change it while it runs.
        clock: what time it is in this AWS.
        sites: issuer URL to where its documents are: a directory, which the sandbox serves, or an http(s) base URL.
        tls: serve https with a certificate of an authority made for the occasion; `ca_file` is to be trusted.
        rng: where credentials are drawn from; give a seeded one for the same credentials every time.
        host, port: where the endpoint listens; port 0 is any free one. All other listeners take free ports, and stay
            on the loopback: whoever reaches the control endpoint rules this AWS.
        keys_kept: how long an issuer's keys are used again before they are fetched anew.
    """

    endpoint_url: str
    control_url: str
    ca_file: Path | None

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        sites: Mapping[str, Site] | None = None,
        tls: bool = False,
        rng: random.Random | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        keys_kept: timedelta = timedelta(0),
    ) -> None:
        self._cloud = Cloud(world, clock or SystemClock(), rng or random.SystemRandom())
        self._sites = dict(sites or {})
        for issuer in self._sites:
            if urlsplit(issuer).scheme != "https":
                raise ConfigurationError(f"{issuer} is not an issuer's URL", hint="it begins with https://")
        self._tls = tls
        self._address = (host, port)
        self._private = host if host in _LOOPBACK else _LOOPBACK[0]
        self._keys_kept = keys_kept
        self._open: AsyncExitStack | None = None
        self.ca_file = None
        self.site_urls: dict[str, str] = {}

    @property
    def world(self) -> World:
        """The account as it is now."""
        return self._cloud.world

    @world.setter
    def world(self, world: World) -> None:
        self._cloud.world = world

    @property
    def faults(self) -> Faults:
        """What goes wrong; the control endpoint shows and changes the same."""
        return self._cloud.faults

    @property
    def requests(self) -> list[Call]:
        """The calls that STS has seen, oldest first."""
        return self._cloud.calls

    async def __aenter__(self) -> Self:
        """Open every listener. Raises ListenerUnavailable."""
        async with AsyncExitStack() as opening:
            directory = Path(opening.enter_context(TemporaryDirectory(prefix="rolecall-sandbox-")))
            contexts = self._contexts(directory) if self._tls else None
            right = contexts[0] if contexts else None
            for issuer, site in self._sites.items():
                self.site_urls[issuer] = await self._open_site(site, opening, right)
            session = await opening.enter_async_context(
                aiohttp.ClientSession(
                    trust_env=False,
                    auto_decompress=True,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    connector=aiohttp.TCPConnector(force_close=True),
                )
            )
            fetcher = Fetcher(session, self.site_urls, self._cloud.clock, contexts[1] if contexts else None)
            issuers = Issuers(fetcher, self._cloud.clock, self._keys_kept)
            front = Front(self._cloud, Sts(self._cloud, WebIdentity(self._cloud, issuers)), S3(self._cloud))
            self.endpoint_url = await opening.enter_async_context(
                listening(partial(self._serve, front), *self._address, right)
            )
            control = Control(self._cloud)
            self.control_url = await opening.enter_async_context(listening(control.serve, self._private, 0, None))
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was opened, last first."""
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    def _contexts(self, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        """The TLS context of our listeners, and that of the client that visits the issuers' sites."""
        authority = new_authority("rolecall sandbox authority")
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(authority.pem)
        hosts = [*_LOOPBACK, self._address[0], *(urlsplit(issuer).netloc for issuer in self._sites)]
        right = server_context(authority, hosts, directory)
        stranger = new_authority("an authority nobody trusts")
        wrong = server_context(stranger, ["elsewhere.example.com"], directory)
        with_wrong_certificate(right, wrong, lambda: self.faults.wrong_certificate)
        return right, ssl.create_default_context(cafile=self.ca_file)

    async def _open_site(self, site: Site, opening: AsyncExitStack, tls: ssl.SSLContext | None) -> str:
        """Serve an issuer's directory; a site that somebody else serves is only remembered."""
        text = str(site)
        if text.startswith(("http://", "https://")):
            return text
        serve = DirectorySite(Path(text)).serve
        return await opening.enter_async_context(listening(serve, self._private, 0, tls))

    async def _serve(self, front: Front, request: web.Request) -> web.StreamResponse:
        """Answer one request for AWS."""
        path, _, query = request.raw_path.partition("?")
        headers: dict[str, str] = {}
        for name, value in request.headers.items():
            key = name.lower()
            headers[key] = f"{headers[key]},{value}" if key in headers else value
        body = await request.read()
        reply = await front.answer(Wire(request.method, path, query, headers, body, request.remote or "127.0.0.1"))
        if reply is None:
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        answer = web.Response(status=reply.status, body=reply.body, headers=reply.headers)
        answer.headers["Content-Type"] = reply.media_type
        answer.headers["Date"] = format_datetime(self._cloud.now(), usegmt=True)
        return answer
