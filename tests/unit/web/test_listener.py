import asyncio
import errno
import gc
import os
import resource
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from agent.errors import ListenerUnavailable
from agent.web.connections import Limits
from agent.web.fast import ReadyAnswers
from agent.web.listener import serving
from agent.web.sockets import BACKLOG, Address
from tests.unit.web.world import BOTH, WEB, OnlyOrdinary, World, answers, ask, request, say

pytestmark = pytest.mark.long


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fetch()
    return world


async def test_an_application_is_served_while_the_context_lasts() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", hello)
    async with (
        serving(application, ("127.0.0.1", 0)) as (host, port),
        ClientSession() as session,
        session.get(f"http://{host}:{port}/") as response,
    ):
        assert await response.text() == "hello"
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)


async def test_a_taken_address_is_refused_by_both_kinds_of_listener(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = taken.getsockname()
        with pytest.raises(ListenerUnavailable):
            async with serving(web.Application(), where):
                pass
        with pytest.raises(ListenerUnavailable):
            async with world.listening(where=where):
                pass


async def test_what_ends_the_service_is_not_wrapped(world: World) -> None:
    with pytest.raises(ZeroDivisionError):
        async with world.listening():
            raise ZeroDivisionError


async def test_an_open_socket_is_taken_over(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        async with world.listening(where=given) as address:
            assert address == given.getsockname()
            assert (await ask(address, request())).status == 200


async def test_a_connection_on_which_nothing_is_said_yet_is_taken_too(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        async with world.listening(where=given) as address:
            if hasattr(socket, "TCP_DEFER_ACCEPT"):
                given.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
            reader, writer = await asyncio.open_connection(*address)
            await asyncio.sleep(0.05)
            writer.write(request())
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            writer.close()
    assert world.bugs == []


async def test_the_address_that_a_client_used_counts_when_listening_anywhere(world: World) -> None:
    async with world.listening(where=("0.0.0.0", 0)) as (_, port):
        address = ("127.0.0.2", port)
        assert (await ask(address, request().replace(b"Host: 127.0.0.1", b"Host: 127.0.0.2"))).status == 200
        assert (await ask(address, request().replace(b"Host: 127.0.0.1", b"Host: 127.0.0.3"))).status == 403


async def test_ipv6_is_spoken(world: World) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    async with world.listening(where=("::1", 0)) as address:
        assert (await ask(address, request().replace(b"127.0.0.1", b"[::1]:9170"))).status == 200


async def test_a_request_under_way_is_answered_before_the_listener_is_gone() -> None:
    cold = World()
    cold.sources["web"].answers_in = timedelta(milliseconds=300)
    fetching = asyncio.ensure_future(cold.sessions["web"].renew())
    async with cold.listening() as address:
        asking = asyncio.ensure_future(say(address, request()))
        await asyncio.sleep(0.05)
        later = asyncio.get_running_loop().call_later(
            0.2, lambda: asyncio.ensure_future(cold.clock.advance(timedelta(milliseconds=400)))
        )
    (told,) = answers(await asking)
    assert told.status == 200
    await fetching
    later.cancel()


async def test_idle_connections_do_not_hold_up_the_end(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with world.listening() as address:
        streams = [await asyncio.open_connection(*address) for _ in range(5)]
        for reader, writer in streams:
            writer.write(request())
            await reader.readuntil(b"}")
        began = loop.time()
    assert loop.time() - began < 1.0
    for reader, writer in streams:
        assert await reader.read() == b""
        writer.close()


class Besieged(socket.socket):
    """A listening socket at which, once told so, somebody always waits; all of them hang up at once."""

    besieged = False
    taken = 0

    def accept(self) -> tuple[socket.socket, tuple[str, int]]:
        if not self.besieged:
            return super().accept()
        assert self.taken < 100_000, "there is no end to it"
        self.taken += 1
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours, ("127.0.0.1", 1)


async def test_who_keeps_connecting_does_not_keep_it_from_ending(world: World) -> None:
    listening = Besieged()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    async with world.listening(where=listening):
        listening.besieged = True
    assert 0 < listening.taken <= BACKLOG


async def test_after_the_end_nobody_is_let_in(world: World) -> None:
    async with world.listening() as address:
        pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


async def test_who_comes_when_all_wait_for_an_answer_is_told_so_and_let_in_later() -> None:
    world = World()  # nothing fetched yet: everybody waits
    async with world.listening(limits=Limits(connections=3, sweep=0.02)) as address:
        guests = [await asyncio.open_connection(*address) for _ in range(3)]
        for _, writer in guests:
            writer.write(request())
        await asyncio.sleep(0.05)
        told = await ask(address, request())
        assert (told.status, told.headers["Retry-After"], told.headers["Connection"]) == (503, "1", "close")
        assert b"Overloaded" in told.body
        await world.fetch()
        for reader, writer in guests:
            assert (await reader.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
            writer.close()
        await asyncio.sleep(0.05)
        assert (await ask(address, request())).status == 200
    assert world.stats.requests()["ecs", "", 503] == 1


async def test_who_has_an_answer_ready_gets_it_however_many_wait() -> None:
    world = World()
    await world.sessions["web"].renew()  # and nothing for the other role: who asks for that waits
    async with world.listening(limits=Limits(connections=3)) as address:
        guests = [await asyncio.open_connection(*address) for _ in range(3)]
        for _, writer in guests:
            writer.write(request("/v1/credentials/backup", BOTH))
        await asyncio.sleep(0.05)
        assert (await ask(address, request())).status == 200
        for _, writer in guests:
            writer.close()


async def test_who_takes_all_places_and_says_nothing_keeps_nobody_out(world: World) -> None:
    async with world.listening(limits=Limits(connections=3)) as address:
        silent = [await asyncio.open_connection(*address) for _ in range(3)]
        for _, writer in silent:
            writer.write(b"GET /v1/")
        await asyncio.sleep(0.05)
        guest, to_guest = await asyncio.open_connection(*address)
        for _ in range(3):
            to_guest.write(request())
            assert (await guest.readuntil(b"}")).startswith(b"HTTP/1.1 200 ")
        assert await silent[0][0].read() == b""  # the oldest had to go
        for _, writer in (*silent[1:], (guest, to_guest)):
            assert not writer.is_closing()
        for _, writer in (*silent, (guest, to_guest)):
            writer.close()


async def test_who_takes_all_places_and_reads_nothing_keeps_nobody_out(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        given.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # so that little is enough
        given.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with world.listening(where=given, limits=Limits(connections=2)) as address:
            await _served_beside_two_who_read_nothing(address)


async def _served_beside_two_who_read_nothing(address: Address) -> None:
    deaf = []
    for _ in range(2):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        client.connect(address)
        client.setblocking(False)
        deaf.append(client)
    for client in deaf:
        left, refused = memoryview(request(token=None) * 50_000), 0
        while refused < 10:  # until it is clear that the agent does not read either
            try:
                left = left[client.send(left) :]
                refused = 0
                await asyncio.sleep(0)
            except BlockingIOError:
                refused += 1
                await asyncio.sleep(0.01)
    assert (await ask(address, request())).status == 200
    for client in deaf:
        client.close()


async def test_who_takes_all_places_of_an_application_keeps_nobody_out() -> None:
    async def hello(_: web.Request) -> web.Response:
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", hello)
    async with serving(application, ("127.0.0.1", 0)) as (host, port):
        silent = [await asyncio.open_connection(host, port) for _ in range(70)]
        for _, writer in silent:
            writer.write(b"GET /")
        await asyncio.sleep(0.05)
        async with ClientSession() as session, session.get(f"http://{host}:{port}/") as response:
            assert await response.text() == "hello"
        assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_when_files_run_out_those_who_wait_are_answered_later(world: World) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with world.listening() as address:
        highest = max(int(one.name) for one in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 10, hard))
        kept = []
        try:
            client = socket.create_connection(address)
            client.setblocking(False)
            with pytest.raises(OSError, match=os.strerror(errno.EMFILE)):
                while True:
                    kept.append(socket.socket())
            client.send(request())
            await asyncio.sleep(0.1)
            assert [type(bug) for bug in world.bugs] == [OSError]
        finally:
            for one in kept:
                one.close()
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        received = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), 5)
        assert received.startswith(b"HTTP/1.1 200")
        client.close()


@pytest.mark.parametrize("more", [(), (b"Connection: close",)], ids=["kept", "closed"])
async def test_tokens_and_secrets_are_forgotten_soon_after_the_last_request(
    world: World, more: tuple[bytes, ...]
) -> None:
    output = world.output
    async with world.listening(output, Limits(sweep=0.2)) as address:
        (remembering,) = [one for one in gc.get_objects() if isinstance(one, ReadyAnswers) and one._output is output]
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(2):  # the sweep must start again after it has stopped
            if writer.is_closing():
                reader, writer = await asyncio.open_connection(*address)
            writer.write(request("/v1/credentials/web", WEB, *more))
            await reader.readuntil(b"}")
            assert remembering._known
            await asyncio.sleep(0.3)
            assert not remembering._known
            if more:
                writer.close()
        writer.close()


async def test_an_idle_listener_does_nothing_at_all(world: World) -> None:
    async with world.listening() as address:
        await ask(address, request())
        await asyncio.sleep(0.1)
        loop = asyncio.get_running_loop()
        assert [handle for handle in loop._scheduled if not handle.cancelled()] == []  # type: ignore[attr-defined]  # private


async def test_durations_are_measured_on_both_routes(world: World) -> None:
    for output in (world.output, OnlyOrdinary(world.output)):
        async with world.listening(output) as address:
            await ask(address, request())
    _, counts, total = world.stats.durations("ecs")
    assert counts[-1] == 2
    assert total == 0.0  # this clock stands still
