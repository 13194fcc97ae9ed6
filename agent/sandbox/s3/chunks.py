"""How is a streamed S3 upload read?

The aws-chunked encoding: chunks with their sizes, perhaps each with a signature that continues the last one's, and
perhaps trailers, such as a checksum, behind the last.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

from agent.sandbox.refusals import Refusal
from agent.sandbox.sigv4 import Signature, signing_key, string_to_sign
from agent.secret import Secret

#: What x-amz-content-sha256 says of a streamed body, to whether its chunks are signed.
STREAMING: Final = {
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD": True,
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER": True,
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": False,
}
_HEAD: Final = re.compile(rb"([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?")
_TRAILER_SIGNATURE: Final = "x-amz-trailer-signature"
_NOTHING: Final = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True, slots=True)
class Streamed:
    """A streamed body, put together, and what came behind it."""

    body: bytes
    trailers: dict[str, str]


class _Seal:
    """The chain of signatures: each is made over the one before."""

    def __init__(self, secret: Secret, signature: Signature) -> None:
        self._key = signing_key(secret, signature.scope)
        self._signature = signature
        self._previous = signature.signature

    def check_chunk(self, data: bytes, given: bytes | None) -> None:
        """Verify the next chunk. Raises Refusal."""
        self._check("AWS4-HMAC-SHA256-PAYLOAD", _NOTHING, data, given)

    def check_trailers(self, data: bytes, given: bytes) -> None:
        """Verify the trailers. Raises Refusal."""
        self._check("AWS4-HMAC-SHA256-TRAILER", None, data, given)

    def _check(self, kind: str, nothing: str | None, data: bytes, given: bytes | None) -> None:
        lines = (self._previous, *([nothing] if nothing else []), hashlib.sha256(data).hexdigest())
        to_sign = string_to_sign(kind, self._signature, *lines)
        self._previous = hmac.new(self._key, to_sign.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(self._previous.encode(), given or b""):
            raise Refusal(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided. "
                "Check your key and signing method.",
                403,
            )


def read_stream(raw: bytes, mode: str, secret: Secret, signature: Signature) -> Streamed:
    """Take an aws-chunked body apart and verify its signatures. Raises Refusal."""
    seal = _Seal(secret, signature) if STREAMING[mode] else None
    body, at = bytearray(), 0
    while True:
        head, at = _line(raw, at)
        found = _HEAD.fullmatch(head)
        if not found:
            raise _incomplete()
        size = int(found[1], 16)
        data = raw[at : at + size]
        if len(data) != size:
            raise _incomplete()
        if seal:
            seal.check_chunk(data, found[2])
        if size == 0:
            return Streamed(bytes(body), _trailers(raw, at, seal if mode.endswith("-TRAILER") else None))
        body += data
        blank, at = _line(raw, at + size)
        if blank:
            raise _incomplete()


def _trailers(raw: bytes, at: int, seal: _Seal | None) -> dict[str, str]:
    """The lines behind the last chunk, up to an empty one or the end. Raises Refusal."""
    trailers: dict[str, str] = {}
    while at < len(raw):
        line, at = _line(raw, at)
        if not line:
            break
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise Refusal("MalformedTrailerError", "The request contained trailing data that was not well-formed.")
        trailers[name.strip().lower()] = value.strip()
    if seal:
        given = trailers.pop(_TRAILER_SIGNATURE, "")
        signed = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        seal.check_trailers(signed.encode("latin-1"), given.encode("latin-1"))
    return trailers


def _line(raw: bytes, at: int) -> tuple[bytes, int]:
    """The line that begins at `at`, and where the next begins. Raises Refusal."""
    end = raw.find(b"\r\n", at)
    if end < 0:
        raise _incomplete()
    return raw[at:end], end + 2


def _incomplete() -> Refusal:
    return Refusal(
        "IncompleteBody", "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
