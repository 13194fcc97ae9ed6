"""Who is let in next, where more come than can be?

Handshakes take our private key, so there are only so many a second. Whoever comes in crowds waits behind his own crowd
and not before others: households take turns. When there is no more room, the last of the largest crowd is turned away.
"""

import socket
from collections import OrderedDict, deque
from typing import Final

#: So many wait at most; ten seconds' worth, and after that nobody waits any more.
_ROOM: Final = 512

#: A connection that was accepted, and the address at its other end.
Arrival = tuple[socket.socket, str]


class Antechamber:
    """Connections on which nothing was said yet."""

    def __init__(self, room: int = _ROOM) -> None:
        """Nobody is there."""
        self._room = room
        self._crowds: OrderedDict[str, deque[Arrival]] = OrderedDict()
        self._waiting = 0

    def __len__(self) -> int:
        """How many wait."""
        return self._waiting

    def come(self, household: str, arrival: Arrival) -> None:
        """Take one in, and turn one away if that is one too many: its connection ends at once."""
        self._crowds.setdefault(household, deque()).append(arrival)
        self._waiting += 1
        if self._waiting > self._room:
            self.turn_away()

    def next(self) -> Arrival | None:
        """The first of the household whose turn it is, which is the last from now on; None if nobody is left.

        Who has hung up while he waited is passed over: his turn would have been nobody's.
        """
        while self._crowds:
            household, crowd = next(iter(self._crowds.items()))
            arrival = crowd.popleft()
            self._waiting -= 1
            if not crowd:
                del self._crowds[household]
            if _gone(arrival[0]):
                arrival[0].close()
                continue
            if crowd:
                self._crowds.move_to_end(household)
            return arrival
        return None

    def turn_away(self) -> bool:
        """End the connection of the last of the largest crowd; False if there is nobody."""
        household = max(self._crowds, key=lambda each: len(self._crowds[each]), default=None)
        if household is None:
            return False
        crowd = self._crowds[household]
        crowd.pop()[0].close()
        self._waiting -= 1
        if not crowd:
            del self._crowds[household]
        return True


def _gone(connection: socket.socket) -> bool:
    """Whether the other end has closed it, having said nothing."""
    try:
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True
