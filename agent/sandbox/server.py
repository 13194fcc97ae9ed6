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
from agent.sandbox.cognito.service import Cognito
from agent.sandbox.control import Control
from agent.sandbox.faults import Faults
from agent.sandbox.front import Front, Service
from agent.sandbox.identity_center.control import IdentityCenterControl
from agent.sandbox.identity_center.service import IdentityCenterService
from agent.sandbox.issued import Issued
from agent.sandbox.listen import listening
from agent.sandbox.outbound.service import OutboundService
from agent.sandbox.proxy import Proxy, places
from agent.sandbox.public import PublicCertificates, PublicSites
from agent.sandbox.relying_parties.service import RelyingParties
from agent.sandbox.s3.service import S3
from agent.sandbox.site import DirectorySite
from agent.sandbox.sts.assume import WebIdentity
from agent.sandbox.sts.fetch import Fetcher
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.sts.service import Sts
from agent.sandbox.tls import Authority, new_authority, server_context, with_wrong_certificate
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
        public: let the sites that are directories be seen from outside, too: at https://HOST through the proxy
            `proxy_url`, by a certificate of the same authority. STS then sees them so.
        listen: host and port of the endpoint; port 0 is any free one. All other listeners take free ports, and stay
            on the loopback: whoever reaches the control endpoint rules this AWS.
        keys_kept: how long an issuer's keys are used again before they are fetched anew.

    Attributes:
        ca_file: the certificate of the authority, with `tls` or `public`.
        proxy_url: with `public`, the proxy through which the issuers' own URLs can be reached, and nothing else.
        site_urls: where each issuer's site really is, by issuer URL; nothing ever goes wrong there.
    """

    endpoint_url: str
    control_url: str
    ca_file: Path | None
    proxy_url: str | None

    def __init__(
        self,
        world: World,
        *,
        clock: Clock | None = None,
        sites: Mapping[str, Site] | None = None,
        tls: bool = False,
        public: bool = False,
        rng: random.Random | None = None,
        listen: tuple[str, int] = ("127.0.0.1", 0),
        keys_kept: timedelta = timedelta(0),
    ) -> None:
        self._cloud = Cloud(world, clock or SystemClock(), rng or random.SystemRandom())
        self._cognito = Cognito(self._cloud)
        self._identity_center = IdentityCenterService(self._cloud)
        self._outbound = OutboundService(self._cloud)
        self._sites = dict(sites or {})
        for issuer in self._sites:
            if urlsplit(issuer).scheme != "https":
                raise ConfigurationError(f"{issuer} is not an issuer's URL", hint="it begins with https://")
        self._tls = tls
        self._public = public
        self._address = listen
        self._private = listen[0] if listen[0] in _LOOPBACK else _LOOPBACK[0]
        self._keys_kept = keys_kept
        self._open: AsyncExitStack | None = None
        self.ca_file = None
        self.proxy_url = None
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
    def identity_center(self) -> IdentityCenterControl:
        """Who is signed in at Identity Center, and the means to end that."""
        return IdentityCenterControl(self._cloud, self._identity_center)

    @property
    def requests(self) -> list[Call]:
        """The calls that STS, Cognito and Identity Center have seen, oldest first."""
        return self._cloud.calls

    def issued(self, access_key_id: str) -> Issued | None:
        """The session behind a set of credentials, with what was asked of it, if they are from here."""
        return self._cloud.register.find(access_key_id)

    async def __aenter__(self) -> Self:
        """Open every listener. Raises ListenerUnavailable."""
        async with AsyncExitStack() as opening:
            directory = Path(opening.enter_context(TemporaryDirectory(prefix="rolecall-sandbox-")))
            self._sites = {**self._cognito.sites(directory), **self._sites}
            if issuer := self._outbound.publish(directory / "outbound"):
                self._sites[issuer] = directory / "outbound"
            authority = self._new_authority(directory) if self._tls or self._public else None
            right = self._context(authority, directory) if authority and self._tls else None
            for issuer, site in self._sites.items():
                self.site_urls[issuer] = await self._open_site(site, opening, right)
            seen = self.site_urls
            if authority and self._public:
                seen = {**seen, **await self._go_public(authority, directory, opening)}
            session = await opening.enter_async_context(
                aiohttp.ClientSession(
                    trust_env=False,
                    auto_decompress=True,
                    cookie_jar=aiohttp.DummyCookieJar(),
                    connector=aiohttp.TCPConnector(force_close=True),
                )
            )
            trust = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else None
            fetcher = Fetcher(session, seen, self._cloud.clock, trust)
            issuers = Issuers(fetcher, self._cloud.clock, self._keys_kept)
            sts = Sts(self._cloud, WebIdentity(self._cloud, issuers))
            front = Front(self._cloud, sts, S3(self._cloud), self._services(fetcher))
            self.endpoint_url = await opening.enter_async_context(
                listening(partial(self._serve, front), *self._address, right)
            )
            self._cloud.endpoint_url = self.endpoint_url
            control = Control(self._cloud, self.identity_center.answers)
            self.control_url = await opening.enter_async_context(listening(control.serve, self._private, 0, None))
            self._open = opening.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close what was opened, last first."""
        if self._open is not None:
            await self._open.aclose()
            self._open = None

    def _services(self, fetcher: Fetcher) -> list[Service]:
        """All but STS and S3, which is asked what no other is; `fetcher` reads what issuers publish."""
        issuers = Issuers(fetcher, self._cloud.clock, self._keys_kept)
        others = (self._identity_center, self._outbound)
        return [self._cognito.trusting(issuers), RelyingParties(self._cloud, fetcher), *others]

    def _new_authority(self, directory: Path) -> Authority:
        """The authority of this run; its certificate goes into `ca_file`."""
        authority = new_authority("rolecall sandbox authority")
        self.ca_file = directory / "ca.pem"
        self.ca_file.write_bytes(authority.pem)
        return authority

    def _context(self, authority: Authority, directory: Path) -> ssl.SSLContext:
        """The TLS context of the endpoint, and of the sites where they really are."""
        hosts = [*_LOOPBACK, self._address[0], *(urlsplit(issuer).netloc for issuer in self._sites)]
        right = server_context(authority, hosts, directory)
        stranger = new_authority("an authority nobody trusts")
        wrong = server_context(stranger, ["elsewhere.example.com"], directory)
        with_wrong_certificate(right, wrong, lambda: self.faults.wrong_certificate)
        return right

    async def _go_public(self, authority: Authority, directory: Path, opening: AsyncExitStack) -> dict[str, str]:
        """Show the directories as the world sees them, and open the way there; gives where STS finds which issuer."""
        kept = {issuer: str(site) for issuer, site in self._sites.items() if not _is_url(site)}
        hosts = list(dict.fromkeys(urlsplit(issuer).hostname or "" for issuer in kept)) or ["localhost"]
        sites = PublicSites(
            {issuer: DirectorySite(Path(site)) for issuer, site in kept.items()}, self.faults, self._cloud.clock
        )
        certificates = PublicCertificates(authority, hosts, directory, self.faults)
        listener = await opening.enter_async_context(listening(sites.serve, self._private, 0, certificates.context))
        proxy = Proxy(places({issuer: str(site) for issuer, site in self._sites.items()}, listener))
        self.proxy_url = await opening.enter_async_context(proxy.listening(self._private))
        return {issuer: listener + urlsplit(issuer).path for issuer in kept}

    async def _open_site(self, site: Site, opening: AsyncExitStack, tls: ssl.SSLContext | None) -> str:
        """Serve an issuer's directory; a site that somebody else serves is only remembered."""
        if _is_url(site):
            return str(site)
        serve = DirectorySite(Path(site)).serve
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


def _is_url(site: Site) -> bool:
    return str(site).startswith(("http://", "https://"))
