"""Where do others learn our public keys?"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

#: A public key as the world reads it: the members of a JWK (RFC 7517 §4).
Jwk = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Document:
    """One file of the issuer's site: a path below the issuer's URL, no leading slash, and what a server says of it."""

    path: str
    body: bytes
    media_type: str
    max_age: int

    @property
    def headers(self) -> Mapping[str, str]:
        """What whoever serves it should say of it; `max_age` is in seconds."""
        return {"Content-Type": self.media_type, "Cache-Control": f"public, max-age={self.max_age}"}


@dataclass(frozen=True, slots=True)
class Placed:
    """A document as it stands in its place, what it did to get there, and where that is, for people to read."""

    document: Document
    state: Literal["new", "changed", "unchanged"]
    where: str


class Publisher(Protocol):
    """A place that the world reads, for one issuer."""

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        """Show these keys, which are ours, and no longer those of ours that have one of the kids `withdrawn`.

        Where several hosts share the place, all other keys stay. Each document is put there whole or not at all, the
        key set first. Raises PublishingFailed; then what the world read before is what it reads now.
        """
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """What the world was seen to read: the keys of the issuer by kid, to the last member, and for how long it may.

    `fresh_for` is how many seconds readers may keep what they read, as far as the site says so.
    """

    keys: Mapping[str, Jwk]
    fresh_for: int | None


class Sight(Protocol):
    """The issuer as the world sees it."""

    async def look(self) -> Sighting:
        """Read the issuer's documents through its public URL, as AWS would.

        Raises IssuerUnreadable if AWS could not have believed what is there, or if nothing could be read.
        """
        ...
