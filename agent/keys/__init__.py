"""Who holds the private key?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

#: The JWS algorithms (RFC 7518) that AWS STS takes.
Algorithm = Literal["RS256", "RS384", "RS512", "ES256", "ES384", "ES512"]
#: The kinds of key that can be made, and that sign with one of these.
Kind = Literal["rsa-2048", "rsa-3072", "rsa-4096", "ec-p256", "ec-p384", "ec-p521"]


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The half that the world may see.

    Attributes:
        kid: the RFC 7638 thumbprint of the key, so that nobody has to invent or remember names.
        algorithm: what it signs with.
        jwk: the key's required RFC 7517 members alone: kty, n and e, or kty, crv, x and y.
    """

    kid: str
    algorithm: Algorithm
    jwk: Mapping[str, str]


def kind_of(key: PublicKey) -> Kind:
    """The kind of a key, to make another of it; RSA of an odd size counts as the next larger one."""
    curves: Mapping[str, Kind] = {"P-256": "ec-p256", "P-384": "ec-p384", "P-521": "ec-p521"}
    if key.jwk["kty"] == "EC":
        return curves[key.jwk["crv"]]
    bits = len(key.jwk["n"]) * 6  # base64url without padding: six bits a character
    return "rsa-2048" if bits < 2100 else "rsa-3072" if bits < 3100 else "rsa-4096"


class SigningKey(Protocol):
    """A private key that signs; where it lives is its own affair."""

    @property
    def public(self) -> PublicKey:
        """The public half."""
        ...

    async def sign(self, message: bytes) -> bytes:
        """Sign `message`, never holding up the loop; the JWS signature (for EC keys the raw r and s, RFC 7518 §3.4).

        Raises KeyUnavailable, and nothing else.
        """
        ...


class Custodian(Protocol):
    """A place that keeps private keys, each under a name that stays its own: a file, a label, a handle, a version."""

    @property
    def kind(self) -> str:
        """What `key.custodian` calls it."""
        ...

    async def names(self) -> Sequence[str]:
        """The keys that the configuration speaks of, which are there whether or not any rotation has made more.

        Raises KeyUnavailable, and ConfigurationError where a name fits several keys.
        """
        ...

    async def open(self, name: str) -> SigningKey:
        """The key of that name, once it has been seen to sign what its public half verifies.

        Raises KeyUnavailable, and ConfigurationError for a setting that does not fit the key.
        """
        ...

    async def make(self, kind: Kind) -> str:
        """Make a key; its name, under which it is there whatever happens from now on.

        Raises ConfigurationError where keys are not ours to make or not of this kind, KeyUnavailable where it failed.
        """
        ...

    async def discard(self, name: str) -> None:
        """Destroy a key that `make` made and that no token in use was signed with; nothing if it is gone.

        Raises KeyUnavailable, or ConfigurationError where keys are not ours to destroy.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and sessions; keys that were opened sign no more."""
        ...
