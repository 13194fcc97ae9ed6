"""Where does a connection come from, if nobody but its address can tell?"""

from agent.callers import End, Origin

#: How many pairs of addresses are remembered; loopback has few that are used.
_MOST = 1024


class ByAddress:
    """A Recogniser that asks nobody: who has the same address is the same."""

    def __init__(self) -> None:
        """Know nobody yet."""
        self._known: dict[tuple[str, str], Origin] = {}

    def recognise(self, client: End, server: End) -> Origin:
        """The address, and nothing else."""
        both = (client[0], server[0])
        known = self._known.get(both)
        if known is None:
            if len(self._known) >= _MOST:
                self._known.clear()
            known = self._known[both] = Origin(*both)
        return known
