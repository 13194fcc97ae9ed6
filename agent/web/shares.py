"""Who asks for more than their share?

Each caller has a bucket that fills by itself. What costs us something is taken out of it; when it is empty, that
caller is told 503 until it has filled a little, and nobody else notices. Answers that are ready cost nothing, and the
first of them in each second next to nothing, so whoever fetches in earnest, however often, does not come near its end.

What has already cost us something when it turns out that it cannot be paid for is owed: who goes on asking is then
refused as soon as he connects, which is cheap, and no more of his requests are read than he can pay for.
"""

from typing import Final
from weakref import WeakKeyDictionary

from agent.callers import Origin
from agent.roster import payer

#: What a bucket gains each second, and the most it holds. One unit is a request that has to be thought about.
_GAIN: Final = 500.0
_MOST: Final = 2000.0

#: The most that can be owed: after two seconds without a request, everybody is served again.
_OWED: Final = 1000.0

#: What things cost: an answer that was made at once, a connection, a request that takes the ordinary route. A core of
#: 2026 accepts some 25,000 connections a second, which is just what a bucket gains.
MADE, CONNECTED, ASKED = 0.02, 0.02, 1.0

#: So many callers are told apart; more than that can only be made up.
_CALLERS: Final = 4096


class Share:
    """One caller's bucket."""

    __slots__ = ("_at", "left")

    def __init__(self, now: float) -> None:
        """Full, at steady time `now`."""
        self.left = _MOST
        self._at = now

    def take(self, cost: float, now: float) -> bool:
        """Take so much out, at steady time `now`; False if it is not in there, and then nothing is taken."""
        self._fill(now)
        if self.left < cost:
            return False
        self.left -= cost
        return True

    def owe(self, cost: float, now: float) -> None:
        """Take out what has been spent already, whether it is in there or not."""
        self._fill(now)
        self.left = max(self.left - cost, -_OWED)

    def full(self, now: float) -> bool:
        """Whether a new one would be the same."""
        self._fill(now)
        return self.left == _MOST

    def _fill(self, now: float) -> None:
        self.left = min(_MOST, self.left + (now - self._at) * _GAIN)
        self._at = now


class _Endless(Share):
    """A bucket that is never empty."""

    __slots__ = ()

    def take(self, cost: float, now: float) -> bool:  # noqa: ARG002 - the shape of a share
        """Take nothing out."""
        return True

    def owe(self, cost: float, now: float) -> None:
        """Owe nothing."""


class Shares:
    """The buckets of all callers."""

    def __init__(self, *, endless: bool = False) -> None:
        """Nobody has asked yet.

        `endless` gives everybody as much as they ask for: behind a proxy all the world is one caller, and a few
        strangers could take the share of all others. To tell them apart, and to hold them back, is up to the proxy.
        """
        self._endless = _Endless(0.0) if endless else None
        self._by_payer: dict[str, Share] = {}
        self._by_origin: WeakKeyDictionary[Origin, Share] = WeakKeyDictionary()
        self._tidied = 0.0

    def of(self, origin: Origin, now: float) -> Share:
        """The bucket of whoever is at the other end of such a connection."""
        if self._endless is not None:
            return self._endless
        share = self._by_origin.get(origin)
        if share is None:
            who = payer(origin.facts, origin.address)
            share = self._by_payer.get(who)
            if share is None:
                if len(self._by_payer) >= _CALLERS:
                    self._make_room(now)
                share = self._by_payer[who] = Share(now)
            self._by_origin[origin] = share
        return share

    def _make_room(self, now: float) -> None:
        """Forget those that are full, or else the oldest; not all are gone through more than once a second."""
        if now - self._tidied >= 1.0:
            self._tidied = now
            self._by_payer = {who: share for who, share in self._by_payer.items() if not share.full(now)}
        while len(self._by_payer) >= _CALLERS:
            del self._by_payer[next(iter(self._by_payer))]
