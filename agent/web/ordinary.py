"""How is a request answered that no bytes are ready for?

By aiohttp: it parses, queues what is pipelined and writes in order. What is added here is what it leaves out:
a limit to the whole head, errors in JSON, clients that have stopped sending but still listen.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.http_parser import RawRequestMessage

from agent.callers import Caller, Origin, Peer
from agent.clock import Clock
from agent.errors import AgentError
from agent.events import Refusal as RefusedFor
from agent.events import Report, RequestRefused
from agent.web import Answered, Asked, Label, Output
from agent.web.answers import headers, http_date
from agent.web.peer import peer
from agent.web.problems import (
    BAD_REQUEST,
    BROWSER_REFUSED,
    HEAD_TOO_LARGE,
    HOST_REFUSED,
    INTERNAL,
    THROTTLED,
    Problem,
    Refusal,
    problem_of,
)
from agent.web.shares import ASKED, Shares
from agent.web.stats import RequestStats

#: The most that the line and the headers of one request may come to, in bytes.
LARGEST_HEAD = 16_384

#: How many bytes of requests may wait for their turn on one connection before no more are read; SDKs never pipeline.
_MOST_WAITING = 65_536

#: What only somebody else's program sends in a caller's name (a browser, a rebound name), by the answer's code.
#: And what a caller sends too much of.
_UNHEARD: Final[Mapping[str, RefusedFor]] = {
    HOST_REFUSED.code: "refused_host",
    BROWSER_REFUSED.code: "refused_origin",
    THROTTLED.code: "throttled",
}


class OrdinaryRoute:
    """Answers requests by asking the output; the one place where its errors become answers."""

    def __init__(
        self,
        output: Output,
        clock: Clock,
        shares: Shares,
        stats: RequestStats,
        on_bug: Callable[[BaseException], None],
        report: Report,
        *,
        proxied: bool = False,
    ) -> None:
        """Hold what is needed; `on_bug` is told of exceptions that nobody expected, `report` of requests not heard.

        `proxied`: requests come through a proxy, in the name of whoever sent them to it, browsers included.
        """
        self._proxied = proxied
        self.shares = shares
        self.label = output.label("")  # of what never came to name a path
        self.clock = clock
        self._output = output
        self._stats = stats
        self._on_bug = on_bug
        self._report = report

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request that aiohttp could parse; never raises but when cancelled."""
        started = self.clock.steady()
        path, _, query = request.raw_path.partition("?")
        label = self._output.label(path)
        try:
            self._charge(_origin(request), started)
            answered = await self._output.answer(_asked(request, path, query, proxied=self._proxied))
        except Refusal as refusal:
            outcome: Answered | Problem = refusal.problem
            self.unheard(_origin(request), refusal.problem)
        except AgentError as error:
            outcome = problem_of(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets JSON and the next request its turn
            self._on_bug(error)
            outcome = INTERNAL
        else:
            outcome, label = answered, Label(label.output, answered.role)
        response = self.response(outcome)
        if request.body_exists or request.method == "CONNECT":
            response.force_close()  # nothing of what follows the head is read
        self._stats.count((*label, response.status), self.clock.steady() - started)
        return response

    def _charge(self, origin: Origin, now: float) -> None:
        share = self.shares.of(origin, now)
        if not share.take(ASKED, now):
            share.owe(ASKED, now)  # parsing it has cost us as much
            raise Refusal(THROTTLED)

    def unheard(self, origin: Origin, problem: Problem) -> None:
        """Tell of a request that was refused before it was asked what it wants; of others, who was asked tells."""
        if (reason := _UNHEARD.get(problem.code)) is not None:
            self._report(RequestRefused(Caller(Peer(origin, None), origin.facts).name, reason, origin.facts))

    def refuse(self, problem: Problem, origin: Origin) -> web.Response:
        """Answer what could not even be parsed."""
        now = self.clock.steady()
        self.shares.of(origin, now).owe(ASKED, now)
        self._stats.count((*self.label, problem.status), 0.0)
        return self.response(problem)

    def response(self, outcome: Answered | Problem) -> web.Response:
        """The response for an outcome, dated now."""
        date = http_date(self.clock.now())
        if isinstance(outcome, Answered):
            named = headers(outcome.body, date, outcome.headers, outcome.media_type)
            return web.Response(body=outcome.body, headers=named)
        body = outcome.body()
        response = web.Response(status=outcome.status, body=body, headers=headers(body, date, outcome.headers))
        if outcome.final:
            response.force_close()
        return response


def _asked(request: web.BaseRequest, path: str, query: str, *, proxied: bool) -> Asked:
    """The request, if there is nothing wrong with it as HTTP. Raises Refusal."""
    line = len(request.method) + len(request.raw_path) + 12
    if line + sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > LARGEST_HEAD:
        raise Refusal(HEAD_TOO_LARGE)
    if not path.startswith("/"):  # the absolute form is for proxies, the others are not for GET
        raise Refusal(BAD_REQUEST)
    sender = peer(request.raw_headers, _origin(request), needs_host=request.version == HttpVersion11, proxied=proxied)
    if request.body_exists and request.method == "GET":
        raise Refusal(BAD_REQUEST)
    named = {name.lower(): value.strip(b" \t") for name, value in request.raw_headers}
    return Asked(request.method, path, sender, named, query)


def _origin(request: web.BaseRequest) -> Origin:
    connection = request.protocol
    assert isinstance(connection, OrdinaryConnection)
    return connection.origin


class OrdinaryConnection(web.RequestHandler):
    """aiohttp's side of one connection, from the first request that was not ready-made to its end."""

    __slots__ = (
        "_answered",
        "_before",
        "_ended",
        "_held",
        "_linger",
        "_route",
        "_unfinished",
        "_waiting",
        "begun",
        "origin",
    )

    def __init__(self, server: web.Server, route: OrdinaryRoute, origin: Origin, linger: Callable[[], None]) -> None:
        """`linger` is called instead of closing the transport, once the last answer has been written."""
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=3600.0,  # the listener's sweep comes long before
            tcp_keepalive=False,  # inherited from the listening socket
            access_log=None,  # type: ignore[arg-type]  # None is what turns it off; the annotation forgets it
            max_line_size=LARGEST_HEAD,
            max_field_size=LARGEST_HEAD,
            max_headers=LARGEST_HEAD,
            lingering_time=0.0,
        )
        self._route = route
        self._linger = linger
        self._answered = 0
        self._before = b""  # the last three bytes fed: a head may end across two pieces
        self._ended = False
        self._held = False
        self._unfinished = 0
        self._waiting = bytearray()
        self.origin = origin
        self.begun = False

    @property
    def busy(self) -> bool:
        """Whether a request is waiting for its answer, or for its turn."""
        return self._answering or bool(self._waiting)

    @property
    def _answering(self) -> bool:
        return self._request_count > self._answered

    def data_received(self, data: bytes) -> None:
        """Take what has come, and read no more of it while too much of it waits."""
        self._waiting += data
        if len(self._waiting) > _MOST_WAITING and not self._held and self.transport is not None:
            self._held = True
            self.transport.pause_reading()
        self._feed()

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp says None, asyncio.Protocol bool | None
        """Keep the connection open while requests wait for answers: their sender may still listen."""
        self._ended = True
        return self.busy

    def _feed(self) -> None:
        """Give the parser one request at a time, the next when that has been answered and the answer is being read.

        Given a long pipeline at once, aiohttp goes over all the rest of it again for every few requests, and forgets
        the good ones that it has parsed out of a chunk when a bad one follows in it.
        """
        while self._waiting and not self._answering:
            end = (self._before + self._waiting).find(b"\r\n\r\n") + 4 - len(self._before)
            piece = bytes(self._waiting[:end] if end > 0 else self._waiting)
            del self._waiting[: len(piece)]
            self._before = (self._before + piece)[-3:]
            super().data_received(piece)
            self._unfinished = 0 if self._answering else self._unfinished + len(piece)
            if self._unfinished > LARGEST_HEAD:
                # A byte that no head may hold: the parser fails here and now. `handle_error` says what it is about.
                super().data_received(b"\0")
        self.begun = self._unfinished > 0
        if self._held and len(self._waiting) <= _MOST_WAITING // 2 and self.transport is not None:
            self._held = False
            self.transport.resume_reading()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the response; after the last one, let the client read it before the connection goes."""
        finished, reset = await super().finish_response(request, resp, start_time)
        self._answered += 1
        if finished.keep_alive:
            self._feed()
        if (self._ended and not self.busy) or not finished.keep_alive:
            self.close()
            if self.transport is not None:
                # Closing now would reset the connection if the client is still sending, and take away the answer
                # that it has not read yet (RFC 9112 9.6).
                self.transport = None
                self._linger()
        return finished, reset

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,  # noqa: ARG002 - the same
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the same
    ) -> web.StreamResponse:
        """Answer what could not be parsed; nothing of it is logged, since callers write it."""
        too_large = isinstance(exc, LineTooLong) or self._unfinished > LARGEST_HEAD
        return self._route.refuse(HEAD_TOO_LARGE if too_large else BAD_REQUEST, self.origin)


def as_http_1_1(message: RawRequestMessage) -> RawRequestMessage:
    """Let what we cannot speak, or could not read (aiohttp calls that HTTP/1.0), be answered in HTTP/1.1, by a 400."""
    if message.method != "UNKNOWN" and message.version in (HttpVersion10, HttpVersion11):
        return message
    return message._replace(version=HttpVersion11, path="")
