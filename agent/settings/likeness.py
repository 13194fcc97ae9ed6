"""Do two patterns fit the same names?

Only for what is said about a configuration, never for who gets a role.
"""

from functools import cache
from typing import Final

from agent.patterns import fits, is_pattern

#: Stand for what no name has: for a `?`, and for so much of a `*` that no row of `?` could stand for it.
_ONE: Final = "\x01"
_MANY: Final = "\x02" * 300


def covers(wide: str, narrow: str) -> bool:
    """Whether every name that fits `narrow`, a pattern or a name, fits `wide`."""
    if not is_pattern(narrow):
        return fits(wide, narrow)
    each = narrow.replace("?", _ONE)
    return fits(wide, each.replace("*", "")) and fits(wide, each.replace("*", _MANY))


def meet(one: str, other: str) -> bool:
    """Whether some name fits both; either may be a name itself."""

    @cache
    def rest(at: int, there: int) -> bool:
        if at == len(one) or there == len(other):
            return set(one[at:] + other[there:]) <= {"*"}
        mine, theirs = one[at], other[there]
        if mine == "*" or theirs == "*":
            return rest(at + (mine == "*"), there + (mine != "*")) or rest(at + (mine != "*"), there + (mine == "*"))
        return (mine == theirs or "?" in (mine, theirs)) and rest(at + 1, there + 1)

    return rest(0, 0)
