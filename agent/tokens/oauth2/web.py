"""How is a provider's web server asked, and what keeps its answer from us?

One request on a connection of its own: what is asked is asked a few times an hour, and so a certificate that has been
replaced, theirs or ours, is seen at once. No redirect is followed, since what is sent is for one reader; no proxy, no
cookie and no .netrc of the environment is used, and no endless answer is read.
"""

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from agent.authorities import trusting
from agent.clock import Clock, within
from agent.errors import AgentError, KeyUnavailable, TokenUnavailable
from agent.https import OURS, TooLong, asked, body_of, object_in
from agent.threads import aside
from agent.tokens.oauth2.asking import ClientCertificate, Place

#: How long one answer may take to its last byte, looking up the name and TLS included, in seconds.
PATIENCE: Final = 10.0
#: The longest answer that is read, in bytes: STS takes tokens of 20,000 characters, and documents are shorter.
_LONGEST: Final = 256 * 1024
_LONGEST_WAIT: Final = timedelta(hours=1)  # a server that says to come back next year is not to be believed


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; `body` may hold a token.

    Attributes:
        url: what was asked.
        document: the body as a JSON object; None if it is none.
        told: the time by the server's own clock (Date).
        wait: how long it asks to be left alone (Retry-After, RFC 9110 §10.2.3).
    """

    url: str
    status: int
    document: Mapping[str, object] | None = field(repr=False)
    media_type: str = ""
    told: datetime | None = None

    @property
    def host(self) -> str:
        """The server's name, and its port if it is an unusual one."""
        return host_of(self.url)


class Web:
    """The way to one provider; `certificate` is what we show of ourselves, if anything."""

    def __init__(self, place: Place, clock: Clock, certificate: ClientCertificate | None = None) -> None:
        """Open nothing yet."""
        self._place = place
        self._clock = clock
        self._certificate = certificate
        self.wait: timedelta | None = None  # how long the latest answer asks to be left alone

    async def get(self, url: str) -> Answer:
        """Read a public document. Raises TokenUnavailable."""
        return await self._ask("GET", url, None, {})

    async def post(self, url: str, form: bytes, headers: Mapping[str, str]) -> Answer:
        """Send a form. Raises TokenUnavailable, and KeyUnavailable where our certificate cannot be shown."""
        return await self._ask("POST", url, form, headers)

    async def _ask(self, method: str, url: str, form: bytes | None, headers: Mapping[str, str]) -> Answer:
        problem: AgentError
        self.wait = None
        certificate = self._certificate if form is not None else None
        try:
            context = await aside(_context, self._place, certificate)
            return await within(self._clock, PATIENCE, self._exchange(method, url, form, headers, context))
        except AgentError as error:
            problem = error
        except RuntimeError:  # `aside`: the system allows no more threads
            problem = TokenUnavailable("there is no thread to be had for a connection", hint="see what uses them up")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            problem = _silence(error, url, self._place, shown=certificate is not None)
        raise problem  # out here: what aiohttp raises holds the headers of the request, and a secret among them

    async def _exchange(
        self, method: str, url: str, form: bytes | None, headers: Mapping[str, str], context: ssl.SSLContext
    ) -> Answer:
        media = {} if form is None else {"Content-Type": "application/x-www-form-urlencoded"}
        sent = {**OURS, **media, **headers}
        async with asked(method, url, trust=context, headers=sent, proxy=self._place.proxy, form=form) as response:
            return self._answer(url, response, await body_of(response, _LONGEST))

    def _answer(self, url: str, response: aiohttp.ClientResponse, body: bytes) -> Answer:
        headers = response.headers
        told = _date(headers.get("Date", ""))
        self.wait = _wait(headers.get("Retry-After", "").strip(), told or self._clock.now())
        return Answer(
            url,
            response.status,
            object_in(body),
            media_type=headers.get("Content-Type", "").partition(";")[0].strip().lower(),
            told=told,
        )


def _date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _wait(text: str, now: datetime) -> timedelta | None:
    """How long to wait: so many seconds, or until a date (Retry-After, RFC 9110 §10.2.3)."""
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=int(text[:9])), _LONGEST_WAIT)
    until = _date(text) if text else None
    return None if until is None else min(max(until - now, timedelta(0)), _LONGEST_WAIT)


def _context(place: Place, certificate: ClientCertificate | None) -> ssl.SSLContext:
    """Whom to trust, and what to show, read from the files as they are now; some hundred certificates take their time.

    Raises TokenUnavailable, KeyUnavailable.
    """
    try:
        context = trusting(place.ca_bundle)
    except (OSError, ValueError) as error:
        raise TokenUnavailable(
            f"the CA bundle {place.ca_bundle} cannot be used: {_why(error, 'it holds no certificates')}",
            hint="name a readable file of PEM certificates with identity.ca_bundle",
        ) from error
    if certificate is not None:
        certificate.check()
        try:
            # A passphrase that is wrong, or OpenSSL would ask for one on the terminal.
            context.load_cert_chain(certificate.certificate, certificate.key, password=lambda: b"")
        except (OSError, ValueError) as error:
            raise KeyUnavailable(
                f"the client certificate {certificate.certificate} with the key {certificate.key} cannot be used: "
                f"{_why(error, 'they are no PEM files without a passphrase that belong together')}",
                hint="correct identity.client_certificate and identity.client_key; where they are being replaced, it "
                "passes",
            ) from error
    return context


def _why(error: Exception, of_tls: str) -> str:
    return of_tls if isinstance(error, ssl.SSLError) else getattr(error, "strerror", None) or "no such path can be"


#: What keeps an answer from us, by the error that tells of it; the first that fits counts.
_SILENCES: Final = (
    (
        TimeoutError,
        "{host} gave no whole answer within {patience:g} s",
        "see whether it is up, and whether a name server, a proxy (identity.proxy) or a firewall is in the way",
    ),
    (aiohttp.InvalidURL, "{url} is no address", "correct identity.issuer or identity.token_endpoint"),
    (
        aiohttp.ClientConnectorCertificateError,
        "the certificate of {host} is not trusted by {trusted}: {distrust}",
        "name its authority's certificates with identity.ca_bundle; if that is no help, another answers in its place",
    ),
    (
        aiohttp.ClientHttpProxyError,
        "the proxy does not lead to {host}: it answers {status}",
        "have the proxy let us through to that host without signing in (407), or see whether it is the right host",
    ),
    (
        aiohttp.ClientProxyConnectionError,
        "the proxy cannot be reached",
        "see whether identity.proxy is right and the proxy is running",
    ),
    (aiohttp.ClientConnectorDNSError, "the name {host} is not known here", "correct it, or see to the name server"),
    (
        (aiohttp.ClientSSLError, ssl.SSLError),
        "{host} and we cannot agree on TLS{shown}",
        "see what it wants of its clients: TLS 1.2 or newer, a certificate of ours that it knows",
    ),
    (
        aiohttp.ClientConnectorError,
        "{host} cannot be reached ({reason})",
        "see whether it is up, whether a firewall lets us through, and whether it speaks TLS 1.2 or newer",
    ),
    (
        aiohttp.ClientPayloadError,
        "{host} hung up in the middle of its answer",
        "see the log of the provider, and what stands before it",
    ),
    (TooLong, "what {host} answers is too long to be an answer", "see what it is that this address shows"),
    (
        (aiohttp.ServerDisconnectedError, ConnectionError, aiohttp.ClientOSError),
        "{host} hung up without an answer{shown}",
        "see the log of the provider, and what stands before it",
    ),
)
_UNREADABLE: Final = ("what {host} answers is no HTTP, or too strange to be read", "see what is listening there")


def _silence(error: Exception, url: str, place: Place, *, shown: bool) -> TokenUnavailable:
    """Why there is no answer, in the words of the operator, and what to do."""
    what, hint = next((known[1:] for known in _SILENCES if isinstance(error, known[0])), _UNREADABLE)
    distrust = getattr(getattr(error, "certificate_error", None), "verify_message", "") or "it is for another name"
    return TokenUnavailable(
        what.format(
            host=host_of(url),
            url=url,
            patience=PATIENCE,
            trusted=place.ca_bundle or "the authorities of this machine",
            distrust=distrust,
            status=getattr(error, "status", 0),
            reason=getattr(error, "strerror", None) or "it hung up while we were getting acquainted",
            shown=", having been shown our certificate" if shown else "",
        ),
        hint=hint,
    )


def host_of(url: str) -> str:
    """The server that a URL names, for people."""
    try:
        return urlsplit(url).netloc or url
    except ValueError:  # half a bracket of an IPv6 address
        return url
