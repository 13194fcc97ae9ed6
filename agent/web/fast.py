"""Which requests can be answered with bytes that are ready?

The one well-formed request that SDKs send, when the output has an answer at hand. Everything else, and
everything doubtful, is left to the ordinary route; both give the same answer to the same bytes.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from agent.callers import Origin, Peer
from agent.clock import Clock
from agent.web import Asked, Output
from agent.web.answers import headers, http_date, wire
from agent.web.peer import host_allowed
from agent.web.shares import MADE, Shares

#: The longest request that is recognised, and the longest value of a header in it, in bytes: SDKs send 150 to 700 in
#: all. What a proxy passes on may have a longer token in it.
_LONGEST, _LONGEST_VALUE = 2048, 1200
_LONGEST_PROXIED, _LONGEST_VALUE_PROXIED = 12_288, 8192

#: How much is remembered at once: requests, and bytes of requests and answers.
_MOST, _MOST_BYTES = 512, 1 << 20


def _head(longest: int) -> re.Pattern[bytes]:
    return re.compile(
        rb"GET (/[A-Za-z0-9._/-]{1,200})(?:\?([A-Za-z0-9._~%%&=+:/@-]{1,600}))? HTTP/1\.1\r\n"
        rb"((?:[A-Za-z0-9-]{1,40}:[ -~]{0,%d}\r\n){1,20})\r\n" % longest
    )


_HEAD, _HEAD_PROXIED = _head(_LONGEST_VALUE), _head(_LONGEST_VALUE_PROXIED)

#: What SDKs send, and what cannot change the answer. A header not named here may mean anything.
_HARMLESS = frozenset(
    (
        b"host",
        b"authorization",
        b"connection",
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"user-agent",
        b"x-amz-user-agent",
        b"amz-sdk-request",
        b"amz-sdk-invocation-id",
        b"cache-control",
        b"pragma",
    )
)


class Recognised(NamedTuple):
    """A request that is surely what it seems to be; `last` if the client wants the connection closed after it."""

    asked: Asked
    last: bool


#: What says how much there is of a request, and how to read it.
_FRAMING = frozenset(
    (
        b"content-length",
        b"transfer-encoding",
        b"te",
        b"trailer",
        b"expect",
        b"upgrade",
        b"http2-settings",
        b"keep-alive",
    )
)


def recognise(request: bytes, origin: Origin, *, proxied: bool = False) -> Recognised | None:
    """Read exactly one whole request, strictly; None for all that is unusual, and never a reason.

    `proxied`: a proxy passes on what it was sent, so that there may be other headers, which say nothing to us.
    """
    if len(request) > (_LONGEST_PROXIED if proxied else _LONGEST):
        return None
    match = (_HEAD_PROXIED if proxied else _HEAD).fullmatch(request)
    if match is None:
        return None
    found: dict[bytes, bytes] = {}
    for line in match[3].split(b"\r\n")[:-1]:
        raw_name, _, value = line.partition(b":")
        name = raw_name.lower()
        if name in found or (name not in _HARMLESS and (not proxied or name in _FRAMING)):
            return None
        found[name] = value.strip(b" ")
    connection = found.get(b"connection", b"keep-alive").lower()
    if connection not in (b"keep-alive", b"close") or not host_allowed(found.get(b"host", b""), origin.local):
        return None
    peer = Peer(origin, found.get(b"authorization"))
    query = (match[2] or b"").decode("ascii")
    return Recognised(Asked("GET", match[1].decode("ascii"), peer, query=query), last=connection == b"close")


class Ready(NamedTuple):
    """An answer as it goes on the wire; `counted` is what it is in the statistics."""

    content: bytes
    last: bool
    counted: tuple[str, str, int]

    def __repr__(self) -> str:
        """Show all but the content, which holds secrets."""
        return f"Ready(last={self.last}, counted={self.counted})"


class ReadyAnswers:
    """Answers made in the current second, by the bytes of the request and where its connection comes from.

    Nothing outlives the second that its Date names, so what the output decides anew (a token taken away, new
    credentials, the end of the old) counts within one second; the output's own margin is far wider.
    """

    def __init__(
        self,
        output: Output,
        clock: Clock,
        shares: Shares,
        on_bug: Callable[[BaseException], None],
        *,
        proxied: bool = False,
    ) -> None:
        """Know nothing yet. `proxied`: as in `recognise`."""
        self._proxied = proxied
        self._shares = shares
        self._output = output
        self._clock = clock
        self._on_bug = on_bug
        self._known: dict[tuple[Origin, bytes], Ready] = {}
        self._room = _MOST_BYTES
        self._until = 0.0
        self._date = ""

    def find(self, origin: Origin, request: bytes, now: float) -> Ready | None:
        """The answer to a request, at steady time `now`; None if the ordinary route must find it."""
        if now >= self._until:
            self.forget(now)
        ready = self._known.get((origin, request))
        return ready if ready is not None else self._make(origin, request, now)

    def forget(self, now: float) -> None:
        """Begin a new second: all that was made in the last one is gone."""
        self._known.clear()
        self._room = _MOST_BYTES
        moment = self._clock.now()
        self._until = now + 1.0 - moment.microsecond / 1e6
        self._date = http_date(moment)

    def _make(self, origin: Origin, request: bytes, now: float) -> Ready | None:
        recognised = recognise(request, origin, proxied=self._proxied)
        share = self._shares.of(origin, now)
        if recognised is None or not share.take(MADE, now):
            return None
        try:
            answered = self._output.ready(recognised.asked)
        except Exception as error:  # noqa: BLE001 - a bug in an output: the ordinary route answers 500
            self._on_bug(error)
            return None
        if answered is None:
            return None
        named = headers(answered.body, self._date, answered.headers, answered.media_type)
        content = wire("200 OK", named, answered.body, last=recognised.last)
        output = self._output.label(recognised.asked.path).output
        ready = Ready(content, recognised.last, (output, answered.role, 200))
        size = len(request) + len(content)
        if len(self._known) < _MOST and size <= self._room:
            self._known[origin, request] = ready
            self._room -= size
        return ready
