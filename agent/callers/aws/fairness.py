"""Whose turn is it to have STS asked?

Anybody on the network can show what looks like a proof, and STS alone can tell that it is none. So those who wait are
served by turns, one address after the other, however many proofs each of them shows; and an address whose proofs turn
out to be no good is not asked about for a while. Good proofs cost nothing: behind one address there may be a thousand
functions that start at once.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from agent.clock import Clock
from agent.errors import ProofUnchecked
from agent.households import household

#: So many of one address wait, and so many in all. At 200 a second the last of them waits for two seconds.
_OF_ONE: Final = 128
_IN_ALL: Final = 512

#: So many bad proofs an address may show, and so many more each second.
_BAD: Final = 20.0
_MORE: Final = 1.0
#: The most that an address can owe: after a minute without any, it is heard again.
_OWED: Final = -60.0
#: So many addresses are remembered for what they have shown.
_ADDRESSES: Final = 4096


class Lanes:
    """A number of things that are done at once, and a lane for each address in front of them."""

    def __init__(self, at_once: int) -> None:
        """Nobody waits yet."""
        self._free = at_once
        self._lanes: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for it, and let the next one have it afterwards. Raises ProofUnchecked if too many wait."""
        if self._free:  # then nobody waits
            self._free -= 1
        else:
            await self._wait(household(address))
        try:
            yield
        finally:
            self._free += 1
            self._next()

    async def _wait(self, who: str) -> None:
        lane = self._lanes.setdefault(who, deque())
        if len(lane) >= _OF_ONE or self._waiting >= _IN_ALL:
            if not lane:
                del self._lanes[who]
            raise ProofUnchecked("too many proofs wait to be checked", hint="see who asks so often")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        lane.append(turn)
        self._waiting += 1
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._free += 1  # it was given to us just now
                self._next()
            else:
                self._leave(who, turn)
            raise

    def _leave(self, who: str, turn: asyncio.Future[None]) -> None:
        lane = self._lanes.get(who, deque())
        if turn not in lane:
            return  # it was passed over already
        lane.remove(turn)
        self._waiting -= 1
        if not lane:
            del self._lanes[who]

    def _next(self) -> None:
        """Give what is free to the first of the lane whose turn it is; that lane is the last from now on."""
        while self._free and self._lanes:
            who, lane = self._lanes.popitem(last=False)
            turn = lane.popleft()
            if lane:
                self._lanes[who] = lane
            self._waiting -= 1
            if not turn.cancelled():  # else whoever waited has gone this very moment, and does not know yet
                self._free -= 1
                turn.set_result(None)


class Patience:
    """How much more nonsense of an address is put up with."""

    def __init__(self, clock: Clock) -> None:
        """Everybody is trusted to know what he shows."""
        self._clock = clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, address: str) -> None:
        """Raises ProofUnchecked if this address has shown too much that was no good."""
        if self._of(household(address)) < 1.0:
            raise ProofUnchecked(
                "this address showed too many proofs that were no good", hint="see what it sends there"
            )

    def strain(self, address: str) -> None:
        """Note that a proof of this address was no good."""
        who = household(address)
        self._left[who] = (max(_OWED, self._of(who) - 1.0), self._clock.steady())
        self._left.move_to_end(who)
        while len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)

    def _of(self, who: str) -> float:
        left, at = self._left.get(who, (_BAD, 0.0))
        return min(_BAD, left + max(0.0, self._clock.steady() - at) * _MORE)
