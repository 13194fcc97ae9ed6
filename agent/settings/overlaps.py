"""Which grants are in each other's way?

A caller who is granted several roles has to ask for one by name, and of several grants of one role, or of tokens for
one audience, the first says how much of it there is. Both may be meant, and both surprise.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from agent.callers import Facts
from agent.narrowing import Narrowing
from agent.settings.callers import Grant
from agent.settings.likeness import around, covers
from agent.settings.mistakes import listed
from agent.wording import Wording

_Fact = tuple[str, str]
_Kind = Literal["role", "audience"]
_LIKE: Final = ".like"
_ANY: Final[_Fact] = ("", "")
#: What is known of callers inside AWS alone, who come by a listener of their own.
_AWS: Final = "aws."


@dataclass(frozen=True, slots=True)
class _Way:
    """One way to be granted something: by which of the grants, from 1, and what is known of a caller who is."""

    number: int
    when: Facts

    @property
    def aws(self) -> bool:
        """Whether it is that of callers inside AWS."""
        return any(name.startswith(_AWS) for name, _ in self.when)


def overlaps(grants: Sequence[Grant]) -> Iterator[str]:
    """Say which grants never count, and whose callers get several roles."""
    known = _Known(grants)
    yield from _shadowed(grants, known)
    yield from _several_roles(grants, known)


class _Known:
    """All ways to be granted something."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        """Take apart what is written."""
        self.of = {number: [_Way(number, way) for way in grant.ways()] for number, grant in enumerate(grants, start=1)}
        ways = [way for several in self.of.values() for way in several]
        self._implied = _implied({fact for way in ways for fact in way.when})
        self._near: defaultdict[_Fact, list[_Way]] = defaultdict(list)
        for way in ways:
            self._near[min(way.when, default=_ANY)].append(way)

    def wider(self, way: _Way) -> Iterator[int]:
        """The other grants that all callers who come this way have as well."""
        facts = way.when.union(*(self._implied.get(fact, ()) for fact in way.when))
        for fact in (_ANY, *facts):
            for other in self._near.get(fact, ()):
                if other.number != way.number and other.aws == way.aws and other.when <= facts:
                    yield other.number


def _implied(facts: set[_Fact]) -> Mapping[_Fact, set[_Fact]]:
    """What else that some grant asks for is true of everyone of whom a fact is."""
    patterns: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in facts:
        if name.endswith(_LIKE):
            patterns[name.removesuffix(_LIKE)].append(value)
    found = {}
    for name, value in facts:
        family = name.removesuffix(_LIKE)
        wider = {(f"{family}{_LIKE}", one) for one in patterns.get(family, ()) if one != value and covers(one, value)}
        if name == "systemd.slice":
            wider |= {(name, one) for one in around(value)}
        if wider:
            found[name, value] = wider
    return found


def _shadowed(grants: Sequence[Grant], known: _Known) -> Iterator[str]:
    for number, grant in enumerate(grants, start=1):
        for kind, name in _given(grant):
            before = [_first(grants, known.wider(way), (kind, name), number) for way in known.of[number]]
            if not before or not all(before):
                continue
            others = _called(sorted({one for one in before if one}))
            thing = name if kind == "role" else f"tokens for {name}"
            if all(_extent(grants[one - 1], kind, name) == _extent(grant, kind, name) for one in before if one):
                said = f"everyone whom it gives {thing} has {'it' if kind == 'role' else 'them'} from {others} already"
                yield f"grants#{number}: {said}; take {name} out of one of them"
            elif kind == "role":
                said = f"never says how much of {name} anyone gets: whom it means is meant by {others} before"
                yield f"grants#{number}: {said}; put it first"
            else:
                said = f"never says what is in {thing}: whom it means is meant by {others} before"
                yield f"grants#{number}: {said}; put it first"


def _given(grant: Grant) -> Sequence[tuple[_Kind, str]]:
    return [*(("role", role) for role in grant.roles), *(("audience", one) for one in grant.audiences)]


def _extent(grant: Grant, kind: _Kind, name: str) -> Narrowing | Wording:
    return grant.narrowing(name) if kind == "role" else grant.wording("")


def _first(grants: Sequence[Grant], others: Iterator[int], what: tuple[_Kind, str], number: int) -> int:
    """The first of the others that gives the same, if it comes before this one; 0 if there is none."""
    return min((other for other in others if other < number and what in _given(grants[other - 1])), default=0)


def _several_roles(grants: Sequence[Grant], known: _Known) -> Iterator[str]:
    """Told of the grant that lets the others' callers in: once, however many those are."""
    also: defaultdict[int, set[int]] = defaultdict(set)
    for number, grant in enumerate(grants, start=1):
        if len(grant.roles) != 1:
            continue  # its callers have to say which in any case, or get none by it
        for way in known.of[number]:
            for other in known.wider(way):
                told = number in also.get(other, ()) or other in also.get(number, ())
                if not told and {*grants[other - 1].roles} - {*grant.roles}:
                    also[other].add(number)
    for other, numbers in sorted(also.items()):
        roles = listed(grants[other - 1].roles)
        said = f"gives {roles} also to the callers of {_called(sorted(numbers))}, who then have to ask for one by name"
        yield f"grants#{other}: {said} (/v1/credentials alone answers 409); narrow one of them if that is not meant"


def _called(numbers: Sequence[int]) -> str:
    """How several grants are called: "grants#1, #2 and #5"."""
    first, *others = numbers
    return listed([f"grants#{first}", *(f"#{other}" for other in others)])
