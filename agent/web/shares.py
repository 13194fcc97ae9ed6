"""Who asks for more than their share?

Each caller has a bucket that fills by itself. What costs us something is taken out of it; when it is empty, that
caller is told 503 until it has filled a little, and nobody else notices. Credentials that are at hand cost next to
nothing, so whoever fetches them in earnest, however often, does not come near its end.
"""

from typing import Final
from weakref import WeakKeyDictionary

from agent.callers import Origin

#: What a bucket gains each second, and the most it holds. One unit is a request that has to be thought about.
_GAIN: Final = 500.0
_MOST: Final = 1000.0

#: What things cost: an answer that was ready, one that was made at once, a connection, a request that takes the
#: ordinary route. A core of 2026 accepts some 25,000 connections a second, which is just what a bucket gains.
READY, MADE, CONNECTED, ASKED = 0.001, 0.02, 0.02, 1.0

#: So many callers are told apart; more than that can only be made up.
_CALLERS: Final = 4096

#: Facts that say who pays, the first that is there; root's services are told apart by their unit.
_PAYER: Final = ("container.id", "unix.uid")
_ROOT: Final = "0"


class Share:
    """One caller's bucket."""

    __slots__ = ("_at", "left")

    def __init__(self, now: float) -> None:
        """Full, at steady time `now`."""
        self.left = _MOST
        self._at = now

    def take(self, cost: float, now: float) -> bool:
        """Take so much out, at steady time `now`; False if it is not in there, and then nothing is taken."""
        self.left = min(_MOST, self.left + (now - self._at) * _GAIN)
        self._at = now
        if self.left < cost:
            return False
        self.left -= cost
        return True


class Shares:
    """The buckets of all callers."""

    def __init__(self) -> None:
        """Nobody has asked yet."""
        self._by_payer: dict[str, Share] = {}
        self._by_origin: WeakKeyDictionary[Origin, Share] = WeakKeyDictionary()

    def of(self, origin: Origin, now: float) -> Share:
        """The bucket of whoever is at the other end of such a connection."""
        share = self._by_origin.get(origin)
        if share is None:
            payer = _payer(origin)
            share = self._by_payer.get(payer)
            if share is None:
                if len(self._by_payer) >= _CALLERS:
                    self._by_payer.clear()  # each begins with a full one again, which is harmless
                share = self._by_payer[payer] = Share(now)
            self._by_origin[origin] = share
        return share


def _payer(origin: Origin) -> str:
    known = dict(origin.facts)
    payer = next((name for name in _PAYER if name in known), None)
    if payer is None:
        return f"at {origin.address}"
    if (payer, known[payer]) == ("unix.uid", _ROOT):
        return f"root in {known.get('systemd.unit', '')}"
    return f"{payer}={known[payer]}"
