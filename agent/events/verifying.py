"""What happens when tokens that others show are verified, and to the keys that this takes?"""

from dataclasses import dataclass
from datetime import timedelta

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class BearerRefused:
    """A token was not taken; `rule` is the one that it was held against, `reason` one word of a short list.

    `tell` says whether to write a line of it: others like it may come by the thousand. `untold` is how many have been
    refused for the same reason since the last line.
    """

    rule: str
    reason: str
    error: AgentError
    tell: bool
    untold: int = 0


@dataclass(frozen=True, slots=True)
class IssuerKeysFetched:
    """The keys of an issuer were read; `came` and `went` are kids, and both empty where nothing has changed."""

    issuer: str
    keys: int
    came: tuple[str, ...]
    went: tuple[str, ...]
    fresh_for: timedelta


@dataclass(frozen=True, slots=True)
class IssuerKeysStuck:
    """The keys of an issuer could not be read; those that are held are used for `good_for` longer, None if none are."""

    issuer: str
    error: AgentError
    good_for: timedelta | None


@dataclass(frozen=True, slots=True)
class ProofRefused:
    """A proof of an AWS identity was not taken, or could not be checked; told at most once a minute for each reason.

    `reason` is one word of a short list, `address` where it came from; `untold` is how many there were since the last.
    """

    reason: str
    address: str
    error: AgentError
    untold: int = 0


#: What happens to tokens of others, and to their issuers' keys.
VerifyingEvent = BearerRefused | IssuerKeysFetched | IssuerKeysStuck | ProofRefused
