import asyncio
import contextlib
import errno
import logging
import os
import resource
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import cast

import pytest
import uvloop

from agent.publishing import Document
from agent.web.guests import Limits
from tests.fakes.issuer_site import KEYS, Site, connected, request, say, trusting
from tests.unit.web.world import answers

pytestmark = pytest.mark.long

CLOSE = "Connection: close"
#: So short that a test can wait for them.
SOON = Limits(handshake=0.1, head=0.15, idle=0.3, linger=0.1)


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    await site.shelf.publish([site.key], [])
    return site


async def ended(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side ends the connection, as it must."""
    async with asyncio.timeout(5):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


def elapsed(since: float) -> float:
    return asyncio.get_running_loop().time() - since


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_who_connects_and_does_not_shake_hands_is_cut_off(site: Site) -> None:
    async with site.listening(SOON) as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"\x16\x03\x01")  # the beginning of a handshake, or the kernel would hold the connection back
        assert await ended(reader) == b""
        writer.close()
    assert site.bugs == []


async def test_who_shakes_hands_and_says_nothing_is_cut_off(site: Site) -> None:
    async with site.listening(SOON) as address:
        reader, writer = await connected(address)
        assert await ended(reader) == b""
        writer.close()


async def test_who_sends_a_head_byte_by_byte_is_cut_off_however_busily(site: Site) -> None:
    async with site.listening(SOON) as address:
        reader, writer = await connected(address)
        began = now()

        async def drip() -> None:
            for byte in request() * 10:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)

        dripping = asyncio.ensure_future(drip())
        assert await ended(reader) == b""
        assert elapsed(began) < 2
        dripping.cancel()
        writer.close()


async def test_a_connection_that_is_used_lives_and_one_that_is_not_ends(site: Site) -> None:
    async with site.listening(SOON) as address:
        reader, writer = await connected(address)
        for _ in range(4):
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"]\n}\n")
            await asyncio.sleep(0.15)  # less than may be idle, and in all more
        assert await ended(reader) == b""
        writer.close()


class Long:
    """A document too long for all buffers on the way."""

    def document(self, path: str) -> Document:
        return Document(path, b"x" * 20_000_000, "application/json", 300)


async def test_who_does_not_read_what_he_asked_for_is_cut_off(site: Site) -> None:
    async with site.listening(SOON, library=Long()) as address:
        reader, writer = await connected(address)
        writer.write(request())
        await reader.read(1)
        transport = cast("asyncio.Transport", writer.transport)
        transport.pause_reading()
        await asyncio.sleep(0.6)  # longer than it may take, and the lingering
        transport.resume_reading()
        got = await ended(reader)
        writer.close()
        assert len(got) < 20_000_000


async def test_a_long_document_arrives_whole_with_what_reads_it_and_pipelines(site: Site) -> None:
    async with site.listening(library=Long()) as address:
        told = answers(await say(address, request() * 2 + request(KEYS, CLOSE)))
    assert [len(one.body) for one in told] == [20_000_000] * 3


async def test_when_there_are_too_many_the_oldest_gives_way(site: Site) -> None:
    async with site.listening(Limits(connections=4)) as address, AsyncExitStack() as stack:
        crowd = []
        for _ in range(6):
            reader, writer = await connected(address)
            stack.callback(writer.close)
            crowd.append((reader, writer))
        assert [await ended(reader) for reader, _ in crowd[:2]] == [b"", b""]
        for reader, writer in crowd[2:]:
            writer.write(request())
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_those_who_only_begin_a_handshake_count_and_keep_nobody_out(site: Site) -> None:
    async with site.listening(Limits(connections=4)) as address, AsyncExitStack() as stack:
        for _ in range(20):
            _, writer = await asyncio.open_connection(*address)
            stack.callback(writer.close)
            writer.write(b"\x16\x03\x01")
        assert [one.status for one in answers(await say(address, request(KEYS, CLOSE)))] == [200]


async def test_a_crowd_is_let_in_little_by_little_since_the_loop_has_more_to_do(site: Site) -> None:
    async with site.listening() as address:
        began = now()
        crowd = await asyncio.gather(*(say(address, request(KEYS, CLOSE)) for _ in range(30)))
        assert elapsed(began) >= 0.45  # five at once, then five each tenth of a second
    assert {told.status for said in crowd for told in answers(said)} == {200}
    assert site.bugs == []


async def test_who_asks_without_end_leaves_the_loop_to_others(site: Site) -> None:
    async with site.listening() as address:
        reader, writer = await connected(address)

        async def flood() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(request("/") * 1000)
                    await writer.drain()
                    await asyncio.sleep(0)

        async def read() -> None:
            while await reader.read(1 << 16):
                pass

        jobs = [asyncio.ensure_future(flood()), asyncio.ensure_future(read())]
        began = now()
        await asyncio.sleep(0.5)
        assert await asyncio.wait_for(say(address, request(KEYS, CLOSE)), 1)  # another gets his turn
        took = elapsed(began)
        for job in jobs:
            job.cancel()
        writer.close()
    assert took < 1.5
    assert sum(site.stats.requests().values()) < 500  # of the thousands that were asked for


async def test_who_sends_nothing_but_empty_lines_is_cut_off(site: Site) -> None:
    async with site.listening() as address:
        reader, writer = await connected(address)
        for _ in range(3):
            writer.write(b"\r\n")
            await asyncio.sleep(0.01)
        assert (await ended(reader)).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_one_empty_line_before_a_request_is_passed_over_however_it_comes(site: Site) -> None:
    async with site.listening() as address:
        told = answers(await say(address, b"\r", b"\n" + request(), b"\r\n", request(KEYS, CLOSE)))
    assert [one.status for one in told] == [200, 200]


async def test_a_machine_without_descriptors_is_told_of_once_and_others_are_let_in_afterwards(site: Site) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with site.listening() as address:
        _, waiting = await connected(address)
        late = socket.socket()
        late.setblocking(False)
        filling = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (late.fileno() + 50, hard))
        try:
            with contextlib.suppress(OSError):
                while True:
                    filling.append(os.open("/dev/null", os.O_RDONLY))
            await asyncio.get_running_loop().sock_connect(late, address)
            late.send(b"\x16\x03\x01")
            async with asyncio.timeout(5):
                while not site.bugs:  # noqa: ASYNC110 - the list is what the listener tells
                    await asyncio.sleep(0.01)
        finally:
            for one in filling:
                os.close(one)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            late.close()
        waiting.close()
        assert [one.status for one in answers(await say(address, request(KEYS, CLOSE)))] == [200]
    assert [getattr(bug, "errno", None) for bug in site.bugs] == [errno.EMFILE]


async def test_on_the_way_out_all_connections_end_whatever_their_state(site: Site) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    async with AsyncExitStack() as clients:
        async with site.listening() as address:
            idle_reader, idle = await connected(address)
            _, shaking = await asyncio.open_connection(*address)
            shaking.write(b"\x16\x03\x01")
            half_reader, half = await connected(address)
            half.write(b"GET / HT")
            for writer in (idle, shaking, half):
                clients.callback(writer.close)
            await asyncio.sleep(0.02)
            began = now()
        assert elapsed(began) < 1
        assert [await ended(idle_reader), await ended(half_reader)] == [b"", b""]
        with pytest.raises(OSError, match=r"Connect call failed|refused"):
            await asyncio.open_connection(*address)
    await asyncio.sleep(0.05)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


async def test_strangers_leave_no_trace_in_the_log(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with site.listening(SOON) as address:
            for sent in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(600), b"\x16\x03\x01\x00\x05hello", b"\x16"):
                reader, writer = await asyncio.open_connection(*address)
                writer.write(sent)
                await ended(reader)
                writer.close()
            _, writer = await connected(address)
            writer.transport.abort()
            assert [one.status for one in answers(await say(address, request(KEYS, CLOSE)))] == [200]
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert site.bugs == []


ON_THE_FAST_LOOP: list[Callable[[Site], object]] = [
    test_who_connects_and_does_not_shake_hands_is_cut_off,
    test_who_shakes_hands_and_says_nothing_is_cut_off,
    test_who_does_not_read_what_he_asked_for_is_cut_off,
    test_a_long_document_arrives_whole_with_what_reads_it_and_pipelines,
    test_when_there_are_too_many_the_oldest_gives_way,
    test_those_who_only_begin_a_handshake_count_and_keep_nobody_out,
    test_who_asks_without_end_leaves_the_loop_to_others,
    test_one_empty_line_before_a_request_is_passed_over_however_it_comes,
]


@pytest.mark.parametrize("test", ON_THE_FAST_LOOP, ids=lambda test: test.__name__)
def test_the_same_holds_on_the_loop_that_the_daemon_runs_on(tmp_path: Path, test: Callable[[Site], object]) -> None:
    async def run() -> None:
        site = Site(tmp_path)
        await site.shelf.publish([site.key], [])
        outcome = test(site)
        assert asyncio.iscoroutine(outcome)
        await outcome

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_a_crowd_from_one_address_pushes_out_its_own_and_nobody_else(site: Site) -> None:
    async with site.listening(Limits(connections=3)) as address, AsyncExitStack() as stack:

        async def come(whence: str) -> asyncio.StreamReader:
            reader, writer = await asyncio.open_connection(
                *address, ssl=trusting(), server_hostname="oidc.example.com", local_addr=(whence, 0)
            )
            stack.callback(writer.close)
            writer.write(request())
            await reader.readuntil(b"]\n}\n")
            return reader

        quiet = await come("127.0.0.2")  # the oldest of all
        crowd = [await come("127.0.0.1") for _ in range(5)]
        assert [await ended(reader) for reader in crowd[:3]] == [b""] * 3
        assert not quiet.at_eof()
        assert not crowd[3].at_eof()


async def test_who_comes_alone_does_not_wait_behind_a_crowd_from_one_address(site: Site) -> None:
    async with site.listening() as address, AsyncExitStack() as stack:
        for _ in range(150):
            _, writer = await asyncio.open_connection(*address)
            stack.callback(writer.close)
            writer.write(b"\x16\x03\x01")  # the beginning of a handshake: three seconds of them
        began = now()
        reader, writer = await asyncio.open_connection(
            *address, ssl=trusting(), server_hostname="oidc.example.com", local_addr=("127.0.0.2", 0)
        )
        stack.callback(writer.close)
        writer.write(request())
        await reader.readuntil(b"]\n}\n")
        assert elapsed(began) < 1
