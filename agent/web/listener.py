"""Where do requests come in, and how does that end?"""

import asyncio
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from itertools import islice

from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from agent.callers import End, Origin, Recogniser
from agent.clock import Clock
from agent.events import Report
from agent.web import Output, sockets
from agent.web.answers import headers, http_date, wire
from agent.web.connections import Beginning, Connection, Limits
from agent.web.fast import ReadyAnswers
from agent.web.ordinary import OrdinaryConnection, OrdinaryRoute, as_http_1_1
from agent.web.origins import ByAddress
from agent.web.problems import OVERLOADED, THROTTLED, Problem
from agent.web.shares import CONNECTED, Share, Shares
from agent.web.sockets import Address
from agent.web.stats import RequestStats

#: How long requests that are under way may still take when we close, in seconds.
GRACE = 2.0

#: So many connections are accepted at a time, so that a herd does not keep others waiting.
_AT_A_TIME = 64

#: Of the file descriptors that this process may open, so many are left for everything but callers: 256 of them for
#: strangers at the issuer's listener (web/guests.py), if there is one.
_RESERVED = 384

#: How long to wait, in seconds, when the machine cannot give us another connection.
_BREATHER = 0.25

#: How long such trouble is not told of again, in seconds.
_AGAIN = 60.0

#: Among so many of the oldest connections is looked for one that can go when there are too many.
_OLDEST = 64

#: The most connections of an ordinary application. The oldest gives way, since aiohttp lets who says nothing stay.
_MOST_ORDINARY = 64

OnBug = Callable[[BaseException], None]


@asynccontextmanager
async def serving(application: web.Application, where: Address | socket.socket) -> AsyncIterator[Address]:
    """Serve an ordinary application while the context lasts; yields the address that it listens on.

    On the way out nothing more is accepted, requests under way get their answer, then connections close.
    Raises ListenerUnavailable.
    """
    listening = sockets.opened(where)
    loop = asyncio.get_running_loop()
    address = sockets.address_of(listening)
    runner = web.AppRunner(application, access_log=None, keepalive_timeout=75.0, shutdown_timeout=GRACE)
    try:
        await runner.setup()
        server = runner.server
        assert server is not None  # it has been set up

        def connected() -> web.RequestHandler:
            for oldest in server.connections[: 1 - _MOST_ORDINARY]:
                oldest.force_close()
            return server()

        accepting = await loop.create_server(connected, sock=listening, backlog=sockets.BACKLOG)
        try:
            yield address
        finally:
            accepting.close()
    finally:
        await runner.cleanup()
        listening.close()


@asynccontextmanager
async def answering(
    output: Output,
    where: Address | socket.socket,
    *,
    clock: Clock,
    stats: RequestStats,
    on_bug: OnBug,
    report: Report,
    recogniser: Recogniser | None = None,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> AsyncIterator[Address]:
    """Answer for one output, fast, while the context lasts; yields the address that it listens on.

    `recogniser` is asked once for each connection; without one, callers are told apart by their address. `clock` gives
    the Date of answers. On the way out nothing more is accepted, requests under way get their answer within 2 s, then
    connections close. Raises ListenerUnavailable.
    """
    listening = sockets.opened(where, limits.hops)
    route = OrdinaryRoute(output, clock, Shares(endless=limits.proxied), stats, on_bug, report, proxied=limits.proxied)
    answers = ReadyAnswers(output, clock, route.shares, on_bug, proxied=limits.proxied)
    listener = _Listener(
        listening, recogniser or ByAddress(), route, answers, stats=stats, on_bug=on_bug, limits=limits
    )
    listener.open()
    try:
        yield sockets.address_of(listening)
    finally:
        await listener.close()


class _Listener:
    """Accepts connections itself, rather than by the loop.

    So a request that came with its connection is answered before anything is built for that connection, which for
    most SDKs is all that there is to do.
    """

    def __init__(
        self,
        listening: socket.socket,
        recogniser: Recogniser,
        route: OrdinaryRoute,
        answers: ReadyAnswers,
        *,
        stats: RequestStats,
        on_bug: OnBug,
        limits: Limits,
    ) -> None:
        self._listening = listening
        self._recogniser = recogniser
        self._here = sockets.address_of(listening)
        self._anywhere = self._here[0] in ("0.0.0.0", "::")  # noqa: S104 - recognised, not chosen
        self._loop = asyncio.get_running_loop()
        self._on_bug = on_bug
        self._limits = limits
        descriptors = _descriptors()
        self._most = min(limits.connections, max(descriptors - _RESERVED, descriptors // 4))
        self._route = route
        self._server = web.Server(self._route, request_factory=self._request)
        self._connections: dict[Connection, Share] = {}  # oldest first
        self._by_share: dict[Share, dict[Connection, None]] = {}  # the same, of each caller
        self._refusals: dict[str, tuple[str, bytes]] = {}
        self._adoptions: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closing = False
        self._told = -_AGAIN  # steady time at which it was last told that there was no accepting
        self._empty = asyncio.Event()
        self.answers = answers
        self.stats = stats
        self.steady = route.clock.steady

    def open(self) -> None:
        """Accept from now on."""
        self._loop.add_reader(self._listening, self._accept)

    async def close(self) -> None:
        """Accept what has connected already, then no more; wait for answers under way, then end all connections."""
        self._loop.remove_reader(self._listening)
        for _ in range(sockets.BACKLOG // _AT_A_TIME):  # not for as long as others keep connecting
            if not self._accept():
                break
        self._closing = True
        self._listening.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(GRACE):
                await self._drained()
        for connection in tuple(self._connections):
            connection.abort()
        for adoption in tuple(self._adoptions):
            adoption.cancel()
        if self._sweep is not None:
            self._sweep.cancel()

    async def _drained(self) -> None:
        while self._connections:
            self._empty.clear()
            for connection in tuple(self._connections):
                if not connection.busy:
                    connection.close()
            with suppress(TimeoutError):
                async with asyncio.timeout(0.02):
                    await self._empty.wait()

    def ordinary(self, connection: Connection) -> OrdinaryConnection:
        return OrdinaryConnection(self._server, self._route, connection.origin, connection.linger)

    def lost(self, connection: Connection) -> None:
        share = self._connections.pop(connection, None)
        if share is not None:
            del self._by_share[share][connection]
            if not self._by_share[share]:
                del self._by_share[share]
        if not self._connections:
            self._empty.set()

    def _accept(self) -> bool:
        """Take some of those who wait; whether there may be more."""
        for _ in range(_AT_A_TIME):
            try:
                accepted, peer = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return False
            except OSError as error:
                if not self._closing:
                    self._pause(error)
                return False
            try:
                self._take(accepted, (str(peer[0]), int(peer[1])))
            except OSError:
                accepted.close()  # the client has gone already
        return True

    def _take(self, accepted: socket.socket, client: End) -> None:
        """Answer what has come with the connection, if it is known; keep the connection if more may come."""
        now = self.steady()
        try:
            received = accepted.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            received = b""
        else:
            if not received:
                accepted.close()  # connected, and gone again without a word
                return
        origin = self._recognised(accepted, client)
        share = self._route.shares.of(origin, now)
        if not share.take(CONNECTED, now):
            self._route.unheard(origin, THROTTLED)
            accepted.send(self._refused(THROTTLED), socket.MSG_DONTWAIT)
            accepted.close()
            return
        if self._sweep is None:  # also for who is gone again at once: the answer is remembered
            self._sweep = self._loop.call_later(self._limits.sweep, self._look_round)
        begin = Beginning(received=received)
        ready = self.answers.find(origin, received, now) if received else None
        if ready is not None:
            sent = accepted.send(ready.content, socket.MSG_DONTWAIT)
            self.stats.count(ready.counted, self.steady() - now)
            if ready.last and sent == len(ready.content):
                # No waiting for the client's end here: who asks for the connection to be closed must send nothing
                # more on it (RFC 9112 9.6), so there is nothing that could reset it before the answer is read.
                accepted.close()
                return
            begin = Beginning(unsent=ready.content[sent:], last=ready.last)
        if len(self._connections) >= self._most and not self._make_room(share):
            if ready is None:  # who had a ready answer has it, however full the house is
                accepted.send(self._refused(OVERLOADED), socket.MSG_DONTWAIT)
            accepted.close()
            return
        self._adopt(accepted, Connection(self, origin, begin), share)

    def _recognised(self, accepted: socket.socket, client: End) -> Origin:
        """Who is there, asked now: the kernel forgets a socket with its last owner. Raises OSError if nobody is."""
        server = (str(accepted.getsockname()[0]), self._here[1]) if self._anywhere else self._here
        origin = self._recogniser.recognise(client, server)
        if number := accepted.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(number, "reset")  # and then another may have had its port by the time we asked
        return origin

    def _adopt(self, accepted: socket.socket, connection: Connection, share: Share) -> None:
        self._connections[connection] = share
        self._by_share.setdefault(share, {})[connection] = None
        # Not a TaskGroup: it would wrap whatever ends the service around us in a group of one.
        adoption = self._loop.create_task(self._adopted(accepted, connection))
        self._adoptions.add(adoption)
        adoption.add_done_callback(self._adoptions.discard)

    async def _adopted(self, accepted: socket.socket, connection: Connection) -> None:
        """Give the connection its transport. Never raises."""
        try:
            accepted.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: connection, accepted)
        except (OSError, asyncio.CancelledError):  # the client has gone already, or we are going
            self.lost(connection)
            accepted.close()

    def _look_round(self) -> None:
        """Cut off who takes too long, and forget what was remembered: requests hold tokens, and answers secrets.

        Runs after something was asked and while there are connections, so an idle listener sleeps.
        """
        now = self.steady()
        self.answers.forget(now)
        for connection in tuple(self._connections):
            connection.cut_off_if_overdue(now, self._limits)
        self._sweep = None
        if self._connections:
            self._sweep = self._loop.call_later(self._limits.sweep, self._look_round)

    def _make_room(self, newcomer: Share | None = None) -> bool:
        """End one of the oldest connections of whoever has most, if nobody waits for an answer on it.

        So whoever opens connections and says nothing on them keeps nobody out but himself, and takes nobody's away.
        """
        most = max(self._by_share.values(), key=len, default={})
        own = {} if newcomer is None else self._by_share.get(newcomer, {})
        for connection in islice(own if len(own) >= len(most) else most, _OLDEST):
            if connection.idle:
                self.lost(connection)
                connection.abort()
                return True
        return False

    def _pause(self, error: OSError) -> None:
        """Leave those who wait in the backlog for a moment: this machine cannot give us another connection now.

        Whatever the reason: to try again at once would keep the loop busy with nothing else.
        """
        now = self.steady()
        if now - self._told >= _AGAIN:
            self._told = now
            self._on_bug(error)
        self._make_room()
        self._loop.remove_reader(self._listening)
        self._loop.call_later(_BREATHER, self._resume)

    def _resume(self) -> None:
        if not self._closing:
            self._loop.add_reader(self._listening, self._accept)

    def _refused(self, problem: Problem) -> bytes:
        """The answer to a connection that is not kept; made once a second, since there may be many of them."""
        self.stats.count((*self._route.label, problem.status), 0.0)
        date = http_date(self._route.clock.now())
        made, content = self._refusals.get(problem.code, ("", b""))
        if made != date:
            body = problem.body()
            content = wire("503 Service Unavailable", headers(body, date, problem.headers), body, last=True)
            self._refusals[problem.code] = (date, content)
        return content

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        return web.BaseRequest(as_http_1_1(message), payload, protocol, writer, task, self._loop)


def _descriptors() -> int:
    """How many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1 << 20 if soft == resource.RLIM_INFINITY else soft
