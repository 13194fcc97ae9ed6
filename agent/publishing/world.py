"""What does the world see at the issuer's URL?

The documents are read as AWS reads them: over https and TLS 1.2 or newer alone, no redirect followed, five seconds
for an answer, nothing asked of this machine's own sites, caches, cookies or proxies of the environment. Every document
is asked for over a connection of its own, so that a new certificate or another edge of a CDN is seen at once.
"""

import asyncio
import hashlib
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from cryptography import x509

from agent import __version__
from agent.authorities import trusting
from agent.clock import Clock, within
from agent.errors import IssuerUnreadable
from agent.https import OURS, TooLong, asked, body_of, object_in
from agent.publishing import Sighting
from agent.publishing.discovery import DISCOVERY_PATH, address
from agent.publishing.inspection import Answer, Certificate, Failure, Inspection, Tls
from agent.publishing.judgement import sighting
from agent.threads import aside

#: How long AWS waits for an issuer, in seconds.
PATIENCE: Final = 5.0
#: The longest document that is read, in bytes; 200 keys with certificates are half of it.
_LONGEST: Final = 1 << 20
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

#: How a document is asked for: by its URL, and by its name in sentences.
_Ask = Callable[[str, str], Awaitable[Answer]]
#: Makes a TLS context that trusts somebody.
_Trust = Callable[[], ssl.SSLContext]


class PublicSite:
    """The issuer's site, through its public URL.

    Args:
        issuer: the URL exactly as the tokens' `iss` has it.
        clock: by which it is late, and by which certificates end.
        ca_bundle: a PEM file of authorities to trust instead of those of this machine.
        proxy: the URL of an HTTP proxy that leads there; None for straight on, whatever the environment says.
    """

    def __init__(
        self,
        issuer: str,
        *,
        clock: Clock,
        ca_bundle: Path | None = None,
        proxy: str | None = None,
        user_agent: str = f"rolecall/{__version__}",
    ) -> None:
        self._issuer = issuer
        self._clock = clock
        self._ca_bundle = ca_bundle
        self._proxy = proxy
        self._headers = {**OURS, "User-Agent": user_agent}

    async def look(self) -> Sighting:
        """Read the documents. Raises IssuerUnreadable if AWS could not have believed them."""
        return sighting(await self._read(self._ask))

    async def inspect(self) -> Inspection:
        """See all there is to see, also behind a certificate that is not to be trusted.

        Raises IssuerUnreadable only if the CA bundle cannot be read: whatever the site does is a finding.
        """
        return await self._read(self._examine)

    async def _read(self, ask: _Ask) -> Inspection:
        discovery = await ask(address(self._issuer, DISCOVERY_PATH), "the discovery document")
        uri = (discovery.document or {}).get("jwks_uri")
        secure = isinstance(uri, str) and uri.startswith("https://")
        key_set = await ask(str(uri), "the key set") if secure else None
        return Inspection(self._issuer, self._clock.now(), discovery, key_set)

    async def _examine(self, url: str, name: str) -> Answer:
        """Ask; then again without verifying, or to learn whether the public authorities vouch for it, too."""
        answer = await self._ask(url, name)
        if answer.tls is None or answer.failure:
            return answer
        if not answer.tls.verified:
            return replace(await self._ask_by(url, name, _unverified), tls=answer.tls)
        if self._ca_bundle is not None:
            publicly = await self._ask_by(url, name, _public)
            private = publicly.tls is not None and not publicly.tls.verified
            return replace(answer, tls=replace(answer.tls, private=private))
        return answer

    async def _ask(self, url: str, name: str) -> Answer:
        return await self._ask_by(url, name, _public if self._ca_bundle is None else self._of_bundle)

    def _of_bundle(self) -> ssl.SSLContext:
        return trusting(self._ca_bundle)

    async def _ask_by(self, url: str, name: str, trust: _Trust) -> Answer:
        """Ask once, on a new connection. Raises IssuerUnreadable if the CA bundle cannot be used."""
        context = await self._context(trust)
        seen: list[bytes] = []
        context.sslobject_class = _observer(seen)
        begun = self._clock.steady()
        try:
            answer = await within(self._clock, PATIENCE, self._get(url, context))
        except aiohttp.ClientConnectorCertificateError as distrust:
            answer = Answer(url, tls=_distrusted(seen, distrust.certificate_error))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            answer = Answer(url, failure=_failure(error, url, name))
        if answer.tls is None and seen:
            answer = replace(answer, tls=Tls(_read_chain(seen), verified=context.verify_mode != ssl.CERT_NONE))
        return replace(answer, seconds=self._clock.steady() - begun)

    async def _context(self, trust: _Trust) -> ssl.SSLContext:
        """Whom to trust, read anew in a thread: some hundred certificates take their time."""
        try:
            return await aside(trust)
        except (OSError, ValueError, RuntimeError) as error:
            why = "it holds no certificates" if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None)
            raise IssuerUnreadable(
                f"the CA bundle {self._ca_bundle} cannot be used: {why or error}",
                hint="name a readable file of PEM certificates",
            ) from error

    async def _get(self, url: str, context: ssl.SSLContext) -> Answer:
        async with asked("GET", url, trust=context, headers=self._headers, proxy=self._proxy) as response:
            return _answer(url, response, await body_of(response, _LONGEST))


def _answer(url: str, response: aiohttp.ClientResponse, body: bytes) -> Answer:
    headers = response.headers
    age = headers.get("Age", "")
    hits = " ".join(headers.get(name, "") for name in ("X-Cache", "CF-Cache-Status", "X-Cache-Status"))
    return Answer(
        url,
        status=response.status,
        location=headers.get("Location", "") if 300 <= response.status < 400 else "",
        media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
        encoding=headers.get("Content-Encoding", "").strip().lower(),
        size=len(body),
        cache_control=", ".join(headers.getall("Cache-Control", [])),
        age=int(age) if age.isdecimal() and len(age) < 10 else None,
        from_cache="hit" in hits.lower(),
        document=object_in(body),
    )


def _public() -> ssl.SSLContext:
    """Trust whom this machine trusts: not quite AWS's own list, but where that is public, nearly the same."""
    return trusting(None)


def _unverified() -> ssl.SSLContext:
    """Trust anybody, to see what a site shows behind a certificate that has been found wanting already."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _observer(seen: list[bytes]) -> type[ssl.SSLObject]:
    """A TLS connection that notes in `seen` the certificates that the other side shows, believed or not, in DER."""

    class Observer(ssl.SSLObject):
        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            finally:
                seen[:] = _chain_of(self)

    return Observer


def _chain_of(connection: Any) -> Sequence[bytes]:
    """The certificates as shown. Python has said so since 3.13, and before that in a private place (3.10 and up)."""
    if hasattr(connection, "get_unverified_chain"):
        return connection.get_unverified_chain() or ()
    inside = connection._sslobj  # noqa: SLF001 - the private place
    return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inside.get_unverified_chain() or ()]


def _read_chain(seen: Sequence[bytes]) -> tuple[Certificate, ...]:
    return tuple(map(_certificate, seen))


def _certificate(der: bytes) -> Certificate:
    """What a certificate says. Its thumbprint only names it: no signature that SHA-1 could weaken."""
    thumbprint = hashlib.sha1(der, usedforsecurity=False).hexdigest()
    try:
        read = x509.load_der_x509_certificate(der)
        return Certificate(
            read.subject.rfc4514_string() or "(no name)",
            read.issuer.rfc4514_string() or "(no name)",
            read.not_valid_after_utc,
            thumbprint,
        )
    except ValueError:  # OpenSSL takes some that are against the rules
        return Certificate("(unreadable)", "(unreadable)", _NEVER, thumbprint)


def _distrusted(seen: Sequence[bytes], error: Exception) -> Tls:
    why = getattr(error, "verify_message", "") or "it is for another name"
    return Tls(_read_chain(seen), verified=False, why=why, code=getattr(error, "verify_code", 0))


#: What keeps an answer from us, by the error that tells of it; the first that fits counts.
_FAILURES: Final = (
    (
        TimeoutError,
        "{name} did not come from {host} within 5 s, and AWS waits no longer",
        "see whether the server, a name server or a proxy on the way is slow, or a firewall swallows what is sent",
    ),
    (
        aiohttp.InvalidURL,
        "{name} cannot be at {url}, which is no address",
        "see what issuer.url is, and what the discovery document has as its jwks_uri",
    ),
    (
        aiohttp.ClientHttpProxyError,
        "the proxy does not lead to {host}: it answers {status}",
        "have the proxy let us through to that host without signing in (407), or see whether it is the right host",
    ),
    (
        aiohttp.ClientProxyConnectionError,
        "the proxy cannot be reached",
        "see whether its address is right and it is running",
    ),
    (aiohttp.ClientConnectorDNSError, "the name {host} is not known here", "see whether its DNS record is there"),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        "{host} and we cannot agree on how to speak TLS",
        "see whether anything speaks TLS at port 443; AWS wants version 1.2 or newer",
    ),
    (
        aiohttp.ClientConnectorError,
        "{host} cannot be reached ({reason})",
        "see whether its web server is running, and whether a firewall lets us through",
    ),
    (
        aiohttp.ClientPayloadError,
        "{host} hung up in the middle of {name}",
        "see the log of the web server, and whether its disk is full",
    ),
    (
        TooLong,
        "{name} is longer than 1 MB, and nobody will read so much",
        "see what it is that this address shows",
    ),
    (
        (aiohttp.ServerDisconnectedError, ConnectionError),
        "{host} hung up without an answer",
        "see the log of the web server",
    ),
)


def _failure(error: Exception, url: str, name: str) -> Failure:
    """Why there is no answer, in the words of the operator, and what to do."""
    known = ((what, hint) for kind, what, hint in _FAILURES if isinstance(error, kind))
    unknown = ("what {host} answers is no HTTP, or too strange to be read ({reason})", "see what is listening there")
    what, hint = next(known, unknown)
    reason = getattr(error, "strerror", None) or type(error).__name__
    status = getattr(error, "status", 0)
    return Failure(what.format(name=name, host=Answer(url).host, url=url, reason=reason, status=status), hint)
