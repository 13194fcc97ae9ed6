"""Who holds the private key?"""

from collections.abc import Mapping
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
