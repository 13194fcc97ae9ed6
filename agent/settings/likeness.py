"""Do two patterns fit the same names, and what does a name say by itself?

Only for what is said about a configuration, never for who gets a role.
"""

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
    #: Of each end of `other`, whether some name fits both it and the end of `one` that is looked at.
    fitting = [set(other[there:]) <= {"*"} for there in range(len(other) + 1)]
    for at in reversed(range(len(one))):
        before, fitting = fitting, [False] * len(other) + [set(one[at:]) <= {"*"}]
        for there in reversed(range(len(other))):
            both = {one[at], other[there]}
            if "*" in both:
                fitting[there] = before[there] or fitting[there + 1]
            else:
                fitting[there] = (len(both) == 1 or "?" in both) and before[there + 1]
    return fitting[0]


def around(name: str) -> list[str]:
    """The slices that a slice is in by its name, the outermost first: a.slice for a-b.slice (systemd.slice(5))."""
    parts = name.removesuffix(".slice").split("-")
    return [f"{'-'.join(parts[:length])}.slice" for length in range(1, len(parts))]
