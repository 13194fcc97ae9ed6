"""How long and how many may strangers stay?

Connections over TLS of whoever comes. They are accepted here and not by the loop, so that those still shaking hands
are counted, too. None stays for long without asking for something. Whoever asks for much waits in line with all others,
one request at a time: the loop has more to do than to serve strangers.
"""

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Final, cast

from agent.households import household
from agent.web.antechamber import Antechamber

#: The most that the line and the fields of one request may come to, in bytes.
LARGEST_HEAD: Final = 16_384

#: So many are let in in so many seconds. A handshake takes our private key one to five milliseconds of the loop, and
#: whoever comes in crowds must not keep those waiting who want credentials from it.
_AT_A_TIME, _SPELL = 5, 0.1

#: So many are taken into the antechamber in one such spell, which is cheap.
_AT_THE_DOOR: Final = 100

#: So many requests are answered in one such spell, whoever they are from. An answer takes up to a tenth of a
#: millisecond, and a connection that is there already can ask for thousands in one packet after the other.
_ANSWERS: Final = 20

#: How long to wait, in seconds, when the machine cannot give us another connection.
_BREATHER: Final = 0.25

#: An answer, and whether the connection ends with it.
Reply = tuple[bytes, bool]

#: The reply to a head, or to one that was too long (None), from whoever is at the other end; or what it will be. That
#: never raises, and comes to an end by itself.
Answer = Callable[[bytes | None, "Visit"], Reply | Awaitable[Reply]]


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One connection, which is another object for each; `address` is the IP address at its other end."""

    address: str

    @property
    def household(self) -> str:
        """Who that is, as far as addresses tell."""
        return household(self.address)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long and how much we put up with; times in seconds.

    `handshake` is for all of it; `head` from the first byte of a request, or from the handshake, to the last of its
    head; `idle` from an answer to the next request, and for reading that answer; `linger` from our end to theirs.
    """

    connections: int = 256
    handshake: float = 10.0
    head: float = 10.0
    idle: float = 30.0
    linger: float = 2.0


class Guests:
    """All who are connected now, oldest first.

    When there are too many, one gives way: the oldest of those from wherever most are from.
    """

    def __init__(
        self,
        listening: socket.socket,
        answer: Answer,
        context: Callable[[], ssl.SSLContext],
        on_bug: Callable[[BaseException], None],
        limits: Limits,
    ) -> None:
        """Accept nobody yet. `context` is asked anew for each connection."""
        self.answer = answer
        self.limits = limits
        self.loop = asyncio.get_running_loop()
        self._listening = listening
        self._context = context
        self._on_bug = on_bug
        self._here: dict[_Guest, asyncio.Task[None]] = {}
        self._closing = False
        self._told = False
        self._spell = 0.0  # the loop's time when the present spell began
        self._taken = 0  # how many handshakes were begun in it
        self._antechamber = Antechamber()
        self._letting_in = False  # or about to go on with it
        self._line: dict[_Guest, None] = {}  # those with a whole request, in the order in which it is their turn
        self._serving = False  # or about to go on with it
        self._round = 0.0  # the same for answers as _spell and _taken for connections
        self._answered = 0
        self._empty = asyncio.Event()

    def welcome(self) -> None:
        """Accept from now on."""
        self.loop.add_reader(self._listening, self._accept)

    async def farewell(self) -> None:
        """Accept no more, let what has been written go out, and end all connections."""
        self._closing = True
        self.loop.remove_reader(self._listening)
        self._listening.close()
        while self._antechamber.turn_away():
            pass  # each of those who are not let in any more
        shaking = [task for task in self._here.values() if not task.done()]
        for guest, task in tuple(self._here.items()):
            if task in shaking:
                self._show_out(guest)
            else:
                guest.leave()
        self._empty.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.limits.linger if self._here else 0):
                await self._empty.wait()
        for guest in tuple(self._here):
            self._show_out(guest)
        if shaking:
            await asyncio.wait(shaking)

    def gone(self, guest: "_Guest") -> None:
        """Forget one who is gone."""
        self._here.pop(guest, None)
        self._line.pop(guest, None)
        if not self._here:
            self._empty.set()

    def line_up(self, guest: "_Guest") -> None:
        """Give one who has asked a turn: now, unless much has been answered just now."""
        self._line[guest] = None
        if not self._serving:
            self._serving = True
            self._serve()

    def _serve(self) -> None:
        if self.loop.time() - self._round >= _SPELL:
            self._round, self._answered = self.loop.time(), 0
        while self._line and self._answered < _ANSWERS:
            self._answered += 1
            first = next(iter(self._line))
            del self._line[first]
            first.take_turn()  # and get in line again, at its end, if it has asked for more
        self._serving = bool(self._line)
        if self._serving:
            self.loop.call_later(_SPELL, self._serve)

    def _accept(self) -> None:
        """Take in who stands before the door, so that it is seen who else is there."""
        for _ in range(_AT_THE_DOOR):
            try:
                accepted, end = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                self._make_do(error)
                break
            self._told = False
            accepted.setblocking(False)
            self._antechamber.come(household(str(end[0])), (accepted, str(end[0])))
        else:
            self._rest(_SPELL)
        if not self._letting_in:
            self._let_in()

    def _let_in(self) -> None:
        """Shake hands with so many as may be now, and go on in the next spell if more wait."""
        if self.loop.time() - self._spell >= _SPELL:
            self._spell, self._taken = self.loop.time(), 0
        while self._taken < _AT_A_TIME and (arrival := self._antechamber.next()) is not None:
            self._taken += 1
            self._begin(*arrival)
        self._letting_in = not self._closing and len(self._antechamber) > 0
        if self._letting_in:
            self.loop.call_later(_SPELL, self._let_in)

    def _begin(self, accepted: socket.socket, address: str) -> None:
        if len(self._here) >= self.limits.connections:
            self._show_out(self._dispensable())
        guest = _Guest(self, Visit(address))
        # Not a TaskGroup: it would end all connections when one of them fails.
        task = self._here[guest] = self.loop.create_task(self._shake_hands(accepted, guest))
        task.add_done_callback(partial(self._shaken, accepted, guest))

    async def _shake_hands(self, accepted: socket.socket, guest: "_Guest") -> None:
        """Give the connection its transport. Raises OSError where the other end does not want it, or not as we do."""
        await self.loop.connect_accepted_socket(
            lambda: guest,
            accepted,
            ssl=self._context(),
            ssl_handshake_timeout=self.limits.handshake,
            ssl_shutdown_timeout=self.limits.linger,
        )

    def _shaken(self, accepted: socket.socket, guest: "_Guest", task: "asyncio.Task[None]") -> None:
        """Forget whoever could not shake hands, or was shown out before: here, since a task may end unbegun."""
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            accepted.close()
            self.gone(guest)
        if error is not None and not isinstance(error, OSError):
            self._on_bug(error)

    def _show_out(self, guest: "_Guest") -> None:
        """End a connection now, in whatever state it is."""
        task = self._here[guest]
        self.gone(guest)
        task.cancel()
        guest.abort()

    def _make_do(self, error: OSError) -> None:
        """Live with what we have: this machine cannot give us another connection now."""
        if not self._told:
            self._told = True
            self._on_bug(error)
        if not self._antechamber.turn_away() and self._here:
            self._show_out(self._dispensable())
        self._rest(_BREATHER)

    def _dispensable(self) -> "_Guest":
        """Whoever goes first: so nobody can crowd out others from one address."""
        ((most, _),) = Counter(guest.visit.household for guest in self._here).most_common(1)
        return next(guest for guest in self._here if guest.visit.household == most)

    def _rest(self, seconds: float) -> None:
        """Leave those who wait in the backlog for a moment."""
        self.loop.remove_reader(self._listening)
        self.loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if not self._closing:
            self.welcome()


class _Guest(asyncio.Protocol):
    """One connection, once hands are shaken."""

    __slots__ = ("_alarm", "_answering", "_guests", "_leaving", "_reading", "_received", "_transport", "visit")

    def __init__(self, guests: Guests, visit: Visit) -> None:
        self.visit = visit
        self._guests = guests
        self._answering: asyncio.Task[None] | None = None  # the answer that is on its way
        self._transport: asyncio.Transport | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._received = bytearray()
        self._reading = True  # the other end reads its answers
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request."""
        self._transport = cast("asyncio.Transport", transport)
        self._wait(self._guests.limits.head)

    def data_received(self, data: bytes) -> None:
        """Answer what is whole; the time for a head begins with its first byte, and the next do not prolong it."""
        if self._leaving:
            return
        if not self._received:
            self._wait(self._guests.limits.head)
        self._received += data
        self._go_on()

    def pause_writing(self) -> None:
        """The other end does not read: take no more of its requests."""
        self._reading = False
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It has read."""
        self._reading = True
        if self._transport is not None and not self._transport.is_closing() and self._answering is None:
            self._transport.resume_reading()
            self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        del exc
        self._transport = None
        if self._alarm is not None:
            self._alarm.cancel()
        if self._answering is not None:
            self._answering.cancel()  # nobody is there to be told
        self._guests.gone(self)

    def leave(self) -> None:
        """Take no more requests, and close once what has been written is on its way."""
        self._leaving = True
        self._received.clear()
        if self._answering is not None:
            self._answering.cancel()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close now, whatever is lost."""
        if self._alarm is not None:
            self._alarm.cancel()
        if self._transport is not None:
            self._transport.abort()

    def take_turn(self) -> None:
        """Answer one request."""
        if not self._reading or self._leaving or self._transport is None:
            return  # it will be in line again once it reads
        head = bytes(self._received[: self._end()])
        del self._received[: len(head)]
        whole = head.endswith(b"\r\n\r\n") and len(head) <= LARGEST_HEAD
        reply = self._guests.answer(head.removeprefix(b"\r\n") if whole else None, self.visit)
        if isinstance(reply, tuple):
            self._say(*reply)
            return
        if self._alarm is not None:
            self._alarm.cancel()  # it is not the other end that takes its time
        # Not a TaskGroup: it would end all connections when one of them fails.
        self._answering = self._guests.loop.create_task(self._say_when_there(reply))

    async def _say_when_there(self, coming: Awaitable[Reply]) -> None:
        reply = await coming
        self._answering = None
        self._say(*reply)

    def _say(self, content: bytes, last: bool) -> None:  # noqa: FBT001 - the two parts of a reply
        if self._transport is None:
            return
        self._wait(self._guests.limits.head if self._received else self._guests.limits.idle)
        self._transport.write(content)
        if last:
            self.leave()
        self._go_on()

    def _go_on(self) -> None:
        """Get in line with a request that is whole, and read no more until it is answered; else read on."""
        if not self._reading or self._leaving or self._transport is None or self._answering is not None:
            return
        if self._end():
            self._transport.pause_reading()
            self._guests.line_up(self)
        else:
            self._transport.resume_reading()

    def _end(self) -> int:
        """Where the first request ends; 0 if that is not known yet. One that is too long ends with what has come."""
        begin = 2 if self._received.startswith(b"\r\n") else 0  # RFC 9112 §2.2: one empty line is passed over
        end = self._received.find(b"\r\n\r\n", begin, LARGEST_HEAD) + 4
        return end if end >= 4 else len(self._received) if len(self._received) >= LARGEST_HEAD else 0

    def _wait(self, seconds: float) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = self._guests.loop.call_later(seconds, self._overdue)

    def _overdue(self) -> None:
        """Say that it is over; if the other end has not taken that in a moment later, it is over all the same."""
        if self._leaving:
            self.abort()
        else:
            self.leave()
            self._wait(self._guests.limits.linger)
