"""What happens on one connection?

It begins on the fast route: known bytes in, ready bytes out. With the first request that has no ready answer it
goes over to the ordinary route, and stays there to its end, so that answers keep the order of their requests.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

from agent.callers import Origin
from agent.web.fast import ReadyAnswers
from agent.web.ordinary import OrdinaryConnection
from agent.web.stats import RequestStats


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much we put up with; times in seconds, looked after once each `sweep`."""

    connections: int = 4096
    head: float = 10.0  # from the first byte of a request to the last of its head
    idle: float = 75.0  # with nothing said on either side
    linger: float = 2.0  # from our last answer to the client's end
    sweep: float = 1.0
    hops: int = 0  # how many hosts an answer may pass through; 0 leaves that to the system
    proxied: bool = False  # whether requests come through a proxy, and so may be a browser's


@dataclass(frozen=True, slots=True)
class Beginning:
    """What happened on a connection before it had a transport. Requests hold tokens, and answers secrets."""

    received: bytes = field(default=b"", repr=False)  # for which, as a whole, there was no ready answer
    unsent: bytes = field(default=b"", repr=False)  # the rest of an answer begun
    last: bool = False  # whether that answer ends the connection


NOTHING_YET = Beginning()


class Floor(Protocol):
    """What a connection needs of its listener."""

    answers: ReadyAnswers
    stats: RequestStats
    steady: Callable[[], float]

    def ordinary(self, connection: "Connection") -> OrdinaryConnection:
        """The other route for this connection."""
        ...

    def lost(self, connection: "Connection") -> None:
        """Forget this connection."""
        ...


class Connection(asyncio.Protocol):
    """One connection, in front of both routes."""

    __slots__ = ("_begin", "_ended", "_floor", "_last", "_ordinary", "_transport", "_writing_paused", "origin", "seen")

    def __init__(self, floor: Floor, origin: Origin, begin: Beginning) -> None:
        """A connection that does not know its transport yet."""
        self._floor = floor
        self._ordinary: OrdinaryConnection | None = None
        self._transport: asyncio.Transport | None = None
        self._begin = begin
        self._writing_paused = False
        self._ended = False
        self._last: float | None = None  # steady time when the last answer was written: only the end is awaited
        self.origin = origin
        self.seen = floor.steady()  # steady time of the latest sign of life; of the head's first byte while it comes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over a connection that was accepted."""
        self._transport = cast("asyncio.Transport", transport)
        begin, self._begin = self._begin, NOTHING_YET
        if begin.unsent:
            self._transport.write(begin.unsent)
        if begin.last:
            self.linger()
        elif begin.received:
            self._one_by_one(self._transport, begin.received, self.seen)

    def data_received(self, data: bytes) -> None:
        """Answer at once if the bytes are known; this is the hot path."""
        floor, transport = self._floor, self._transport
        if self._ordinary is None and transport is not None and self._last is None:
            now = floor.steady()
            ready = floor.answers.find(self.origin, data, now)
            if ready is None:
                self._one_by_one(transport, data, now)
                return
            transport.write(ready.content)
            self.seen = now
            if ready.last:
                self.linger()
            floor.stats.count(ready.counted, floor.steady() - now)
        elif self._ordinary is not None and self._last is None:
            if not self._ordinary.begun:
                self.seen = floor.steady()
            self._ordinary.data_received(data)

    def eof_received(self) -> bool:
        """The client will send no more; what it has asked is still answered."""
        self._ended = True
        return self._last is None and self._ordinary is not None and self._ordinary.eof_received()

    def pause_writing(self) -> None:
        """The client does not read its answers: read no more of its requests."""
        self._writing_paused = True
        if self._ordinary is not None:
            self._ordinary.pause_writing()
        elif self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has read them."""
        self._writing_paused = False
        if self._ordinary is not None:
            self._ordinary.resume_writing()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._transport = None
        if self._ordinary is not None:
            self._ordinary.connection_lost(exc)
        self._floor.lost(self)

    @property
    def busy(self) -> bool:
        """Whether somebody may still be waiting for an answer, or for the rest of one."""
        if self._transport is None or self._last is not None:
            return False
        return (self._ordinary is not None and self._ordinary.busy) or self._transport.get_write_buffer_size() > 0

    @property
    def idle(self) -> bool:
        """Whether it can be ended and nobody loses an answer that he waits for: who does not read, does not wait."""
        if self._transport is None:
            return False
        return self._writing_paused or self._ordinary is None or not self._ordinary.busy

    def close(self) -> None:
        """End it as soon as what has been written is on its way."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now, whatever is lost."""
        if self._transport is not None:
            self._transport.abort()

    def cut_off_if_overdue(self, now: float, limits: Limits) -> None:
        """End it if it has taken too long over anything."""
        if self._last is not None:
            if now - self._last > limits.linger:
                self.abort()
        elif now - self.seen > limits.idle:
            self.abort() if self.busy else self.close()
        elif self._ordinary is not None and self._ordinary.begun and now - self.seen > limits.head:
            self.close()

    def linger(self) -> None:
        """Say that no more will come, and wait for the client to say the same; what it sends is thrown away."""
        self._last = self._floor.steady()
        if self._transport is None:
            return
        if self._ended:
            self._transport.close()
        else:
            self._transport.write_eof()

    def _one_by_one(self, transport: asyncio.Transport, data: bytes, now: float) -> None:
        """Answer the known requests at the front of a pipeline; the rest takes the ordinary route."""
        start = 0
        while not self._writing_paused:
            end = data.find(b"\r\n\r\n", start) + 4
            if end in (3, len(data)) and start == 0:
                break  # a single request, whole or not, that `find` has refused already
            ready = self._floor.answers.find(self.origin, data[start:end], now) if end > 3 else None
            if ready is None:
                break
            transport.write(ready.content)
            self._floor.stats.count(ready.counted, self._floor.steady() - now)
            start, self.seen = end, now
            if ready.last:
                self.linger()
                return
            if start == len(data):
                return
        self._go_over(transport, data[start:], now)

    def _go_over(self, transport: asyncio.Transport, data: bytes, now: float) -> None:
        self.seen = now
        self._ordinary = self._floor.ordinary(self)
        self._ordinary.connection_made(transport)
        if self._writing_paused:  # from here on aiohttp decides when to read
            self._ordinary.pause_writing()
            transport.resume_reading()
        self._ordinary.data_received(data)
