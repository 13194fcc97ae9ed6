import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agent.web.antechamber import Antechamber


@pytest.fixture
def pairs() -> Iterator[list[tuple[socket.socket, socket.socket]]]:
    """Connections, each with both its ends."""
    with ExitStack() as stack:
        found = [socket.socketpair() for _ in range(10)]
        for one in found:
            stack.enter_context(one[0])
            stack.enter_context(one[1])
        yield found


@pytest.fixture
def sockets(pairs: list[tuple[socket.socket, socket.socket]]) -> list[socket.socket]:
    return [ours for ours, _ in pairs]


def let_in(waiting: Antechamber) -> list[str]:
    """All who are let in, in their order."""
    return [name for _, name in iter(waiting.next, None)]


def test_households_take_turns_each_in_its_own_order(sockets: list[socket.socket]) -> None:
    waiting = Antechamber()
    for number, household in enumerate("aaaabbc"):
        waiting.come(household, (sockets[number], f"{household}{number}"))
    assert let_in(waiting) == ["a0", "b4", "c6", "a1", "b5", "a2", "a3"]
    assert len(waiting) == 0
    assert waiting.next() is None


def test_where_there_is_no_room_the_last_of_the_largest_crowd_is_turned_away(sockets: list[socket.socket]) -> None:
    waiting = Antechamber(room=4)
    for number, household in enumerate("aaabb"):
        waiting.come(household, (sockets[number], f"{household}{number}"))
    assert [one.fileno() < 0 for one in sockets[:5]] == [False, False, True, False, False]
    waiting.come("a", (sockets[5], "a5"))
    assert sockets[5].fileno() < 0
    assert let_in(waiting) == ["a0", "b3", "a1", "b4"]


def test_all_can_be_turned_away(sockets: list[socket.socket]) -> None:
    waiting = Antechamber()
    for number, household in enumerate("aab"):
        waiting.come(household, (sockets[number], household))
    while waiting.turn_away():
        pass
    assert len(waiting) == 0
    assert all(one.fileno() < 0 for one in sockets[:3])


def test_who_has_hung_up_takes_nobody_s_turn_and_who_has_spoken_keeps_his(
    pairs: list[tuple[socket.socket, socket.socket]],
) -> None:
    waiting = Antechamber()
    for number, household in enumerate("aaab"):
        waiting.come(household, (pairs[number][0], f"{household}{number}"))
    pairs[2][1].send(b"hello")
    for number in (0, 1, 2):
        pairs[number][1].close()
    assert let_in(waiting) == ["a2", "b3"]
    assert len(waiting) == 0
    assert [one[0].fileno() < 0 for one in pairs[:4]] == [True, True, False, False]
    assert waiting.next() is None
