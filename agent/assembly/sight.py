"""What can the kernel of this machine tell of callers?"""

from collections.abc import Sequence
from dataclasses import dataclass

from agent.callers.kernel import probe


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen when the kernel was asked about ourselves.

    Attributes:
        users: whether it tells the user of a caller.
        units: whether it tells the unit, the slices and the container.
        wanting: what is wrong and what to do, a sentence each, for all that keeps it from telling more.
    """

    users: bool
    units: bool
    wanting: Sequence[tuple[str, str]] = ()


def sight() -> Sight:
    """Try it, as this process; takes some milliseconds. The agent, under its unit's restrictions, may see less."""
    found = probe()
    return Sight(found.users, found.units, [(one.what, one.hint) for one in found.wanting])
