"""What does a token for another relying party say of the caller it is given to? Pure."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from agent.templates import Known, sealed, variables

#: No relying party takes less of a subject than this: Google Cloud, 127 bytes. STS wants at least 6.
SHORTEST_SUBJECT, LONGEST_SUBJECT = 6, 127
#: As much of what is filled into a claim is kept as it is.
_LONGEST_VALUE: Final = 256


class NotGranted(Exception):
    """A caller asks for a scope that it is not granted; the argument is that scope."""


@dataclass(frozen=True, slots=True)
class Table:
    """A claim that is an object: its members, by name."""

    members: tuple[tuple[str, "Claim"], ...]


@dataclass(frozen=True, slots=True)
class Plain:
    """A claim that is a number, true or false, as JSON has it: to Python 1, 1.0 and True are the same."""

    json: str


#: What may stand for a claim: templates in all texts.
Claim = str | Plain | tuple["Claim", ...] | Table


@dataclass(frozen=True, slots=True)
class Wording:
    """What a token says, and for how long. Texts are templates until `filled`.

    Attributes:
        subject: whom it speaks of.
        lifetime: how long it is good for.
        scopes: what it may be used for; all that is granted, until `asking`.
        claims: more claims, by name.
        about: where the configuration says it, and for whom it was filled in; no part of what makes two the same.
        variables: the names of what has to be filled in from the facts about a caller.
    """

    subject: str
    lifetime: timedelta
    scopes: tuple[str, ...] = ()
    claims: tuple[tuple[str, Claim], ...] = ()
    about: str = field(default="", compare=False)
    variables: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Find the variables once: this is asked for each request that was not answered before."""
        object.__setattr__(self, "variables", variables([self.subject, *_texts(Table(self.claims))]))

    def filled(self, facts: Iterable[tuple[str, str]], where: str = "") -> "Wording":
        """The same for one caller. Raises Unfillable if something named is not known of it.

        What would be too long or cannot be printed ends in a hash of what it was, so that no two callers come to the
        same text because of it.
        """
        if not self.variables:
            return self
        known = Known(facts)
        return replace(
            self,
            subject=_fit(known.fill(self.subject), SHORTEST_SUBJECT, LONGEST_SUBJECT)
            if variables([self.subject])
            else self.subject,
            claims=tuple((name, _filled(claim, known)) for name, claim in self.claims),
            about=known.about(where, self.variables),
        )

    def asking(self, scopes: Sequence[str]) -> "Wording":
        """The same with these scopes alone, in the order in which they are granted. Raises NotGranted."""
        asked = frozenset(scopes)
        if strangers := asked.difference(self.scopes):
            raise NotGranted(min(strangers))
        return replace(self, scopes=tuple(scope for scope in self.scopes if scope in asked))

    def as_claims(self) -> dict[str, object]:
        """The claims besides those that every token has, as JSON would have them; fresh, and yours to change."""
        scope: dict[str, object] = {"scope": " ".join(self.scopes)} if self.scopes else {}
        return {**scope, **{name: _plain(claim) for name, claim in self.claims}}


@dataclass(frozen=True, slots=True)
class TokenGrant:
    """Callers of whom all of `when` is known may have tokens for the audience `name` that say `extent`.

    An empty `when` means anyone. `setting` is where the configuration says so, as in "grants#2".
    """

    name: str
    when: frozenset[tuple[str, str]]
    extent: Wording
    setting: str = ""


def claim_of(value: object) -> Claim:
    """What was written as JSON or TOML would have it, as a claim. Raises ValueError for what is neither."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return Plain(json.dumps(value, allow_nan=False))
    if isinstance(value, Mapping):
        return Table(tuple((str(name), claim_of(member)) for name, member in value.items()))
    if isinstance(value, list | tuple):
        return tuple(claim_of(member) for member in value)
    raise ValueError(type(value).__name__)


def _texts(claim: Claim) -> Iterable[str]:
    match claim:
        case str():
            yield claim
        case tuple():
            for member in claim:
                yield from _texts(member)
        case Table():
            for _, member in claim.members:
                yield from _texts(member)


def _filled(claim: Claim, known: Known) -> Claim:
    match claim:
        case str() if variables([claim]):
            return _fit(known.fill(claim), 0, _LONGEST_VALUE)
        case tuple():
            return tuple(_filled(member, known) for member in claim)
        case Table():
            return Table(tuple((name, _filled(member, known)) for name, member in claim.members))
    return claim


def _fit(text: str, shortest: int, longest: int) -> str:
    """The text, if it can be printed and is of so many bytes; else what fits of it, and a hash of it.

    What must not be empty must not have blanks around it either, which nobody would see in a policy.
    """
    whole = text.isprintable() and (not shortest or text == text.strip())
    if whole and shortest <= len(text.encode()) <= longest and sealed(text, text, 0, longest) == text:
        return text
    # Of ASCII alone, so that characters are bytes.
    fitting = "".join(mark if mark.isascii() and mark.isprintable() else "-" for mark in text.strip())
    return sealed(text, f"{fitting}-", shortest, longest)


def _plain(claim: Claim) -> object:
    match claim:
        case tuple():
            return [_plain(member) for member in claim]
        case Table():
            return {name: _plain(member) for name, member in claim.members}
        case Plain():
            value: object = json.loads(claim.json)
            return value
    return claim
