"""What does the head of a stranger's request say? Pure.

Read strictly (RFC 9112 §2 to §5): lines end in CRLF, none is folded, and what is doubtful is refused, not guessed at.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_LINE: Final = re.compile(rb"([A-Z]{1,20}) (?:https?://[^/?#\s]+)?(/[!-~]*) HTTP/1\.([01])")
#: Blanks around the value are taken away later: a pattern that can split them in many ways tries all of these where it
#: does not fit, and 16 kB of blanks would keep the loop for an hour.
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):([^\x00-\x08\x0a-\x1f\x7f]*)")


@dataclass(frozen=True, slots=True)
class Head:
    """The head of one request.

    Attributes:
        method: in capitals; "" if the head could not be read.
        path: as sent, without the query.
        query: as sent, without the question mark; it may name a secret.
        fields: the values of each field by its name in small letters.
        last: whether no other request may follow it on its connection.
        sound: whether all of it is as it should be, and no body follows.
    """

    method: str
    path: str
    query: str = field(repr=False)
    fields: Mapping[bytes, list[bytes]] = field(repr=False)
    last: bool
    sound: bool

    def words(self, name: bytes) -> str:
        """The values of a field, as one list (RFC 9110 §5.3)."""
        return b",".join(self.fields.get(name, ())).decode("latin-1")


UNREADABLE: Final = Head("", "", "", {}, last=True, sound=False)


def read_head(head: bytes) -> Head:
    """Read a head, up to its empty line; `UNREADABLE` is what cannot be."""
    first, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        return UNREADABLE
    fields: dict[bytes, list[bytes]] = {}
    for each in lines:
        found = _FIELD.fullmatch(each)
        if found is None:
            return UNREADABLE
        fields.setdefault(found[1].lower(), []).append(found[2].strip(b" \t"))
    method, new = line[1].decode("ascii"), line[3] == b"1"
    hosts = len(fields.get(b"host", ()))
    has_body = b"transfer-encoding" in fields or any(one.strip(b"0") for one in fields.get(b"content-length", ()))
    wishes = b",".join(fields.get(b"connection", ())).decode("latin-1").lower().replace(" ", "").split(",")
    sound = hosts <= 1 and (hosts == 1 or not new) and not (has_body and method in {"GET", "HEAD"})
    path, _, query = line[2].decode("ascii").partition("?")
    last = not sound or has_body or not new or "close" in wishes
    return Head(method, path, query, fields, last=last, sound=sound)
