"""What came over the wire, and what goes back?

A request as its sender signed it, byte for byte, without the web framework it came through.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import parse_qsl

_FORM: Final = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Wire:
    """One HTTP request.

    Attributes:
        method: GET, POST, …
        path: as sent, still percent-encoded.
        query: as sent, without the question mark.
        headers: lower-case names; several of one name are joined by commas.
        body: the whole body, after transfer decoding and before aws-chunked decoding.
        peer: the address it came from.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    peer: str = "127.0.0.1"

    @property
    def query_pairs(self) -> list[tuple[str, str]]:
        """The query, decoded; a plus is a blank, as forms have it."""
        return parse_qsl(self.query, keep_blank_values=True)

    @property
    def is_form(self) -> bool:
        """Whether the body is a form, as the query protocol's is."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM

    def arguments(self) -> dict[str, str]:
        """The parameters of the query protocol, from query and form; of several of one name the first counts."""
        pairs = self.query_pairs
        if self.is_form:
            pairs += parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True)
        return dict(reversed(pairs))


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP answer."""

    status: int
    body: bytes = b""
    media_type: str = "text/xml"
    headers: Mapping[str, str] = field(default_factory=dict)
