"""Does it matter by which route a request is answered? Any bytes at all are sent both ways."""

import asyncio
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.callers import End, Facts, Grant, Origin
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.vending import RoleVendor
from agent.web.fast import recognise
from agent.web.sockets import Address
from tests.fakes.attestors import Late
from tests.fakes.source import FakeSource
from tests.unit.web.world import BOTH, NONE, WEB, OnlyOrdinary, World, in_a_thread, request


@dataclass(frozen=True, slots=True)
class Pair:
    """Two listeners with the same roles and one clock that stands still; `slow` has nothing ready, ever."""

    fast: Address
    slow: Address


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    world = World()
    with in_a_thread(asyncio.new_event_loop(), world, world.output, OnlyOrdinary(world.output)) as (fast, slow):
        yield Pair(fast, slow)
    assert world.bugs == []


def told(address: Address, *sent: bytes) -> bytes:
    """Everything that is answered to these bytes."""
    received = bytearray()
    with socket.create_connection(address, timeout=10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in sent:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        while more := client.recv(65536):
            received += more
    return bytes(received)


paths = st.sampled_from(
    [
        "/v1/credentials/web",
        "/v1/credentials/backup",
        "/v1/credentials/nosuch",
        "/v1/credentials",
        "/v1/credentials/web?a=b",
        "/v1/credentials/w%65b",
        "/v1/credentials/../web",
        "//v1/credentials/web",
        "/",
    ]
)
tokens = st.sampled_from(
    [WEB, BOTH, NONE, None, b"", b"unknown-token-000000", b" " + WEB + b" ", b"\t" + WEB, WEB + b"\xff"]
)
lines = st.sampled_from(
    [
        b"Connection: close",
        b"Connection: keep-alive",
        b"connection: Keep-Alive, close",
        b"Connection:",
        b"User-Agent: x",
        b"Accept-Encoding: gzip",
        b"Amz-Sdk-Request: attempt=1; max=3",
        b"Accept:",
        b"Accept:    */*   ",
        b"accept: */*",
        b"Host: localhost",
        b"Authorization: " + WEB,
        b"Content-Length: 0",
        b"Content-Length: 3",
        b"Transfer-Encoding: chunked",
        b"Expect: 100-continue",
        b"Upgrade: websocket",
        b"Origin: null",
        b"X-Forwarded-For: 127.0.0.1",
        b"Cookie: a=b",
        b" folded",
        b"No colon",
        b": no name",
        b"Pragma : spaced",
        b"Cache-Control: \x00",
        b"Cache-Control: \x7f",
        b"Pragma: \xc3\xa9",
    ]
)
methods = st.sampled_from(["GET", "GET", "GET", "HEAD", "POST", "get", "PRI", "CONNECT", "GE T"])
well_formed = st.builds(
    lambda path, token, more, method: request(path, token, *more, method=method),
    paths,
    tokens,
    st.lists(lines, max_size=3),
    methods,
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good request with a few bytes taken out, put in or changed."""
    sent = bytearray(draw(st.sampled_from([request(), request("/v1/credentials/web", BOTH, b"Connection: close")])))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(sent)))
        out = draw(st.integers(0, 4))
        sent[at : at + out] = draw(
            st.one_of(st.sampled_from([b"", b" ", b"\r", b"\n", b"\r\n", b":", b"\0"]), st.binary(max_size=4))
        )
    return bytes(sent)


anything = st.one_of(well_formed, damaged(), st.binary(max_size=80))
pipelines = st.lists(st.one_of(st.just(request()), anything), min_size=1, max_size=4).map(b"".join)


@settings(max_examples=150)
@given(sent=pipelines)
def test_the_same_bytes_get_the_same_answer_by_both_routes(pair: Pair, sent: bytes) -> None:
    assert told(pair.fast, sent) == told(pair.slow, sent)


@settings(max_examples=60)
@given(sent=pipelines, cuts=st.lists(st.integers(0, 400), max_size=3))
def test_it_does_not_matter_how_the_bytes_are_cut(pair: Pair, sent: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(sent)) for cut in cuts), len(sent)]
    for bound in bounds[:-1]:  # who wants the connection closed after a first request may send no second: RFC 9112 9.6
        first = recognise(sent[:bound], Origin("127.0.0.1", "127.0.0.1"))
        assume(first is None or not first.last or bound == len(sent))
    pieces = [sent[start:end] for start, end in pairwise(bounds)]
    assert told(pair.fast, *pieces) == told(pair.slow, sent)


#: Who may be at the other end, by what the kernel says at once and what is found out only when it asks.
SERVICE, OPERATOR, GUEST = ("systemd.unit", "web.service"), ("unix.uid", "0"), ("container.name", "guest")
PEOPLE: dict[str, tuple[Facts, Facts]] = {
    "one role": (frozenset({SERVICE}), frozenset()),
    "two roles": (frozenset({OPERATOR}), frozenset()),
    "less of a role": (frozenset(), frozenset({GUEST})),
    "more by another grant": (frozenset({SERVICE}), frozenset({GUEST})),
    "a stranger": (frozenset(), frozenset()),
}


class Knowing:
    """A recogniser to whom everybody is the same."""

    def __init__(self, known: Facts) -> None:
        self._origin = Origin("127.0.0.1", "127.0.0.1", known)

    def recognise(self, client: End, server: End) -> Origin:  # noqa: ARG002 - the shape of a recogniser
        return self._origin


@pytest.fixture(scope="module", params=PEOPLE)
def recognised(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """As `pair`, with grants by who it is beside those by token, and one of them for less than the role."""
    at_once, later = PEOPLE[request.param]
    world, less = World(), Narrowing("guest")
    source = FakeSource(world.clock, "less-of-web")
    world.sessions["less"] = RoleSession(
        "web", source, RefreshPolicy(), clock=world.clock, report=world.reported, spread=lambda: 0.5
    )
    grants = [
        Grant("web", frozenset({GUEST}), less),
        Grant("web", frozenset({SERVICE})),
        Grant("web", frozenset({OPERATOR})),
        Grant("backup", frozenset({OPERATOR})),
        Grant("backup", frozenset({("token.file", BOTH.decode())})),
    ]
    sessions = {(role, WHOLE): world.sessions[role] for role in ("web", "backup")}
    roster = Roster(sessions | {("web", less): world.sessions["less"]})
    world.vendor = RoleVendor(roster, [world.tokens, Late(later)], grants, world.reported)
    doors = (world.output, OnlyOrdinary(world.output))
    with in_a_thread(asyncio.new_event_loop(), world, *doors, recogniser=Knowing(at_once)) as (fast, slow):
        yield Pair(fast, slow)
    assert world.bugs == []


@settings(max_examples=40)
@given(sent=st.lists(well_formed, min_size=1, max_size=4).map(b"".join))
def test_nor_does_it_matter_for_callers_that_are_recognised(recognised: Pair, sent: bytes) -> None:
    assert told(recognised.fast, sent) == told(recognised.slow, sent)


@pytest.mark.parametrize(
    ("recognised", "path", "expected"),
    [
        ("one role", "/v1/credentials", b":role/web"),
        ("two roles", "/v1/credentials/backup", b":role/backup"),
        ("two roles", "/v1/credentials", b"409 "),
        ("less of a role", "/v1/credentials", b":role/less-of-web"),
        ("more by another grant", "/v1/credentials/web", b":role/less-of-web"),
        ("a stranger", "/v1/credentials/web", b"401 "),
    ],
    indirect=["recognised"],
)
def test_both_say_what_the_grants_say(recognised: Pair, path: str, expected: bytes) -> None:
    """Or the routes could agree on something else."""
    for door in (recognised.slow, recognised.fast, recognised.fast):
        assert expected in told(door, request(path, None))


@settings(max_examples=150)
@given(sent=pipelines)
def test_every_200_has_credentials_in_it_and_only_for_who_may_have_them(pair: Pair, sent: bytes) -> None:
    received = told(pair.fast, sent)
    good = re.findall(rb"HTTP/1\.[01] 200 OK\r\n(?:[^\r\n]+\r\n)+\r\n(\{[^}]*\})", received)
    assert len(good) == received.count(b"HTTP/1.1 200") + received.count(b"HTTP/1.0 200")
    for body in good:
        assert b'"AccessKeyId":"ASIA' in body
        assert b'""' not in body
    if good:
        assert WEB in sent or BOTH in sent


@given(sent=st.one_of(damaged(), well_formed))
def test_what_is_recognised_names_its_caller_as_it_was_sent(sent: bytes) -> None:
    recognised = recognise(sent, Origin("127.0.0.1", "127.0.0.1"))
    if recognised is not None and recognised.asked.peer.presented is not None:
        assert recognised.asked.peer.presented in sent
        assert recognised.asked.peer.presented == recognised.asked.peer.presented.strip()
