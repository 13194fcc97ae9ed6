"""How does STS reach an issuer's web site?

The issuer is known to the world by an https URL that need not exist; `sites` says where it really is. Nothing
outside that table is ever fetched. What would be reached over TLS is verified against the sandbox's own authority
or, failing that, left to the provider's thumbprints.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urljoin, urlsplit

import aiohttp

from agent.clock import Clock, within

#: AWS gives an issuer five seconds to answer.
PATIENCE: Final = 5.0
_LARGEST: Final = 1024 * 1024
_MOST_HOPS: Final = 3
#: Whom to trust: these authorities, these certificates, or, by True, whom the machine trusts.
_Trust = ssl.SSLContext | aiohttp.Fingerprint | Literal[True]
_REDIRECTS: Final = (301, 302, 303, 307, 308)


class Unreachable(Exception):
    """The document could not be had; the reason is for the sandbox's user, AWS does not tell."""


class Untrusted(Exception):
    """The site's certificate leads to no authority we know and has none of the provider's thumbprints."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document of an issuer's web site."""

    media_type: str
    body: bytes


class Fetcher:
    """A client that knows where each issuer really is.

    Args:
        session: the HTTP client; it neither follows redirects nor reads proxies from the environment.
        addresses: issuer URL to base URL.
        trust: the authorities that TLS sites are verified against; None is what aiohttp trusts, the machine's.
    """

    def __init__(
        self, session: aiohttp.ClientSession, addresses: Mapping[str, str], clock: Clock, trust: ssl.SSLContext | None
    ) -> None:
        self._session = session
        self._addresses = addresses
        self._clock = clock
        self._trust: _Trust = trust or True

    async def get(self, url: str, thumbprints: tuple[str, ...]) -> Fetched:
        """Fetch an https URL of a known issuer, within five seconds. Raises Unreachable or Untrusted."""
        try:
            return await within(self._clock, PATIENCE, self._follow(url, thumbprints))
        except TimeoutError as late:
            raise Unreachable(f"{url} did not answer within {PATIENCE:.0f} s") from late
        except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError) as failure:
            raise Unreachable(f"{url}: {failure}") from failure

    def locate(self, url: str) -> str:
        """Where `url` really is: the longest known issuer that it lies under decides. Raises Unreachable."""
        if urlsplit(url).scheme != "https":
            raise Unreachable(f"{url} is not an https URL")
        for issuer in sorted(self._addresses, key=len, reverse=True):
            rest = url.removeprefix(issuer.rstrip("/"))
            if rest != url and rest[:1] in ("", "/"):
                return self._addresses[issuer].rstrip("/") + rest
        raise Unreachable(f"{url} is under none of the sandbox's sites")

    async def _follow(self, url: str, thumbprints: tuple[str, ...]) -> Fetched:
        """Fetch, following redirects as long as they stay on https and on known sites."""
        for _ in range(_MOST_HOPS + 1):
            host = urlsplit(url).netloc
            try:
                answer = await self._get(self.locate(url), host, self._trust)
            except aiohttp.ClientConnectorCertificateError as doubt:
                answer = await self._get_by_thumbprint(self.locate(url), host, thumbprints, doubt)
            if isinstance(answer, Fetched):
                return answer
            url = urljoin(url, answer)
        raise Unreachable(f"{url} redirects too often")

    async def _get_by_thumbprint(
        self, address: str, host: str, thumbprints: tuple[str, ...], doubt: Exception
    ) -> Fetched | str:
        """Fetch from a site whose chain is not trusted, if a certificate it shows has a known thumbprint."""
        if not thumbprints:
            raise Untrusted(f"the certificate of {host} leads to no known authority") from doubt
        try:
            return await self._get(address, host, _Thumbprints(thumbprints))
        except aiohttp.ServerFingerprintMismatch as mismatch:
            raise Untrusted(f"the certificate of {host} has none of the provider's thumbprints") from mismatch

    async def _get(self, address: str, host: str, trust: _Trust) -> Fetched | str:
        """One request: the document, or where it redirects to."""
        secure = urlsplit(address).scheme == "https"
        async with self._session.get(
            address,
            headers={"Host": host, "Accept": "application/json"},
            allow_redirects=False,
            ssl=trust if secure else True,
            server_hostname=host if secure else None,
        ) as answer:
            if answer.status in _REDIRECTS and "Location" in answer.headers:
                return answer.headers["Location"]
            if answer.status != 200:
                raise Unreachable(f"{address} answered {answer.status}")
            body = await answer.content.read(_LARGEST + 1)
            while len(body) <= _LARGEST and (more := await answer.content.read(_LARGEST)):
                body += more
            if len(body) > _LARGEST:
                raise Unreachable(f"{address} is larger than {_LARGEST} bytes")
            return Fetched(answer.content_type, body)


class _Thumbprints(aiohttp.Fingerprint):
    """Trusts a site by the SHA-1 of a certificate, as IAM's thumbprints have it, whoever signed that.

    AWS looks at the top certificate of the chain as presented.
    """

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(hashlib.sha256().digest())  # what aiohttp would compare with, if `check` were its own
        self._known = {one.lower() for one in known}

    def check(self, transport: asyncio.Transport) -> None:
        """Look at what was shown before anything is sent. Raises ServerFingerprintMismatch."""
        secure = transport.get_extra_info("ssl_object")
        top = _presented(secure)[-1]
        # A thumbprint only names a certificate; it is no signature that SHA-1 could weaken.
        shown = hashlib.sha1(top, usedforsecurity=False)
        if shown.hexdigest() not in self._known:
            host, port, *_ = transport.get_extra_info("peername")
            raise aiohttp.ServerFingerprintMismatch(self.fingerprint, shown.digest(), host, port)


def _presented(secure: Any) -> list[bytes]:
    """The chain as presented, in DER: Python tells since 3.13, and before that inside (since 3.10)."""
    if hasattr(secure, "get_unverified_chain"):
        return list(secure.get_unverified_chain())
    inside = secure._sslobj  # noqa: SLF001 - there is no other way
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inside.get_unverified_chain()]
