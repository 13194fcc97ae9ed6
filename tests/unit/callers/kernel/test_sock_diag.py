"""Is the kernel's answer believed only where it is about this client, and tells of somebody?"""

import errno
import os
import socket
import struct
from collections.abc import Iterator

import pytest

from agent.callers import End
from agent.callers.kernel.sock_diag import Owner, SockDiag
from tests.unit.callers.kernel.world import Server

CLIENT, SERVER = ("127.0.0.1", 40_000), ("127.0.0.1", 9170)


@pytest.fixture
def kernel() -> Iterator[SockDiag]:
    kernel = SockDiag()
    yield kernel
    kernel.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def owner_uid(kernel: SockDiag, ends: tuple[End, End]) -> int | None:
    owner = kernel.owner(*ends)
    return None if owner is None else owner.uid


# Answers that the kernel would not give, from a line of ours.


def told(
    *,
    sequence: int = 1,
    state: int = 1,
    client: End = CLIENT,
    server: End = SERVER,
    uid: int = 1000,
    inode: int = 77,
    family: int = socket.AF_INET,
    attributes: bytes = struct.pack("=HHQ", 12, 21, 49_444),
    kind: int = 20,
) -> bytes:
    """An answer as the kernel would write it."""
    ends = struct.pack("!HH", client[1], server[1])
    addresses = b"".join(socket.inet_pton(family, end[0]).ljust(16, b"\0") for end in (client, server))
    body = struct.pack("=BBBB", family, state, 0, 0) + ends + addresses + bytes(12) + bytes(12)
    body += struct.pack("=II", uid, inode) + attributes
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 0) + body


def refused(number: int, sequence: int = 1) -> bytes:
    return struct.pack("=IHHIIi", 36, 2, 0, sequence, 0, -number) + bytes(16)


class Answering:
    """Lines at whose other end these answers lie ready, a list of them for each line that is opened."""

    def __init__(self, *lines: list[bytes]) -> None:
        self._lines = iter(lines)
        self._ours: list[socket.socket] = []

    def __call__(self) -> socket.socket:
        line, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.append(ours)
        for answer in next(self._lines):
            ours.send(answer)
        return line

    def close(self) -> None:
        for ours in self._ours:
            ours.close()


def heard(*lines: list[bytes]) -> Owner | None:
    """What one question finds out if these are the answers."""
    answering = Answering(*lines)
    kernel = SockDiag(answering)
    try:
        return kernel.owner(CLIENT, SERVER)
    finally:
        kernel.close()
        answering.close()


def test_a_good_answer_is_believed() -> None:
    assert heard([told()]) == Owner(1000, 77, 49_444)


@pytest.mark.parametrize("state", range(1, 14))
def test_only_a_client_that_can_still_hear_us_and_has_not_heard_us_end_counts(state: int) -> None:
    established, fin_wait_1, fin_wait_2 = 1, 4, 5
    assert (heard([told(state=state)]) is not None) == (state in (established, fin_wait_1, fin_wait_2))


def test_a_socket_that_nobody_holds_is_not_roots() -> None:
    assert heard([told(uid=0, inode=0)]) is None


@pytest.mark.parametrize(
    "other",
    [
        told(client=("127.0.0.1", 40_001)),
        told(client=("127.0.0.2", 40_000)),
        told(server=("127.0.0.1", 9171)),
        told(server=("127.0.0.2", 9170)),
        told(client=SERVER, server=CLIENT),
        told(client=("::1", 40_000), server=("::1", 9170), family=socket.AF_INET6),
    ],
    ids=["client's port", "client's address", "our port", "our address", "the wrong way round", "IPv6"],
)
def test_an_answer_about_another_socket_says_nothing(other: bytes) -> None:
    assert heard([other]) is None


def test_an_answer_in_addresses_of_ipv6_is_the_same_socket() -> None:
    mapped = told(client=("::ffff:127.0.0.1", 40_000), server=("::ffff:127.0.0.1", 9170), family=socket.AF_INET6)
    assert heard([mapped]) == Owner(1000, 77, 49_444)


def test_answers_to_earlier_questions_are_put_aside() -> None:
    stale = told(sequence=9, uid=0)
    assert heard([stale, stale, told()]) == Owner(1000, 77, 49_444)


def test_there_is_an_end_to_putting_aside() -> None:
    with pytest.raises(OSError, match="other questions"):
        heard([told(sequence=9)] * 50)


def test_an_answer_that_is_late_is_never_taken_for_the_next() -> None:
    late = told(sequence=1, uid=0)
    answering = Answering([], [told(sequence=2)], [])
    kernel = SockDiag(answering)
    with pytest.raises(BlockingIOError):
        kernel.owner(CLIENT, SERVER)
    answering._ours[0].close()
    assert kernel.owner(CLIENT, SERVER) == Owner(1000, 77, 49_444)
    answering._ours[1].send(late)
    answering._ours[1].send(told(sequence=3, uid=1001))
    assert kernel.owner(CLIENT, SERVER) == Owner(1001, 77, 49_444)
    kernel.close()
    answering.close()


def test_no_such_socket_is_no_error() -> None:
    assert heard([refused(errno.ENOENT)]) is None


def test_other_refusals_are_errors() -> None:
    with pytest.raises(PermissionError):
        heard([refused(errno.EPERM)])


@pytest.mark.parametrize(
    "garbage",
    [b"\0", b"\xff" * 15, told(kind=3), told(kind=77), struct.pack("=IHHII", 16, 2, 0, 1, 0)],
    ids=["a byte", "no head", "the end of many", "an unknown kind", "a refusal without a reason"],
)
def test_what_makes_no_sense_is_an_error(garbage: bytes) -> None:
    with pytest.raises(OSError, match="the kernel's answer"):
        heard([garbage])


@pytest.mark.parametrize("cut", range(16, 88))
def test_a_truncated_answer_says_nothing(cut: int) -> None:
    assert heard([told()[:cut]]) is None


@pytest.mark.parametrize("length", [0, 15, 87, 1 << 31])
def test_an_answer_that_lies_about_its_length_says_nothing(length: int) -> None:
    assert heard([struct.pack("=I", length) + told()[4:]]) is None


@pytest.mark.parametrize(
    "attributes",
    [
        b"",
        b"\x0c",
        struct.pack("=HHQ", 0, 21, 7),
        struct.pack("=HHQ", 3, 21, 7),
        struct.pack("=HHQ", 200, 21, 7),
        struct.pack("=HHI", 8, 21, 7),
        struct.pack("=HHQ", 12, 22, 7),
    ],
    ids=["none", "a byte", "of no length", "too short", "too long", "of 32 bits", "another"],
)
def test_without_a_whole_cgroup_attribute_the_group_is_unknown(attributes: bytes) -> None:
    assert heard([told(attributes=attributes)]) == Owner(1000, 77, 0)


def test_the_cgroup_is_found_after_attributes_of_odd_lengths() -> None:
    before = struct.pack("=HHB3x", 5, 8, 1) + struct.pack("=HHH2x", 6, 22, 1)
    assert heard([told(attributes=before + struct.pack("=HHQ", 12, 21 | 0x4000, 1 << 40))]) == Owner(1000, 77, 1 << 40)


@pytest.mark.parametrize("address", ["", "localhost", "127.0.0.1.5", "fe80::zz", "127.0.0.1\0", ":"])
def test_what_is_no_address_is_nobodys(kernel: SockDiag, address: str) -> None:
    assert kernel.owner((address, 1), SERVER) is None


def test_a_line_that_has_broken_is_opened_again_for_the_same_question(kernel: SockDiag, server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        ends = server.accept()
        assert kernel.owner(*ends) is not None
        assert kernel._line is not None
        os.close(kernel._line.detach())
        assert owner_uid(kernel, ends) == os.geteuid()


def test_a_line_that_cannot_be_opened_is_an_error_each_time() -> None:
    def unopened() -> socket.socket:
        raise OSError(errno.EAFNOSUPPORT, "not here")

    kernel = SockDiag(unopened)
    for _ in range(2):
        with pytest.raises(OSError, match="not here"):
            kernel.owner(CLIENT, SERVER)
