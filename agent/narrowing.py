"""How much of a role do the callers of a grant get? Pure."""

import base64
import hashlib
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

#: What a template may name, and the fact that it stands for. Others (HOST, ROLE) are filled in when the configuration
#: is read.
VARIABLES: Final[Mapping[str, str]] = {
    "UID": "unix.uid",
    "USER": "unix.user",
    "UNIT": "systemd.unit",
    "INSTANCE": "systemd.instance",
    "USER_UNIT": "systemd.user_unit",
    "CONTAINER": "container.name",
}

_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)\}")

#: What AWS takes in a session name and in a source identity (STS API reference): all else becomes a hyphen.
_NAME_MARKS: Final = re.compile(r"[^A-Za-z0-9_+=,.@-]")
_SHORTEST_NAME, _LONGEST_NAME = 2, 64
#: What it takes in the value of a tag beside letters, digits and blanks of any script.
_TAG_MARKS: Final = frozenset("_.:/=+-@")
_LONGEST_TAG: Final = 256
#: How no value of a tag may begin, whatever the case of its letters.
_RESERVED: Final = "aws:"

#: How a text ends that had to be changed, a hyphen and 80 bits of a hash in base32: so many that nobody finds a name
#: of his own that comes to the same as another's.
_SEALED: Final = re.compile(r"-[a-z2-7]{16}\Z")
_SEAL_LENGTH: Final = 17

#: As much as is shown of what was filled in.
_SHOWN: Final = 100


class Unfillable(Exception):
    """A template names what is not known of this caller; the argument is that variable."""


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
        names = frozenset(name for text in texts for name in _VARIABLE.findall(text))
        object.__setattr__(self, "variables", names)

    def filled(self, facts: Iterable[tuple[str, str]], where: str = "") -> "Narrowing":
        """The same for one caller, in texts that AWS takes. Raises Unfillable if something named is not known of it.

        `where` is where the configuration says it, for `about`.

        What has to be changed for that (marks that AWS does not take, too short, too long) ends in a hash of what it
        was, so that two callers never come to the same text because of it.
        """
        if not self.variables:
            return self
        known = dict(sorted(facts, reverse=True))  # of several values, the first in the alphabet

        def fill(template: str, fit: Callable[[str], str]) -> str:
            if _VARIABLE.search(template) is None:
                return template  # which was looked at where it was written
            return fit(_VARIABLE.sub(lambda match: _value(known, match[1]), template))

        return replace(
            self,
            session_name=None if self.session_name is None else fill(self.session_name, _as_name),
            source_identity=None if self.source_identity is None else fill(self.source_identity, _as_name),
            tags=tuple((name, fill(value, _as_tag)) for name, value in self.tags),
            about=_about(where, {name: _value(known, name) for name in sorted(self.variables)}),
        )


#: The role as it is.
WHOLE: Final = Narrowing()


def _value(known: Mapping[str, str], variable: str) -> str:
    value = known.get(VARIABLES.get(variable, ""))
    if not value:
        raise Unfillable(variable)
    return value


def _as_name(text: str) -> str:
    return _sealed(text, _NAME_MARKS.sub("-", text), _SHORTEST_NAME, _LONGEST_NAME)


def _as_tag(text: str) -> str:
    # The pattern of the STS API: [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    fitting = "".join(mark if mark in _TAG_MARKS or unicodedata.category(mark)[0] in "LZN" else "-" for mark in text)
    if text[: len(_RESERVED)].lower() == _RESERVED:
        fitting = f"-{fitting}"
    return _sealed(text, fitting, 0, _LONGEST_TAG)


def _sealed(text: str, fitting: str, shortest: int, longest: int) -> str:
    """`fitting` if it is the whole `text`; else as much of it as there is room for, and a hash of the text.

    A text that ends as if it were sealed is sealed as well, or a caller could be called what another one's became.
    """
    if fitting == text and shortest <= len(text) <= longest and _SEALED.search(text) is None:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    seal = base64.b32encode(digest[:10]).decode("ascii").lower()
    return f"{fitting[: longest - _SEAL_LENGTH]}-{seal}"


def _about(where: str, filled: Mapping[str, str]) -> str:
    """Where it is written, and for whom it was filled in, fit to be shown anywhere."""
    whom = ", ".join(f"{name.lower().replace('_', ' ')} {value}" for name, value in filled.items())
    shown = "".join(mark if mark.isprintable() else "?" for mark in whom)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    return f"{where}: {shown}" if where else shown
