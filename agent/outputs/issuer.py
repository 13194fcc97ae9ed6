"""How does the world read our public keys from ourselves?

Two documents over TLS, to whoever asks, and nothing else. Anybody at all may connect here, so it takes the least that a
reader of these documents needs: short requests without a body, at once. What is doubtful is refused, not guessed at.
"""

import errno
import hashlib
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Protocol
from urllib.parse import urlsplit

from agent.clock import Clock
from agent.errors import ListenerUnavailable
from agent.publishing import Document
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH
from agent.tasks import children
from agent.web import sockets
from agent.web.answers import headers, http_date, wire
from agent.web.guests import Guests, Limits, Reply, Visit
from agent.web.heads import UNREADABLE, Head, read_head
from agent.web.problems import BAD_REQUEST, HEAD_TOO_LARGE, INTERNAL, NOT_FOUND, Problem
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from agent.web.tls import ShownCertificate

#: What metrics call this output.
NAME: Final = "issuer"

_READ_ONLY = Problem(405, "MethodNotAllowed", "Only GET and HEAD are answered here.", (("Allow", "GET, HEAD"),))
_NOT_YET = Problem(503, "NotPublished", "Nothing has been published here yet.", (("Retry-After", "5"),))


class Library(Protocol):
    """Where the documents are, as they are now."""

    def document(self, path: str) -> Document | None:
        """The document at a path below the issuer's URL; None if nothing has been published there."""
        ...


@asynccontextmanager
async def serving_issuer(
    library: Library,
    issuer: str,
    where: Address | socket.socket,
    certificate: ShownCertificate,
    *,
    clock: Clock,
    stats: RequestStats,
    on_bug: Callable[[BaseException], None],
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> AsyncIterator[Address]:
    """Serve the documents of `issuer`, below the path of its URL, while the context lasts; yields where it listens.

    New connections are shown the certificate as it is then; those that are there live on. On the way out nothing more
    is accepted, and what has been written is let go out. Raises ListenerUnavailable.
    """
    await certificate.load()
    listening = _opened(where)
    site = _Site(library, issuer, clock, stats, on_bug)
    guests = Guests(listening, site.answer, lambda: certificate.context, on_bug, limits)
    async with children() as group:
        looking = group.create_task(certificate.keep_fresh())
        guests.welcome()
        try:
            yield sockets.address_of(listening)
        finally:
            looking.cancel()
            await guests.farewell()


def _opened(where: Address | socket.socket) -> socket.socket:
    try:
        return sockets.opened(where)
    except ListenerUnavailable as error:
        cause = error.__cause__
        number = cause.errno if isinstance(cause, OSError) else 0
        port = "PORT" if isinstance(where, socket.socket) else where[1]
        hint = {
            errno.EACCES: "ports below 1024 want a capability: give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE "
            "and CapabilityBoundingSet=CAP_NET_BIND_SERVICE in a drop-in, or name a higher port in publishing.listen",
            errno.EPERM: f"name this port in the unit as well: SocketBindAllow=tcp:{port} in a drop-in",
            errno.EADDRINUSE: "a web server, perhaps: ss -ltnp tells; stop it, or let it show a directory instead",
        }.get(number or 0, "name an address of this machine and a free port in publishing.listen, as 0.0.0.0:443")
        raise ListenerUnavailable(error.what, hint=hint) from error


@dataclass(frozen=True, slots=True)
class _Site:
    """What is answered to the head of a request."""

    library: Library
    issuer: str
    clock: Clock
    stats: RequestStats
    on_bug: Callable[[BaseException], None]

    def answer(self, head: bytes | None, _: Visit) -> Reply:
        """The answer, and whether the connection ends with it; None is a head that was too long. Never raises."""
        started = self.clock.steady()
        asked = read_head(head) if head is not None else UNREADABLE
        try:
            status, named, body = self._refused(HEAD_TOO_LARGE) if head is None else self._found(asked)
        except Exception as error:  # noqa: BLE001 - whatever it is, the reader gets JSON and the next one his turn
            self.on_bug(error)
            status, named, body = self._refused(INTERNAL)
        last = asked.last or status == INTERNAL.status
        content = wire(
            f"{status} {HTTPStatus(status).phrase}", named, b"" if asked.method == "HEAD" else body, last=last
        )
        self.stats.count((NAME, "", status), self.clock.steady() - started)
        return content, last

    def _found(self, asked: Head) -> tuple[int, list[tuple[str, str]], bytes]:
        base = urlsplit(self.issuer).path.removesuffix("/")
        path = asked.path.removeprefix(f"{base}/") if asked.path.startswith(f"{base}/") else ""
        if not asked.sound:
            return self._refused(BAD_REQUEST)
        if path not in {DISCOVERY_PATH, JWKS_PATH}:
            return self._refused(NOT_FOUND)
        if asked.method not in {"GET", "HEAD"}:
            return self._refused(_READ_ONLY)
        document = self.library.document(path)
        if document is None:
            return self._refused(_NOT_YET)
        return self._shown(document, asked.words(b"if-none-match"))

    def _shown(self, document: Document, known: str) -> tuple[int, list[tuple[str, str]], bytes]:
        tag = f'"{hashlib.sha256(document.body).hexdigest()[:32]}"'
        about = dict(document.headers)
        kind = about.pop("Content-Type")
        named = [*about.items(), ("ETag", tag), ("Date", http_date(self.clock.now())), ("Server", "rolecall")]
        if known.strip() == "*" or tag in {one.strip().removeprefix("W/") for one in known.split(",")}:
            return 304, named, b""  # RFC 9110 §15.4.5: what a 200 would have said of the document's age, and no body
        described = [("Content-Type", kind), ("Content-Length", str(len(document.body)))]
        return 200, [*described, *named, ("X-Content-Type-Options", "nosniff")], document.body

    def _refused(self, problem: Problem) -> tuple[int, list[tuple[str, str]], bytes]:
        body = problem.body()
        return problem.status, headers(body, http_date(self.clock.now()), problem.headers), body
