"""What do texts come to that name what is known of a caller? Pure."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
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
    "AWS_PRINCIPAL": "aws.principal",
    "AWS_ACCOUNT": "aws.account",
    "AWS_SESSION": "aws.session",
    "AWS_ORGANIZATION": "aws.organization",
}

_VARIABLE: Final = re.compile(r"\$\{([A-Z_]+)\}")

#: How a text ends that had to be changed, a hyphen and 80 bits of a hash in base32: so many that nobody finds a name
#: of his own that comes to the same as another's.
_SEALED: Final = re.compile(r"-[a-z2-7]{16}\Z")
_SEAL_LENGTH: Final = 17

#: As much as is shown of what was filled in.
_SHOWN: Final = 100


class Unfillable(Exception):
    """A template names what is not known of this caller; the argument is that variable."""


class Known:
    """What is known of one caller, to fill templates with."""

    def __init__(self, facts: Iterable[tuple[str, str]]) -> None:
        """Of several values of one name, the first in the alphabet counts."""
        self._facts = dict(sorted(facts, reverse=True))

    def value(self, variable: str) -> str:
        """What a variable stands for. Raises Unfillable."""
        value = self._facts.get(VARIABLES.get(variable, ""))
        if not value:
            raise Unfillable(variable)
        return value

    def fill(self, template: str) -> str:
        """The text that a template comes to. Raises Unfillable."""
        return _VARIABLE.sub(lambda match: self.value(match[1]), template)

    def about(self, where: str, variables: Iterable[str]) -> str:
        """Where it is written, and for whom it was filled in, fit to be shown anywhere. Raises Unfillable."""
        whom = ", ".join(f"{name.lower().replace('_', ' ')} {self.value(name)}" for name in sorted(variables))
        shown = "".join(mark if mark.isprintable() else "?" for mark in whom)
        shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
        return f"{where}: {shown}" if where else shown


def variables(texts: Iterable[str]) -> frozenset[str]:
    """The names of what has to be filled in."""
    return frozenset(name for text in texts for name in _VARIABLE.findall(text))


def sealed(text: str, fitting: str, shortest: int, longest: int) -> str:
    """`fitting` if it is the whole `text`; else as much of it as there is room for, and a hash of the text.

    A text that ends as if it were sealed is sealed as well, or a caller could be called what another one's became.
    """
    if fitting == text and shortest <= len(text) <= longest and _SEALED.search(text) is None:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    seal = base64.b32encode(digest[:10]).decode("ascii").lower()
    return f"{fitting[: longest - _SEAL_LENGTH]}-{seal}"
