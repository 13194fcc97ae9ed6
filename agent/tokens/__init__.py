"""Where does our identity token come from?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from agent.secret import Secret


@dataclass(frozen=True, slots=True)
class Token:
    """A signed JWT that says who we are; `expires_at` by its own exp claim."""

    value: Secret
    expires_at: datetime


class TokenSource(Protocol):
    """Something that gives us an identity token."""

    async def token(self) -> Token:
        """Give a token that is good now. Raises TokenUnavailable or KeyUnavailable."""
        ...
