"""Where does our identity token come from?"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol

from agent.secret import Secret

#: STS takes so many session tags in one token.
MOST_TAGS: Final = 50
#: Characters in the name and in the value of a session tag (STS API reference, Tag).
LONGEST_TAG_NAME: Final = 128
LONGEST_TAG_VALUE: Final = 256
_TAG_MARKS: Final = frozenset("_.:/=+-@")


@dataclass(frozen=True, slots=True)
class Token:
    """A signed JWT that says who we are; `expires_at` by its own exp claim."""

    value: Secret
    expires_at: datetime


@dataclass(frozen=True, slots=True, weakref_slot=True)
class IssuedToken:
    """A JWT that we signed for another relying party.

    Attributes:
        id: its jti.
        audience: the one relying party that may take it.
        scope: what it may be used for, as its claim says; "" if it says nothing.
        obtained_at: when it was signed, by the clock that its times are by.
    """

    value: Secret
    id: str
    audience: str
    scope: str
    obtained_at: datetime
    expires_at: datetime

    @property
    def lifetime(self) -> timedelta:
        """How long it was good for when it was signed."""
        return self.expires_at - self.obtained_at


class TokenSource(Protocol):
    """Something that gives us an identity token."""

    async def token(self) -> Token:
        """Give a token that is good now. Raises TokenUnavailable (later), TokenRefused or KeyUnavailable."""
        ...


def tag_name_fault(name: str) -> str:
    """What keeps STS from taking this as the name of a session tag, such as "is empty"; "" if nothing does."""
    return _tag_fault(name, LONGEST_TAG_NAME) if name else "is empty"


def tag_value_fault(value: str) -> str:
    """What keeps STS from taking this as the value of a session tag; it may be empty."""
    return _tag_fault(value, LONGEST_TAG_VALUE)


def one_tag(names: Iterable[str]) -> tuple[str, str] | None:
    """Two of these names that are one tag to STS, which ignores case; None if there are none."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            return other, name
    return None


def _tag_fault(text: str, most: int) -> str:
    if len(text) > most:
        return f"is longer than {most} characters"
    if text.lower().startswith("aws:"):
        return 'begins with "aws:", which AWS keeps for itself'
    # The pattern of the STS API: [\p{L}\p{Z}\p{N}_.:/=+\-@]*
    if any(mark not in _TAG_MARKS and unicodedata.category(mark)[0] not in "LZN" for mark in text):
        return "has characters other than letters, digits, blanks and _ . : / = + - @"
    return ""
