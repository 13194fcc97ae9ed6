"""What does our own HTTPS listener show?"""

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Literal

from agent.publishing import Document, Jwk, Placed
from agent.publishing.discovery import JWKS_PATH, address, documents, merged


class Shelf:
    """Keeps the issuer's documents in memory, where the listener takes them from; empty after each start.

    Args:
        issuer: the issuer's URL exactly as the tokens' `iss` has it.
        max_age: how long readers may hold on to a document.
    """

    def __init__(self, issuer: str, *, max_age: timedelta) -> None:
        self._issuer = issuer
        self._max_age = max_age
        self._documents: dict[str, Document] = {}

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        """Show our keys from now on, both documents at once, and those withdrawn no longer. Raises PublishingFailed."""
        there = self.document(JWKS_PATH)
        keys = merged(None if there is None else there.body, shown, withdrawn)
        made = documents(self._issuer, keys, max_age=self._max_age)
        placed = [Placed(one, self._state(one), address(self._issuer, one.path)) for one in made]
        self._documents = {one.path: one for one in made}
        return placed

    def document(self, path: str) -> Document | None:
        """The document at this path below the issuer's URL, as it is now; None if nothing has been published there."""
        return self._documents.get(path)

    def _state(self, document: Document) -> Literal["new", "changed", "unchanged"]:
        there = self.document(document.path)
        if there is None:
            return "new"
        return "unchanged" if there.body == document.body else "changed"
