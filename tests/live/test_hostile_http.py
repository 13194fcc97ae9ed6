"""Can anybody on this machine spoil it for the others? Hypothesis tries, beside a client that means well."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.web.connections import Limits
from agent.web.sockets import Address
from tests.unit.web.world import NONE, WEB, World, answers, in_a_thread, request

pytestmark = pytest.mark.long

#: As in the contract, but for those whose effect a test would have to wait for; times in seconds.
LIMITS = Limits(connections=200, head=0.3, idle=1.5, linger=0.3, sweep=0.05)


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    world = World()
    began = time.monotonic()
    frozen = world.clock.steady()
    world.clock.steady = lambda: frozen + time.monotonic() - began  # type: ignore[method-assign]  # a clock that goes
    with in_a_thread(uvloop.new_event_loop(), world, world.output, limits=LIMITS) as (address,):
        yield address
    assert world.bugs == []


@dataclass
class Healthy:
    """A client that does as SDKs do, on one connection that it keeps and on a new one each time."""

    address: Address
    kept: socket.socket

    def asks(self) -> None:
        """Both ways at once; each answer is whole, right and in time."""
        self.kept.sendall(request())
        with socket.create_connection(self.address, timeout=10) as fresh:
            fresh.sendall(request("/v1/credentials/web", WEB, b"Connection: close"))
            received = b""
            while more := fresh.recv(65536):
                received += more
        received += self.kept.recv(65536)
        told = answers(received)
        assert [one.status for one in told] == [200, 200]
        assert b'"AccessKeyId":"ASIA0000000000000001"' in told[0].body


@contextmanager
def healthy(address: Address) -> Iterator[Healthy]:
    with socket.create_connection(address, timeout=10) as kept:
        yield Healthy(address, kept)


def slam(client: socket.socket) -> None:
    """Close with a reset, whatever is still on its way."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


heads = st.sampled_from(
    [
        request(),
        request("/v1/credentials/web?slow"),
        request("/v1/credentials/web", NONE),
        b"GET / HTTP/1.1\r\n",
        b"GET /v1/credentials/web HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n",
        b"POST /v1/credentials/web HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
        b"CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1:22\r\n\r\nSSH-2.0",
        b"GET / HTTP/1.1\r\nHost: evil.example.com\r\nOrigin: http://evil.example.com\r\n\r\n",
        b"GET /" + b"a" * 30_000,
        b"GET / HTTP/1.1\r\nX: " + b"b" * 30_000,
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(3000)),
        b"\r\n" * 20_000,
        b"\0" * 1000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ]
)
hostile = st.lists(st.one_of(heads, st.binary(max_size=200)), min_size=1, max_size=4).map(b"".join)
manners = st.sampled_from(["half-close", "reset", "leave", "in bits", "unread"])


def misbehave(address: Address, sent: bytes, manner: str, open_ones: ExitStack) -> None:
    client = open_ones.enter_context(socket.create_connection(address, timeout=10))
    with suppress(ConnectionError):
        match manner:
            case "in bits":
                for at in range(0, min(len(sent), 300), 11):
                    client.sendall(sent[at : at + 11])
            case _:
                client.sendall(sent)
        match manner:
            case "half-close":
                client.shutdown(socket.SHUT_WR)
                while client.recv(65536):
                    pass
            case "reset":
                slam(client)
            case "unread":
                client.shutdown(socket.SHUT_RD)


@settings(max_examples=60)
@given(attacks=st.lists(st.tuples(hostile, manners), min_size=1, max_size=4))
def test_who_misbehaves_harms_nobody_else(address: Address, attacks: list[tuple[bytes, str]]) -> None:
    with healthy(address) as client, ExitStack() as open_ones:
        client.asks()
        for sent, manner in attacks:
            misbehave(address, sent, manner, open_ones)
            client.asks()


def test_slow_senders_are_cut_off_while_others_are_served(address: Address) -> None:
    with ExitStack() as open_ones, healthy(address) as client:
        slow = [open_ones.enter_context(socket.create_connection(address, timeout=10)) for _ in range(50)]
        for one in slow:
            one.sendall(b"GET /v1/")
        ends = time.monotonic() + 20
        while slow and time.monotonic() < ends:
            client.asks()
            for one in tuple(slow):  # a drop at a time: each is a sign of life, none completes the head
                try:
                    one.sendall(b"x")
                except ConnectionError:
                    slow.remove(one)
            time.sleep(0.02)
        assert slow == []


def test_a_flood_of_connections_keeps_nobody_out(address: Address) -> None:
    with ExitStack() as open_ones:
        for number in range(3 * LIMITS.connections):
            one = open_ones.enter_context(socket.create_connection(address, timeout=10))
            with suppress(ConnectionError):
                one.sendall(b"GET /v1/")
            if number % 20 == 0:
                with healthy(address) as client:
                    client.asks()


def test_who_asks_without_end_and_reads_nothing_costs_little(address: Address) -> None:
    with ExitStack() as open_ones, healthy(address) as client:
        for path in ("/v1/credentials/web", "/nothing"):
            greedy = open_ones.enter_context(socket.socket())
            greedy.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy.connect(address)
            greedy.settimeout(0.2)
            taken = 0
            with suppress(TimeoutError):
                while taken < 100_000_000:
                    taken += greedy.send(request(path) * 50)
            assert taken < 100_000_000
            client.asks()
