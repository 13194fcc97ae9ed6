"""Is this token good, and what does it say?"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal, Protocol

#: The algorithms that a rule takes unless it names others. What is signed with a shared secret is never taken.
USUAL: Final = ("RS256",)

#: All that a rule may name (RFC 7518 §3.1, RFC 8037): the private half of each stays with the issuer.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip

#: The longest token that is looked at, in bytes. More does not go through most servers in a header.
LONGEST: Final = 16_384

#: Why a token is rejected, as TokenRejected and metrics have it. `absent`: there is none.
Reason = Literal[
    "absent", "malformed", "oversized", "header", "algorithm", "unknown_key", "signature", "issuer", "audience",
    "expired", "not_yet", "lifetime", "scope", "claims",
]  # fmt: skip

#: Of these, the token is good, but its bearer may not do this with it: 403 rather than 401 (RFC 6750 §3.1).
FORBIDDEN: Final[frozenset[str]] = frozenset({"scope", "claims"})

#: Whether a signature is that of these bytes: called with what was signed, and the signature.
Check = Callable[[bytes, bytes], bool]

#: The keys of one name, by the algorithm that they verify. Usually it is one key; issuers may have several by one name.
Keys = Mapping[str, tuple[Check, ...]]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a token has to be.

    Attributes:
        issuer: what its iss must be, to the letter.
        audiences: one of them must be its aud, or among them.
        client_ids: those of Cognito's access tokens, which have a client_id and no aud; one must be it.
        algorithms: what it may be signed with, whatever its header says.
        scopes: all that it must carry, in scope or scp.
        claims: claims by name, or by a path such as realm_access.roles; each must be one of the values, or an array
            with one of them in it.
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


@dataclass(frozen=True, slots=True)
class Standing:
    """How it stands with the keys of an issuer.

    Attributes:
        keys: how many can verify a token now.
        algorithms: those that these verify.
        problem: why the latest reading of them failed; empty if it did not.
        hint: what to do about that.
    """

    keys: int = 0
    algorithms: frozenset[str] = frozenset()
    problem: str = ""
    hint: str = ""


class KeySource(Protocol):
    """The public keys of one issuer."""

    def known(self, kid: str) -> Keys | None:
        """The keys of that name as far as they are known here; none if there are none; None: one must look_up."""
        ...

    async def look_up(self, kid: str) -> Keys:
        """The keys of that name, asked for if need be; none if there are none. Raises IssuerUnreadable."""
        ...

    def standing(self) -> Standing:
        """How it stands with them now."""
        ...


class Verifier(Protocol):
    """Something that knows the keys of one issuer, and one rule."""

    def ready(self, token: bytes) -> Verified | None:
        """Verify at once; None if a key has to be fetched first. Raises TokenRejected."""
        ...

    async def verify(self, token: bytes) -> Verified:
        """Verify, fetching keys if need be. Raises TokenRejected, or IssuerUnreadable if they cannot be had."""
        ...
