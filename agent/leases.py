"""What is kept at hand, good for a while, and how is it told of?

Credentials of a role and tokens for another relying party are kept fresh, granted and handed out by the same rules.
What differs is how they are called, and which facts are reported of them.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Protocol, Self, TypeVar

from agent.callers import Facts
from agent.errors import AgentError
from agent.events import (
    CredentialsVended,
    Denial,
    Event,
    RenewalFailed,
    SessionRenewed,
    TokenDenied,
    TokenRenewalFailed,
    TokenRenewed,
    TokenVended,
    VendingDenied,
)


class Lease(Protocol):
    """Something that is good from one instant to another, by the clock of whoever issued it."""

    @property
    def id(self) -> str:
        """What it may be called in public: no secret, and never the same for two."""
        ...

    @property
    def obtained_at(self) -> datetime:
        """When it was obtained."""
        ...

    @property
    def expires_at(self) -> datetime:
        """When it ends."""
        ...

    @property
    def lifetime(self) -> timedelta:
        """How long it was good for when it was obtained."""
        ...


#: A kind of lease.
L = TypeVar("L", bound=Lease)
L_co = TypeVar("L_co", bound=Lease, covariant=True)


class Extent(Protocol):
    """How much of something a grant gives, in templates until it is filled in for a caller. It can be a key."""

    @property
    def about(self) -> str:
        """For whom it was filled in, in words."""
        ...

    def filled(self, facts: Iterable[tuple[str, str]], where: str = "") -> Self:
        """The same for one caller, of whom this is known. Raises Unfillable if something named is not."""
        ...


#: A kind of extent.
N = TypeVar("N", bound=Extent)


class Source(Protocol[L_co]):
    """Something that gives us leases of one kind."""

    async def fetch(self) -> L_co:
        """Ask for a new one, now; nothing is cached here. Raises an AgentError that says whether to ask again."""
        ...


@dataclass(frozen=True, slots=True)
class Kind:
    """How leases of one kind are called, and the facts that are reported of them.

    Attributes:
        thing: what is held, as in "credentials".
        by: what it is named by, as in "role".
        path: how a caller asks for one by that name.
        renewed: makes the fact that there is a new one: name, id, end, how long it took, when the next is due, about.
        failed: that there is none: name, why, failures in a row, how long it took, when the next try is due, until
            when another is held, about.
        vended: that a caller was given one: name, caller, id, end, what is known of the caller.
        denied: that it was not: name, caller, a word, why, what is known of the caller.
    """

    thing: str
    by: str
    path: str
    renewed: Callable[[str, str, datetime, timedelta, timedelta, str], Event]
    failed: Callable[[str, AgentError, int, timedelta, timedelta, datetime | None, str], Event]
    vended: Callable[[str, str, str, datetime, Facts], Event]
    denied: Callable[[str, str, Denial, AgentError, Facts], Event]

    def of(self, name: str) -> str:
        """What is held under a name, in words: "credentials of role backup"."""
        return f"{self.thing} of {self.by} {name}"


#: Credentials of roles.
CREDENTIALS: Final = Kind(
    "credentials",
    "role",
    "/v1/credentials/ROLE",
    SessionRenewed,
    RenewalFailed,
    CredentialsVended,
    VendingDenied,
)

#: Tokens for other relying parties.
TOKENS: Final = Kind(
    "tokens",
    "audience",
    "/v1/token?aud=AUDIENCE",
    TokenRenewed,
    TokenRenewalFailed,
    TokenVended,
    TokenDenied,
)
