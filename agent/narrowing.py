"""How much of a role do the callers of a grant get? Pure."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
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
#: What it takes in the value of a tag beside letters, digits and blanks of any script.
_TAG_MARKS: Final = re.compile(r"[^\w\s.:/=+@-]")
_LONGEST_NAME: Final = 64
_LONGEST_TAG: Final = 256


class Unfillable(Exception):
    """A template names what is not known of this caller; the argument is that variable."""


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What of a role is given, and how AWS will know who has it; what is left empty stays as the role has it.

    Texts are templates until `filled`. `policy` is compact JSON; `tags` are pairs of a name and a value, by name.
    """

    session_name: str | None = None
    duration: timedelta | None = None
    policy: str | None = None
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    source_identity: str | None = None

    @property
    def variables(self) -> frozenset[str]:
        """The names of what has to be filled in from the facts about a caller."""
        texts = [self.session_name or "", self.source_identity or "", *(value for _, value in self.tags)]
        return frozenset(name for text in texts for name in _VARIABLE.findall(text))

    def filled(self, facts: Iterable[tuple[str, str]]) -> "Narrowing":
        """The same for one caller. Raises Unfillable if something is named that is not known of it."""
        if not self.variables:
            return self
        known = dict(facts)

        def fill(template: str, fit: Callable[[str], str]) -> str:
            return fit(_VARIABLE.sub(lambda match: _value(known, match[1]), template))

        return replace(
            self,
            session_name=None if self.session_name is None else fill(self.session_name, _as_name),
            source_identity=None if self.source_identity is None else fill(self.source_identity, _as_name),
            tags=tuple((name, fill(value, _as_tag)) for name, value in self.tags),
        )


#: The role as it is.
WHOLE: Final = Narrowing()


def _value(known: Mapping[str, str], variable: str) -> str:
    value = known.get(VARIABLES[variable])
    if not value:
        raise Unfillable(variable)
    return value


def _as_name(text: str) -> str:
    return _NAME_MARKS.sub("-", text)[:_LONGEST_NAME]


def _as_tag(text: str) -> str:
    return _TAG_MARKS.sub("-", text)[:_LONGEST_TAG]
