"""What is in the bucket?

ListObjectsV2: prefix, delimiter, pages.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import quote

from agent.sandbox.documents import Value, iso_millis
from agent.sandbox.refusals import Refusal

_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a listing shows it."""

    body: bytes
    modified: datetime

    @property
    def etag(self) -> str:
        """The MD5 of the body, in quotes, as S3 has it for simple uploads."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


def list_objects(bucket: str, objects: Mapping[str, Stored], asked: Mapping[str, str]) -> Value:
    """The members of a ListBucketResult. Raises Refusal (InvalidArgument)."""
    most = _count(asked.get("max-keys", str(_MOST)))
    prefix, delimiter = asked.get("prefix", ""), asked.get("delimiter", "")
    after = _position(asked.get("continuation-token")) or asked.get("start-after", "")
    encoded = asked.get("encoding-type") == "url"

    def written(key: str) -> str:
        return quote(key, safe="/-_.~*") if encoded else key

    contents: list[Value] = []
    groups: list[str] = []
    last, truncated = after, False
    for key in sorted(objects, key=str.encode):
        group = _group(key, prefix, delimiter)
        if not key.startswith(prefix) or key <= after or (group and (group in groups or after.startswith(group))):
            continue
        if len(contents) + len(groups) == most:
            truncated = most > 0
            break
        last = group or key
        if group:
            groups.append(group)
        else:
            contents.append(_entry(written(key), objects[key]))
    return {
        "Name": bucket,
        "Prefix": written(prefix),
        "Delimiter": written(delimiter) or None,
        "StartAfter": written(asked["start-after"]) if "start-after" in asked else None,
        "EncodingType": "url" if encoded else None,
        "KeyCount": len(contents) + len(groups),
        "MaxKeys": most,
        "IsTruncated": truncated,
        "ContinuationToken": asked.get("continuation-token"),
        "NextContinuationToken": base64.urlsafe_b64encode(last.encode()).decode() if truncated else None,
        "Contents": contents,
        "CommonPrefixes": [{"Prefix": written(group)} for group in groups],
    }


def _entry(key: str, stored: Stored) -> Value:
    return {
        "Key": key,
        "LastModified": iso_millis(stored.modified),
        "ETag": stored.etag,
        "Size": len(stored.body),
        "StorageClass": "STANDARD",
    }


def _group(key: str, prefix: str, delimiter: str) -> str:
    """What a key is listed under, up to the first delimiter behind the prefix; "" if by itself."""
    head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
    return prefix + head + found if found else ""


def _count(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,10}", text):
        raise Refusal("InvalidArgument", "Provided max-keys not an integer or within integer range")
    return min(int(text), _MOST)


def _position(token: str | None) -> str | None:
    """Where the last page ended. Raises Refusal."""
    if token is None:
        return None
    try:
        return base64.urlsafe_b64decode(token).decode()
    except ValueError as failure:
        raise Refusal("InvalidArgument", "The continuation token provided is incorrect") from failure
