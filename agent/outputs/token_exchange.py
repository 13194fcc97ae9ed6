"""How does a workload inside AWS get a token of ours? Over TLS, for a proof of its AWS identity.

`GET /token?aud=…[&scope=…]` with the proof in the Authorization header. Whoever is on the network may connect here, so
it takes the least that this needs: short requests without a body, from each address its share, and whoever holds a
connection and says nothing does not keep it.
"""

import errno
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final, Protocol

from agent.callers import Facts, Origin, Peer
from agent.clock import Clock, within
from agent.errors import AgentError, ListenerUnavailable, ProofUnchecked, TokenRejected
from agent.events import Denial, ProofRefused, Report, TokenDenied
from agent.outputs.token import Wanted, read_query
from agent.tasks import children
from agent.web import Answered, sockets
from agent.web.answers import headers, http_date, wire
from agent.web.guests import Guests, Limits, Reply, Visit
from agent.web.heads import UNREADABLE, Head, read_head
from agent.web.problems import (
    BAD_REQUEST,
    HEAD_TOO_LARGE,
    INTERNAL,
    NOT_FOUND,
    Problem,
    Refusal,
    method_not_allowed,
    problem_of,
)
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from agent.web.tls import ShownCertificate

#: What metrics call this output.
NAME: Final = "token_exchange"

#: Where a token is asked for.
_PATH: Final = "/token"
#: How long an answer may take in all, in seconds: so long as STS may, and to wait in line as well.
_PATIENCE: Final = 10.0

#: How often is told that proofs are refused for the same reason, in seconds.
_SELDOM: Final = 60.0

#: Both ways to prove who one is (RFC 9110 §11.6.1 wants them named with each 401).
_CHALLENGE: Final = (("WWW-Authenticate", "AWS-Presigned, Bearer"),)
_UNCHECKED: Final = Problem(
    503, "ProofUnchecked", "Whether the proof holds could not be found out; try again.", (("Retry-After", "1"),)
)
_UNKNOWN: Final = Problem(401, "ProofRejected", "The proof does not hold.", _CHALLENGE)
_WRONG_QUERY: Final = Problem(400, "BadQuery", "The query is aud=AUDIENCE, and scope=SCOPES if wanted, each once.")


class Shown(Protocol):
    """A proof that holds, and is used up."""

    @property
    def facts(self) -> Facts:
        """What is known of whoever has shown it."""
        ...

    def give_back(self) -> None:
        """Let it be shown again: it has led to nothing, for no fault of its own."""
        ...


class Proofs(Protocol):
    """Whoever can tell AWS callers."""

    async def prove(self, presented: bytes | None, address: str) -> Shown:
        """Check what was shown, from that address. Raises TokenRejected or ProofUnchecked."""
        ...


#: Gives a caller the token that it wants, as the output of tokens does. Raises Refusal, CallerUnknown.
Give = Callable[[Peer, Wanted], Awaitable[Answered]]


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a request leads to: the proof is checked by `proofs`, a token given by `give`.

    `sentences` are what a caller is told of each reason for which a proof is not taken; others are told nothing.
    """

    proofs: Proofs
    give: Give
    sentences: Callable[[str], str]
    clock: Clock
    stats: RequestStats
    on_bug: Callable[[BaseException], None]
    report: Report
    _told: dict[str, tuple[float, int]] = field(default_factory=dict, init=False, repr=False)

    async def answer(self, head: bytes | None, visit: Visit) -> Reply:
        """The answer, and whether the connection ends with it; None is a head that was too long. Never raises."""
        started = self.clock.steady()
        asked = read_head(head) if head is not None else UNREADABLE
        own: tuple[tuple[str, str], ...] = ()
        status = 200
        try:
            body = await within(self.clock, _PATIENCE, self._token(None if head is None else asked, visit))
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets JSON and the next one his turn
            problem = self._problem(error)
            body, own, status = problem.body(), problem.headers, problem.status
        last = asked.last or status == INTERNAL.status
        named = headers(body, http_date(self.clock.now()), own)
        shown = b"" if asked.method == "HEAD" else body
        self.stats.count((NAME, "", status), self.clock.steady() - started)
        return wire(f"{status} {HTTPStatus(status).phrase}", named, shown, last=last), last

    async def _token(self, asked: Head | None, visit: Visit) -> bytes:
        if asked is None:
            raise Refusal(HEAD_TOO_LARGE)
        if not asked.sound:
            raise Refusal(BAD_REQUEST)
        if asked.path != _PATH:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        wanted = read_query(asked.query)
        presented = asked.fields.get(b"authorization", [])
        if wanted is None or not wanted.audience or len(presented) > 1:
            raise Refusal(_WRONG_QUERY)
        return await self._given(wanted, presented[0] if presented else None, visit.address)

    async def _given(self, wanted: Wanted, presented: bytes | None, address: str) -> bytes:
        whence = frozenset({("peer.address", address)})
        try:
            shown = await self.proofs.prove(presented, address)
        except (TokenRejected, ProofUnchecked) as error:
            self._tell(error, address)
            known: Denial = "unknown_caller" if isinstance(error, TokenRejected) else "unavailable"
            self.report(TokenDenied("", f"peer.address={address}", known, error, whence))
            raise
        try:
            given = await self.give(Peer(Origin(address, facts=shown.facts | whence), None), wanted)
        except Refusal as refusal:
            if refusal.problem.status >= INTERNAL.status:
                shown.give_back()
            raise
        return given.body

    def _tell(self, error: TokenRejected | ProofUnchecked, address: str) -> None:
        """Say why, once a minute for each reason: whoever wants can be refused a thousand times a second."""
        reason = error.reason if isinstance(error, TokenRejected) else "unchecked"
        now = self.clock.steady()
        since, untold = self._told.get(reason, (-_SELDOM, 0))
        if now - since >= _SELDOM:
            self.report(ProofRefused(reason, address, error, untold))
            since, untold = now, -1
        self._told[reason] = (since, untold + 1)

    def _problem(self, error: Exception) -> Problem:
        match error:
            case Refusal():
                return error.problem
            case TokenRejected():
                return replace(_UNKNOWN, message=self.sentences(error.reason))
            case ProofUnchecked() | TimeoutError():
                return _UNCHECKED
            case AgentError():
                return problem_of(error)
        self.on_bug(error)
        return INTERNAL


@asynccontextmanager
async def serving_tokens(
    exchange: Exchange,
    where: Address | socket.socket,
    certificate: ShownCertificate,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> AsyncIterator[Address]:
    """Exchange proofs for tokens while the context lasts; yields where it listens. Raises ListenerUnavailable."""
    await certificate.load()
    listening = _opened(where)
    guests = Guests(listening, exchange.answer, lambda: certificate.context, exchange.on_bug, limits)
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
        hint = {
            errno.EACCES: "ports below 1024 want a capability: give the unit AmbientCapabilities=CAP_NET_BIND_SERVICE "
            "and CapabilityBoundingSet=CAP_NET_BIND_SERVICE in a drop-in, or name a higher port in aws_callers.listen",
            errno.EPERM: "name this port in the unit as well: SocketBindAllow=tcp:PORT in a drop-in",
            errno.EADDRINUSE: "ss -ltnp tells what listens there; stop it, or name another port in aws_callers.listen",
        }.get(number or 0, "name an address of this machine and a free port in aws_callers.listen, as 0.0.0.0:8443")
        raise ListenerUnavailable(error.what, hint=hint) from error
