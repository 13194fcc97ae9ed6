import asyncio
import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.web.connections import Limits
from tests.unit.web.world import WEB, OnlyOrdinary, World, answers, request, say


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fetch()
    return world


async def until_closed(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other end closes, or cuts the connection."""
    received = bytearray()
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(10):
            while more := await reader.read(65536):
                received += more
    return bytes(received)


async def test_pipelined_requests_are_answered_in_order_whatever_their_route(world: World) -> None:
    fast, slow, missing = request(), request("/v1/credentials/web?x"), request("/nothing")
    sent = [fast, fast, slow, fast, missing, fast]
    async with world.listening() as address:
        told = answers(await say(address, b"".join(sent)))
    assert [one.status for one in told] == [200, 200, 200, 200, 404, 200]


async def test_more_pipelined_requests_than_any_queue_holds_are_all_answered(world: World) -> None:
    for piece in (request(), request("/nothing")):
        async with world.listening() as address:
            assert len(answers(await say(address, piece * 500))) == 500


async def test_a_request_may_come_in_bits(world: World) -> None:
    async with world.listening() as address:
        sent = request() + request("/nothing")
        bits = [sent[at : at + 7] for at in range(0, len(sent), 7)]
        told = answers(await say(address, *bits, pause=0.001))
    assert [one.status for one in told] == [200, 404]


async def test_a_client_that_stops_sending_still_gets_what_it_asked_for(world: World) -> None:
    for output in (world.output, OnlyOrdinary(world.output)):
        async with world.listening(output) as address:
            assert len(answers(await say(address, request() * 3))) == 3


async def test_who_is_slow_with_a_head_is_cut_off(world: World) -> None:
    async with world.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /v1/cred")
        await asyncio.sleep(0.05)
        await world.clock.advance(timedelta(seconds=9))
        writer.write(b"entials/web HTTP")  # a sign of life, but the head has been coming for too long
        await asyncio.sleep(0.05)
        await world.clock.advance(timedelta(seconds=2))
        assert await until_closed(reader) == b""
        writer.close()


async def test_who_is_slow_after_a_first_request_is_cut_off_too(world: World) -> None:
    async with world.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(request())
        assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200")
        writer.write(b"GET")
        await asyncio.sleep(0.05)
        await world.clock.advance(timedelta(seconds=11))
        assert await until_closed(reader) == b""
        writer.close()


@pytest.mark.parametrize("first", [b"", request(), request("/nothing")], ids=["silent", "fast", "ordinary"])
async def test_idle_connections_are_closed_after_75_seconds_and_not_before(world: World, first: bytes) -> None:
    async with world.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(first)
        if first:
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 ")
        else:  # the kernel hides a silent connection at first (TCP_DEFER_ACCEPT); a byte shows it to us
            writer.write(b"\r\n")
        await asyncio.sleep(0.05)
        await world.clock.advance(timedelta(seconds=9 if not first else 74))
        await asyncio.sleep(0.05)
        writer.write(request())
        assert b"200 OK" in await reader.readuntil(b"}")
        await world.clock.advance(timedelta(seconds=76))
        assert await until_closed(reader) == b""
        writer.close()


async def test_a_refusal_can_be_read_by_who_is_still_sending(world: World) -> None:
    async with world.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET /" + b"x" * 20_000)
        await reader.readuntil(b"\r\n\r\n")
        for _ in range(20):
            writer.write(b"x" * 50_000)
            await asyncio.sleep(0.001)
        assert b"HeadTooLarge" in await until_closed(reader)
        writer.close()


async def test_who_never_stops_sending_after_a_refusal_is_cut_off(world: World) -> None:
    async with world.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"nonsense\r\n\r\n")
        assert b"BadRequest" in await reader.read()  # our end is closed, the client's is not
        await world.clock.advance(timedelta(seconds=3))
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionError):
            for _ in range(100):
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.005)
        writer.close()


@pytest.mark.parametrize("route", ["fast", "ordinary"])
async def test_who_asks_and_does_not_read_is_not_read_from_either(world: World, route: str) -> None:
    output = world.output if route == "fast" else OnlyOrdinary(world.output)
    with stingy() as where, reading_nothing() as greedy:
        async with world.listening(output, where=where) as address:
            await asyncio.get_running_loop().sock_connect(greedy, address)
            await send_until_nothing_is_taken(greedy)
            assert (await asyncio.to_thread(healthy, address)).startswith(b"HTTP/1.1 200")
            await world.clock.advance(timedelta(seconds=76))
            await asyncio.sleep(0.1)


async def send_until_nothing_is_taken(greedy: socket.socket) -> None:
    """For a while."""
    stuck, sent = 0, 0
    while stuck < 20:
        try:
            sent += greedy.send(request() * 100)
            stuck = 0
        except BlockingIOError:
            stuck += 1
            await asyncio.sleep(0.01)
        assert sent < 50_000_000, "whatever is sent is taken"


def healthy(address: tuple[str, int]) -> bytes:
    """What one more client is told meanwhile."""
    with socket.create_connection(address, timeout=20) as client:
        client.sendall(request("/v1/credentials/web", WEB, b"Connection: close"))
        return client.recv(65536)


def test_the_limits_are_those_of_the_contract() -> None:
    assert (Limits().head, Limits().idle, Limits().connections) == (10.0, 75.0, 4096)


@pytest.mark.parametrize("sent", [request(), request("/nothing"), b"nonsense\r\n\r\n", b"GET"], ids=repr)
async def test_nothing_is_left_of_a_client_that_has_gone(world: World, sent: bytes) -> None:
    async with world.listening(limits=Limits(sweep=60)) as address:
        before = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(5):
            await say(address, sent)
        await asyncio.sleep(0.05)
        assert len(list(Path("/proc/self/fd").iterdir())) == before


@contextlib.contextmanager
def stingy() -> Iterator[socket.socket]:
    """A socket to listen on, for whose connections the kernel keeps next to nothing that has not been read."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        yield listening


@contextlib.contextmanager
def reading_nothing() -> Iterator[socket.socket]:
    """A client's socket, for which the kernel keeps next to nothing that has not been read."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setblocking(False)
        yield client


async def read_to_the_end(client: socket.socket) -> bytes:
    received = bytearray()
    while more := await asyncio.get_running_loop().sock_recv(client, 65536):
        received += more
    return bytes(received)


@pytest.mark.parametrize("path", ["/v1/credentials/web", "/nothing"])
async def test_nothing_more_is_answered_of_a_pipeline_while_answers_are_not_read(world: World, path: str) -> None:
    loop = asyncio.get_running_loop()
    with stingy() as where, reading_nothing() as client:

        async def ask_500_times() -> None:
            for _ in range(10):
                await loop.sock_sendall(client, request(path) * 50)
                await asyncio.sleep(0)
            client.shutdown(socket.SHUT_WR)

        async with world.listening(where=where) as address:
            await loop.sock_connect(client, address)
            asking = asyncio.ensure_future(ask_500_times())
            await asyncio.wait([asking], timeout=0.3)  # it may be held up before its end
            assert sum(world.stats.requests().values()) < 400
            assert len(answers(await read_to_the_end(client))) == 500
            await asking


@pytest.mark.parametrize("path", ["/v1/credentials/web", "/nothing"])
async def test_no_further_request_is_read_while_answers_are_not(world: World, path: str) -> None:
    """Each request comes alone, when the one before has been answered: to the fast route each is a known one."""
    loop = asyncio.get_running_loop()
    with stingy() as where, reading_nothing() as client:
        async with world.listening(where=where) as address:
            await loop.sock_connect(client, address)
            asked, answered = 0, 0
            while asked == answered and asked < 1000:
                await loop.sock_sendall(client, request(path))
                asked += 1
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.5):
                        while (answered := sum(world.stats.requests().values())) < asked:  # noqa: ASYNC110 - counts
                            await asyncio.sleep(0)  # both ends share this loop
            assert answered == asked - 1 < 999, "every request is answered, though no answer is read"
            client.shutdown(socket.SHUT_WR)
            assert len(answers(await read_to_the_end(client))) == asked
