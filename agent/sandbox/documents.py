"""How does AWS write an answer?

Answers are nested mappings; the same one becomes XML (the query protocol and S3) or JSON (STS, to those who ask).
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Final

#: What an answer is made of. A sequence repeats its element in XML, and is a list in JSON.
Value = str | int | bool | datetime | Mapping[str, "Value"] | Sequence["Value"] | None

STS_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"
S3_NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"

#: What XML 1.0 cannot hold, not even escaped.
_UNSPEAKABLE: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_xml(name: str, value: Value, namespace: str = "") -> bytes:
    """Write an element; a None member is left out."""
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f"<{name}{attribute}>{_inner(value)}</{name}>".encode()


def _inner(value: Value) -> str:
    """What stands between an element's tags."""
    if isinstance(value, Mapping):
        return "".join(_element(name, member) for name, member in value.items())
    return escape(_UNSPEAKABLE.sub("?", _scalar(value)), quote=False)


def _element(name: str, value: Value) -> str:
    """One member, or nothing, or several of the same name."""
    if value is None:
        return ""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "".join(_element(name, one) for one in value)
    return f"<{name}>{_inner(value)}</{name}>"


def _scalar(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return iso(value) if isinstance(value, datetime) else str(value)


def as_json(value: Value) -> bytes:
    """Write a JSON document, times as seconds since 1970, members that are None left out."""
    return json.dumps(_plain(value), separators=(",", ":")).encode()


def _plain(value: Value) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Mapping):
        return {name: _plain(member) for name, member in value.items() if member is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value


def iso(moment: datetime) -> str:
    """A moment as STS writes it: whole seconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_millis(moment: datetime) -> str:
    """A moment as S3 writes it: three places, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
