"""Did the body arrive as it was sent?

The checksums that S3 clients send along, in a header or behind a streamed body.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from agent.sandbox.refusals import Refusal

_PREFIX: Final = "x-amz-checksum-"


@cache
def _table(polynomial: int) -> tuple[int, ...]:
    """The byte table of a reflected CRC."""
    table = []
    for byte in range(256):
        value = byte
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        table.append(value)
    return tuple(table)


def _crc(body: bytes, polynomial: int, size: int) -> bytes:
    """A reflected CRC of `size` bytes, all ones at first and inverted at the end."""
    table, ones = _table(polynomial), (1 << (8 * size)) - 1
    value = ones
    for byte in body:
        value = (value >> 8) ^ table[(value ^ byte) & 0xFF]
    return (value ^ ones).to_bytes(size, "big")


def _sha1(body: bytes) -> bytes:
    return hashlib.sha1(body, usedforsecurity=False).digest()  # a checksum of S3's protocol


#: What S3 takes: CRC-32 (ISO-HDLC), CRC-32C (Castagnoli), CRC-64/NVME, SHA-1 and SHA-256.
CHECKSUMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "crc32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "crc32c": lambda body: _crc(body, 0x82F63B78, 4),
    "crc64nvme": lambda body: _crc(body, 0x9A6C9329AC4BC9B5, 8),
    "sha1": _sha1,
    "sha256": lambda body: hashlib.sha256(body).digest(),
}


def check_body(body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    """Compare with every checksum in the headers or trailers; gives those that S3 repeats in its answer.

    Raises Refusal: BadDigest, or InvalidRequest for a checksum nobody knows.
    """
    md5 = headers.get("content-md5")
    if md5 is not None and md5 != _text(hashlib.md5(body, usedforsecurity=False).digest()):
        raise Refusal("BadDigest", "The Content-MD5 you specified did not match what we received.")
    found = {}
    for name, value in headers.items():
        kind = name.removeprefix(_PREFIX)
        if kind == name or kind in ("algorithm", "type", "mode"):
            continue
        if kind not in CHECKSUMS:
            raise Refusal("InvalidRequest", f"Value for {name} header is invalid.")
        if _text(CHECKSUMS[kind](body)) != value.strip():
            raise Refusal("BadDigest", f"The {kind.upper()} you specified did not match the calculated checksum.")
        found[name] = value.strip()
    return found


def _text(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
