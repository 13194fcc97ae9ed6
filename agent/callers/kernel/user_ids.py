"""Does a user id that the kernel tells us mean a user?

In a user namespace that has not all ids, every id that it lacks is told as one and the same (user_namespaces(7)): that
one says nothing. Where all ids are there, it is a user like any other, as a rule "nobody".
"""

from pathlib import Path
from typing import Final

_MAP: Final = Path("/proc/self/uid_map")
_OVERFLOW: Final = Path("/proc/sys/kernel/overflowuid")

#: All ids that there are: -1 is none.
_ALL: Final = 0xFFFFFFFF
_USUAL_OVERFLOW: Final = 65_534


def meaningless(mapped: Path = _MAP, overflow: Path = _OVERFLOW) -> int | None:
    """The user id that stands for all that have none here; None if every user has one. Raises nothing."""
    try:
        lines = mapped.read_text(encoding="utf-8").splitlines()
        if sum(int(line.split()[2]) for line in lines) >= _ALL:
            return None
    except (OSError, ValueError, IndexError):
        pass  # then we had better not rely on it
    try:
        return int(overflow.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return _USUAL_OVERFLOW
