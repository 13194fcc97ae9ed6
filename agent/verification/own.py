"""What are our own keys, to verify our own tokens by?

Those of the ring: nothing is fetched. Where several hosts share an issuer, the others' keys are not among them; then
the issuer is to be asked by its URL, as everybody else does.
"""

from collections.abc import Callable, Mapping
from typing import Final

from agent.clock import Clock
from agent.ring import Ring
from agent.verification import Keys, Standing
from agent.verification.key_sets import read

#: How long the ring is not looked at again, in seconds.
_PACE: Final = 1.0


class OwnKeys:
    """The keys of a ring, `ring` being asked for it as it stands; None while there is none yet."""

    def __init__(self, ring: Callable[[], Ring | None], clock: Clock) -> None:
        self._ring = ring
        self._clock = clock
        self._keys: Mapping[str, Keys] = {}
        self._until: float | None = None

    def known(self, kid: str) -> Keys:
        """The keys of that name, none if there are none. Also one that does not sign yet, or no longer."""
        now = self._clock.steady()
        if self._until is None or now >= self._until:
            self._until = now + _PACE
            self._look()
        return self._keys.get(kid, {})

    async def look_up(self, kid: str) -> Keys:
        """The same: there is nowhere else to look."""
        return self.known(kid)

    def standing(self) -> Standing:
        """How many there are."""
        self._look()
        return Standing(len(self._keys), frozenset(name for keys in self._keys.values() for name in keys))

    def _look(self) -> None:
        ring = self._ring()
        members = [] if ring is None else [*ring.shown]
        if {key.kid for key in members} == self._keys.keys():
            return
        listed = [{**key.jwk, "kid": key.kid, "alg": key.algorithm} for key in members]
        self._keys = read({"keys": listed}) if listed else {}
