"""How is a document of an issuer read?

Over https and TLS 1.2 or newer, to where its address says and nowhere else: no redirect is followed, and neither
caches, cookies nor proxies of the environment are asked. Plain http is for this machine alone, where tests and
sandboxes are.
"""

import asyncio
import ipaddress
import ssl
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.authorities import trusting
from agent.clock import Clock, within
from agent.errors import IssuerUnreadable
from agent.https import OURS, TooLong, asked, body_of
from agent.threads import aside
from agent.verification.published import Fetched

#: How long a document may take, in seconds.
PATIENCE: Final = 5.0


class IssuerWeb:
    """The web, as far as documents of issuers go. Each is read over a connection of its own.

    Args:
        clock: by which it is late.
        ca_bundle: a PEM file of authorities to trust instead of those of this machine.
        proxy: the URL of an HTTP proxy that leads there; None for straight on, whatever the environment says.
    """

    def __init__(self, clock: Clock, *, ca_bundle: Path | None = None, proxy: str | None = None) -> None:
        self._clock = clock
        self._ca_bundle = ca_bundle
        self._proxy = proxy

    async def get(self, url: str, longest: int) -> Fetched:
        """Read one document of at most so many bytes, in five seconds. Raises IssuerUnreadable."""
        if not is_safe(url):
            raise IssuerUnreadable(
                f"{_shown(url)} is no https address", hint="keys that came over plain http could be anybody's"
            )
        context = await self._context()
        try:
            return await within(self._clock, PATIENCE, self._get(url, longest, context))
        except TimeoutError as late:
            raise IssuerUnreadable(
                f"{_shown(url)} did not answer within {PATIENCE:.0f} s",
                hint="see whether the server is slow, or a firewall swallows what is sent",
            ) from late
        except aiohttp.ClientConnectorCertificateError as distrust:
            raise IssuerUnreadable(
                f"the certificate of {urlsplit(url).hostname} is not to be trusted",
                hint="where it is from a private CA, name that in ca_bundle",
            ) from distrust
        except (aiohttp.ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise IssuerUnreadable(
                f"{_shown(url)} cannot be read ({reason})", hint="see whether that host can be reached from here"
            ) from error

    async def _context(self) -> ssl.SSLContext:
        """Whom to trust, read anew in a thread: it takes its time, and a bundle may have been renewed."""
        try:
            return await aside(trusting, self._ca_bundle)
        except (OSError, ValueError, RuntimeError) as error:
            raise IssuerUnreadable(
                f"the CA bundle {self._ca_bundle} cannot be used", hint="name a readable file of PEM certificates"
            ) from error

    async def _get(self, url: str, longest: int, context: ssl.SSLContext) -> Fetched:
        async with asked("GET", url, trust=context, headers=OURS, proxy=self._proxy) as response:
            return await _answer(response, url, longest)


def is_safe(url: str) -> bool:
    """Whether nobody on the way can change what is read there: https, or http that never leaves this machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return url.startswith("https://") or (url.startswith("http://") and loopback)


async def _answer(response: aiohttp.ClientResponse, url: str, longest: int) -> Fetched:
    if response.status != 200:
        where = " and leads elsewhere, which is not followed" if 300 <= response.status < 400 else ""
        raise IssuerUnreadable(
            f"{_shown(url)} answers {response.status}{where}", hint="name the address at which the keys are: jwks_url"
        )
    try:
        body = await body_of(response, longest)
    except TooLong as error:
        raise IssuerUnreadable(
            f"what is at {_shown(url)} is longer than {longest // 1024} kB",
            hint="see what it is that this address shows",
        ) from error
    age = response.headers.get("Age", "")
    return Fetched(
        body,
        ", ".join(response.headers.getall("Cache-Control", [])),
        int(age) if age.isascii() and age.isdecimal() and len(age) < 10 else 0,
    )


def _shown(url: str) -> str:
    """An address as a log may have it: an issuer's document may name anything at all."""
    printable = "".join(letter if letter.isprintable() else "?" for letter in url)
    return printable if len(printable) <= 300 else f"{printable[:300]}…"
