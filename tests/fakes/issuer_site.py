"""The agent's own issuer site, over real TLS, and a client that trusts it."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from agent.events import Event
from agent.outputs.issuer import Library, serving_issuer
from agent.publishing.discovery import published
from agent.publishing.shelf import Shelf
from agent.web.guests import Limits
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from agent.web.tls import Files, ShownCertificate
from tests.fakes.certificates import DAY, Issued, authority, pem, put, root
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

ISSUER = "https://oidc.example.com/site-a"
KEYS = "/site-a/.well-known/jwks.json"
CONFIGURATION = "/site-a/.well-known/openid-configuration"


def trusting() -> ssl.SSLContext:
    """A client that verifies, and knows the root of our tests."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=pem(root().certificate).decode())
    return context


class Site:
    """What lies behind the listener; the clock stands still unless told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.stats = RequestStats()
        self.bugs: list[BaseException] = []
        self.told = Reported()
        self.heard = asyncio.Event()  # set with each event that is told
        self.shelf = Shelf(ISSUER, max_age=timedelta(minutes=5))
        self.key = published(MemoryKey().public)
        self.first = self.renew(90 * DAY)

    def renew(self, until: timedelta) -> Issued:
        """Put a new certificate in place: good for this machine's clock as for that of the tests."""
        issued = authority().issue("oidc.example.com", since=START - 999 * DAY, until=START + 999 * DAY + until)
        put(self.folder, issued)
        return issued

    def report(self, event: Event) -> None:
        self.told(event)
        self.heard.set()

    @asynccontextmanager
    async def listening(self, limits: Limits | None = None, library: Library | None = None) -> AsyncIterator[Address]:
        files = Files(self.folder / "fullchain.pem", self.folder / "privkey.pem")
        async with serving_issuer(
            library or self.shelf,
            ISSUER,
            ("127.0.0.1", 0),
            ShownCertificate(files, self.clock, self.report),
            clock=self.clock,
            stats=self.stats,
            on_bug=self.bugs.append,
            limits=limits or Limits(),
        ) as address:
            yield address


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connected(address: Address) -> Streams:
    """A connection, hands shaken and the certificate verified."""
    return await asyncio.open_connection(*address, ssl=trusting(), server_hostname="oidc.example.com")


def request(path: str = KEYS, *more: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: oidc.example.com", *more, "", "")).encode("latin-1")


async def say(address: Address, *sent: bytes) -> bytes:
    """Send these bytes, and then all that is answered until the end of the connection."""
    reader, writer = await connected(address)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()
