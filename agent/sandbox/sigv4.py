"""Who signed this request, and how?

AWS Signature Version 4 in its two forms: the Authorization header and the presigned URL. This module reads and
computes; what a service answers to a wrong signature is the service's affair.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import quote, unquote

from agent.sandbox.wire import Wire
from agent.secret import Secret

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_AUTHORIZATION: Final = re.compile(
    rf"{ALGORITHM}\s+Credential=(?P<credential>[^\s,]+)\s*,\s*"
    r"SignedHeaders=(?P<headers>[^\s,]+)\s*,\s*Signature=(?P<signature>[0-9a-f]{64})\s*"
)
_LONGEST_PRESIGNED: Final = 604_800


class Unreadable(Exception):
    """The request claims to be signed, but not in a way that can be read; the text says what is amiss."""


@dataclass(frozen=True, slots=True)
class Signature:
    """What the sender says of its signature.

    Attributes:
        scope: date/region/service/aws4_request.
        session_token: X-Amz-Security-Token; "" if there is none.
        lifetime: how long a presigned URL is good for; None for a header signature.
    """

    access_key_id: str
    scope: str
    signed_headers: tuple[str, ...]
    signature: str
    moment: datetime
    session_token: str
    lifetime: timedelta | None

    @property
    def service(self) -> str:
        """The service that it was signed for."""
        return self.scope.split("/")[2]

    @property
    def stamp(self) -> str:
        """The moment as it was signed."""
        return self.moment.strftime("%Y%m%dT%H%M%SZ")


def read_signature(wire: Wire) -> Signature | None:
    """The signature of a request; None if it has none. Raises Unreadable."""
    query = dict(_pairs(wire.query))
    if query.get("X-Amz-Algorithm"):
        return _presigned(query)
    authorization = wire.headers.get("authorization")
    if authorization is None:
        return None
    found = _AUTHORIZATION.fullmatch(authorization)
    if not found:
        raise Unreadable("Authorization header requires Credential, SignedHeaders and Signature parameters")
    return _signature(
        found["credential"],
        found["headers"],
        found["signature"],
        wire.headers.get("x-amz-date", ""),
        wire.headers.get("x-amz-security-token", ""),
        None,
    )


def _presigned(query: Mapping[str, str]) -> Signature:
    """The signature of a presigned URL. Raises Unreadable."""
    if query["X-Amz-Algorithm"] != ALGORITHM:
        raise Unreadable(f"X-Amz-Algorithm only supports {ALGORITHM}")
    expires = query.get("X-Amz-Expires", "900")
    if not re.fullmatch(r"\d{1,6}", expires, re.ASCII) or not 0 < int(expires) <= _LONGEST_PRESIGNED:
        raise Unreadable("X-Amz-Expires must be a number of seconds, at most a week")
    if not re.fullmatch(r"[0-9a-f]{64}", query.get("X-Amz-Signature", "")):
        raise Unreadable("Authorization query parameters require X-Amz-Signature")
    return _signature(
        query.get("X-Amz-Credential", ""),
        query.get("X-Amz-SignedHeaders", ""),
        query["X-Amz-Signature"],
        query.get("X-Amz-Date", ""),
        query.get("X-Amz-Security-Token", ""),
        timedelta(seconds=int(expires)),
    )


def _signature(
    credential: str, headers: str, signature: str, stamp: str, token: str, lifetime: timedelta | None
) -> Signature:
    """Put the parts together. Raises Unreadable."""
    key, slash, scope = credential.partition("/")
    if not slash or not re.fullmatch(r"\d{8}/[^/]+/[^/]+/aws4_request", scope):
        raise Unreadable("Credential must have exactly 5 slash-delimited elements, the last of them aws4_request")
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as failure:
        raise Unreadable("Date must be in ISO-8601 'basic format'") from failure
    if not scope.startswith(moment.strftime("%Y%m%d")):
        raise Unreadable("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP")
    names = tuple(headers.split(";"))
    if "host" not in names:
        raise Unreadable("'Host' must be a 'SignedHeader' in the AWS Authorization")
    return Signature(key, scope, names, signature, moment, token, lifetime)


def signing_key(secret: Secret, scope: str) -> bytes:
    """The key derived for a scope."""
    key = ("AWS4" + secret.reveal()).encode()
    for part in scope.split("/"):
        key = _hmac(key, part)
    return key


def is_signed_by(secret: Secret, signature: Signature, wire: Wire, payload_hash: str) -> bool:
    """Whether the holder of `secret` made this signature over this request.

    `payload_hash` stands for the body: its SHA-256 in hexadecimal, or UNSIGNED-PAYLOAD and the like.
    """
    canonical = canonical_request(wire, signature, payload_hash)
    to_sign = string_to_sign(ALGORITHM, signature, hashlib.sha256(canonical.encode()).hexdigest())
    made = _hmac(signing_key(secret, signature.scope), to_sign).hex()
    return hmac.compare_digest(made, signature.signature)


def string_to_sign(kind: str, signature: Signature, *rest: str) -> str:
    """The lines that are signed: for the request itself, and for each chunk of a streamed body."""
    return "\n".join((kind, signature.stamp, signature.scope, *rest))


def canonical_request(wire: Wire, signature: Signature, payload_hash: str) -> str:
    """The request in the one form that both sides sign."""
    headers = "".join(f"{name}:{_header(wire.headers.get(name, ''))}\n" for name in signature.signed_headers)
    path = quote(unquote(wire.path or "/"), safe="/-_.~")
    if signature.service != "s3":  # elsewhere the path is encoded once more
        path = quote(path, safe="/-_.~")
    return "\n".join(
        (wire.method, path, _canonical_query(wire.query), headers, ";".join(signature.signed_headers), payload_hash)
    )


def _canonical_query(query: str) -> str:
    """Names and values encoded afresh and sorted; the signature itself left out."""
    pairs = [(_encode(name), _encode(value)) for name, value in _pairs(query) if name != "X-Amz-Signature"]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _pairs(query: str) -> Sequence[tuple[str, str]]:
    """Take a query apart; here a plus is a plus."""
    parts = (part.partition("=") for part in query.split("&") if part)
    return [(unquote(name), unquote(value)) for name, _, value in parts]


def _encode(text: str) -> str:
    return quote(text, safe="-_.~")


def _header(value: str) -> str:
    return re.sub(r"\s+", " ", value.strip())


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
