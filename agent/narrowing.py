"""How much of a role do the callers of a grant get? Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from agent.templates import Known, sealed, variables

#: What AWS takes in a session name and in a source identity (STS API reference): all else becomes a hyphen.
_NAME_MARKS: Final = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_SHORTEST_NAME, _LONGEST_NAME = 2, 64
#: What it takes in the value of a tag beside letters, digits and blanks of any script.
_TAG_MARKS: Final = frozenset("_.:/=+-@")
_LONGEST_TAG: Final = 256
#: How no value of a tag may begin, whatever the case of its letters.
_RESERVED: Final = "aws:"


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What of a role is given, and how AWS will know who has it; what is left empty stays as the role has it.

    Texts are templates until `filled`.

    Attributes:
        session_name: as in CloudTrail.
        duration: how long a set lives; no longer than the role's own.
        policy: a session policy, as compact JSON.
        policy_arns: managed policies that do the same.
        tags: session tags, pairs of a name and a value, by name.
        source_identity: what stays with the session however roles are chained.
        about: where the configuration says it and for whom it was filled in, once it was, as in "grants#2: unit
            backup@daily.service". It is no part of what makes two narrowings the same.
        variables: the names of what has to be filled in from the facts about a caller.
    """

    session_name: str | None = None
    duration: timedelta | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    source_identity: str | None = None
    about: str = field(default="", compare=False)
    variables: frozenset[str] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Find the variables once: this is asked for each request that was not answered before."""
        texts = [self.session_name or "", self.source_identity or "", *(value for _, value in self.tags)]
        object.__setattr__(self, "variables", variables(texts))

    def filled(self, facts: Iterable[tuple[str, str]], where: str = "") -> "Narrowing":
        """The same for one caller, in texts that AWS takes. Raises Unfillable if something named is not known of it.

        `where` is where the configuration says it, for `about`.

        What has to be changed for that (marks that AWS does not take, too short, too long) ends in a hash of what it
        was, so that two callers never come to the same text because of it.
        """
        if not self.variables:
            return self
        known = Known(facts)

        def fill(template: str, fit: Callable[[str], str]) -> str:
            if not variables([template]):
                return template  # which was looked at where it was written
            return fit(known.fill(template))

        return replace(
            self,
            session_name=None if self.session_name is None else fill(self.session_name, _as_name),
            source_identity=None if self.source_identity is None else fill(self.source_identity, _as_name),
            tags=tuple((name, fill(value, _as_tag)) for name, value in self.tags),
            about=known.about(where, self.variables),
        )


#: The role as it is.
WHOLE: Final = Narrowing()


def _as_name(text: str) -> str:
    return sealed(text, _NAME_MARKS.sub("-", text), _SHORTEST_NAME, _LONGEST_NAME)


def _as_tag(text: str) -> str:
    # The pattern of the STS API: [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    fitting = "".join(mark if mark in _TAG_MARKS or unicodedata.category(mark)[0] in "LZN" else "-" for mark in text)
    if text[: len(_RESERVED)].lower() == _RESERVED:
        fitting = f"-{fitting}"
    return sealed(text, fitting, 0, _LONGEST_TAG)
