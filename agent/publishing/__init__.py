"""Where do others learn our public keys?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


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


class Publisher(Protocol):
    """A place that the world reads."""

    async def publish(self, documents: Sequence[Document]) -> None:
        """Put each document in its place, whole or not at all. Raises PublishingFailed."""
        ...
