"""Everything behind a listener: real sessions, a real vendor, tokens, and clients that speak bytes."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from agent.callers import Facts, Grant, Peer, Recogniser
from agent.outputs.ecs import EcsOutput
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.vending import RoleVendor
from agent.web import Answered, Asked, Label, Output
from agent.web.connections import Limits
from agent.web.listener import answering
from agent.web.sockets import Address
from agent.web.stats import RequestStats
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

#: Callers' tokens, and the roles that each is granted.
WEB, BOTH, NONE = b"token-of-the-web-server", b"token-of-the-operator", b"token-without-a-grant"
ROLES = ("web", "backup")


def request(path: str = "/v1/credentials/web", token: bytes | None = WEB, *more: bytes, method: str = "GET") -> bytes:
    """A request as SDKs send it; `more` are header lines."""
    lines = [f"{method} {path} HTTP/1.1".encode(), b"Host: 127.0.0.1", b"Accept: application/json"]
    if token is not None:
        lines.append(b"Authorization: " + token)
    return b"\r\n".join((*lines, *more, b"", b""))


@dataclass(slots=True)
class KnownTokens:
    """An attestor that knows these tokens; a test may take some away."""

    tokens: set[bytes] = field(default_factory=lambda: {WEB, BOTH, NONE})

    def attest(self, peer: Peer) -> Facts:
        if peer.presented in self.tokens:
            return frozenset({("token.file", peer.presented.decode())})
        return frozenset()

    async def learn(self, peer: Peer) -> None:
        pass


class World:
    """Two roles behind an output; the clock stands still unless told."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.tokens = KnownTokens()
        self.reported = Reported()
        self.sources = {role: FakeSource(self.clock, role) for role in ROLES}
        self.sessions = {
            role: RoleSession(
                role,
                source,
                RefreshPolicy(),
                clock=self.clock,
                report=self.reported,
                spread=lambda: 0.5,
            )
            for role, source in self.sources.items()
        }
        grants = [("web", WEB), ("web", BOTH), ("backup", BOTH)]
        self.vendor = RoleVendor(
            Roster.whole(self.sessions),
            [self.tokens],
            [Grant(role, frozenset({("token.file", token.decode())})) for role, token in grants],
            self.reported,
        )
        self.stats = RequestStats()
        self.bugs: list[BaseException] = []

    @property
    def output(self) -> EcsOutput:
        return EcsOutput(self.vendor, ROLES)

    async def fetch(self) -> None:
        """Let every role have its credentials."""
        for session in self.sessions.values():
            await session.renew()

    @asynccontextmanager
    async def listening(
        self,
        output: Output | None = None,
        limits: Limits | None = None,
        where: Address | socket.socket | None = None,
        recogniser: Recogniser | None = None,
    ) -> AsyncIterator[Address]:
        async with answering(
            output or self.output,
            where or ("127.0.0.1", 0),
            clock=self.clock,
            stats=self.stats,
            on_bug=self.bugs.append,
            report=self.reported,
            recogniser=recogniser,
            limits=limits or Limits(sweep=0.02),
        ) as address:
            yield address


class OnlyOrdinary:
    """The same output with nothing ever ready, so that every request takes the ordinary route."""

    def __init__(self, output: Output) -> None:
        self._output = output

    def label(self, path: str) -> Label:
        return self._output.label(path)

    async def answer(self, asked: Asked) -> Answered:
        return await self._output.answer(asked)

    def ready(self, asked: Asked) -> None:  # noqa: ARG002 - the shape of an output
        return None


class Broken(OnlyOrdinary):
    """An output with a bug in it, on both routes."""

    async def answer(self, asked: Asked) -> Answered:  # noqa: ARG002 - the same
        raise ZeroDivisionError

    def ready(self, asked: Asked) -> None:  # noqa: ARG002 - the shape of an output
        raise ZeroDivisionError


async def say(address: Address, *sent: bytes, pause: float = 0.0) -> bytes:
    """Send these bytes, `pause` between them, then nothing more; all that is answered until the end."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        for piece in sent:
            writer.write(piece)
            await writer.drain()
            if pause:
                await asyncio.sleep(pause)
        writer.write_eof()
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


@dataclass(frozen=True, slots=True)
class Told:
    """One answer, read strictly."""

    status: int
    headers: dict[str, str]
    body: bytes


def answers(received: bytes) -> list[Told]:
    """Every answer on a connection, each whole and framed by its Content-Length; nothing between or after."""
    told = []
    while received:
        head, found, received = received.partition(b"\r\n\r\n")
        assert found, head
        status, *lines = head.decode("ascii").split("\r\n")
        assert status.startswith(("HTTP/1.1 ", "HTTP/1.0 "))
        pairs = [line.split(": ", 1) for line in lines]
        headers = {pair[0]: pair[1] for pair in pairs}
        assert len(headers) == len(pairs), "a header is sent twice"
        length = int(headers["Content-Length"])
        assert len(received) >= length
        told.append(Told(int(status.split(" ")[1]), headers, received[:length]))
        received = received[length:]
    return told


async def ask(address: Address, sent: bytes) -> Told:
    """The one answer to one request."""
    (told,) = answers(await say(address, sent))
    return told


@contextmanager
def in_a_thread(
    loop: asyncio.AbstractEventLoop,
    world: World,
    *outputs: Output,
    limits: Limits | None = None,
    recogniser: Recogniser | None = None,
) -> Iterator[list[Address]]:
    """One listener for each output, served by a loop in a thread of its own, so that clients may be simple ones."""

    async def serve() -> tuple[AsyncExitStack, list[Address]]:
        await world.fetch()
        stack = AsyncExitStack()
        doors = [world.listening(output, limits, recogniser=recogniser) for output in outputs]
        return stack, [await stack.enter_async_context(door) for door in doors]

    stack, addresses = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield addresses
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
