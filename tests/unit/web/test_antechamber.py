import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from agent.web.antechamber import Antechamber


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        yield [stack.enter_context(socket.socket()) for _ in range(10)]


def test_households_take_turns_each_in_its_own_order(sockets: list[socket.socket]) -> None:
    waiting = Antechamber()
    for number, household in enumerate("aaaabbc"):
        waiting.come(household, (sockets[number], f"{household}{number}"))
    assert [waiting.next()[1] for _ in range(len(waiting))] == ["a0", "b4", "c6", "a1", "b5", "a2", "a3"]
    assert len(waiting) == 0
    with pytest.raises(LookupError):
        waiting.next()


def test_where_there_is_no_room_the_last_of_the_largest_crowd_is_turned_away(sockets: list[socket.socket]) -> None:
    waiting = Antechamber(room=4)
    for number, household in enumerate("aaabb"):
        waiting.come(household, (sockets[number], f"{household}{number}"))
    assert [one.fileno() < 0 for one in sockets[:5]] == [False, False, True, False, False]
    waiting.come("a", (sockets[5], "a5"))
    assert sockets[5].fileno() < 0
    assert [waiting.next()[1] for _ in range(len(waiting))] == ["a0", "b3", "a1", "b4"]


def test_all_can_be_turned_away(sockets: list[socket.socket]) -> None:
    waiting = Antechamber()
    for number, household in enumerate("aab"):
        waiting.come(household, (sockets[number], household))
    while waiting.turn_away():
        pass
    assert len(waiting) == 0
    assert all(one.fileno() < 0 for one in sockets[:3])
