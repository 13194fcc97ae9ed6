"""Is this token good, and what does it say?"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Protocol

#: The algorithms that a rule takes unless it names others. What is signed with a shared secret is never taken.
USUAL: Final = ("RS256",)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a token has to be.

    Attributes:
        issuer: what its iss must be, to the letter.
        audiences: one of them must be its aud, or among them.
        client_ids: those of Cognito's access tokens, which have a client_id and no aud; one must be it.
        algorithms: what it may be signed with, whatever its header says.
        scopes: all that it must carry, in scope or scp.
        claims: claims by name; each must be one of the values, or an array with one of them in it.
        leeway: by how much clocks may differ.
        longest: how long it may be good for in all, from iat to exp; None for any time.
    """

    issuer: str
    audiences: tuple[str, ...] = ()
    client_ids: tuple[str, ...] = ()
    algorithms: tuple[str, ...] = USUAL
    scopes: tuple[str, ...] = ()
    claims: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    leeway: timedelta = timedelta(seconds=30)
    longest: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Verified:
    """What a good token says."""

    claims: Mapping[str, object] = field(repr=False)
    header: Mapping[str, object] = field(repr=False)


class Verifier(Protocol):
    """Something that knows the keys of one issuer, and one rule."""

    def ready(self, token: bytes) -> Verified | None:
        """Verify at once; None if a key has to be fetched first. Raises TokenRejected."""
        ...

    async def verify(self, token: bytes) -> Verified:
        """Verify, fetching keys if need be. Raises TokenRejected, or IssuerUnreadable if they cannot be had."""
        ...
