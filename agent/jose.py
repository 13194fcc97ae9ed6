"""How are a JWS and a JWK's thumbprint put together?

RFC 7515, 7517, 7518 and 7638; pure. The custodian of a key may be a device or a service, so signing is not
done here: `signing_input` is handed to whoever holds the key, and `compact` joins what comes back. Verifying is
not done here either: that is for those who must not take our word for it.
"""

import base64
import hashlib
import json
import re
from collections.abc import Mapping

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)

#: RFC 7638 §3.2: the members that take part in a thumbprint, in lexicographic order.
_REQUIRED_MEMBERS = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y")}


def b64url(data: bytes) -> str:
    """Encode as base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def b64url_uint(number: int, length: int | None = None) -> str:
    """Encode a positive integer big-endian: in as few bytes as it needs, or in exactly `length` (RFC 7518 §2, §6.2)."""
    return b64url(number.to_bytes(length or (number.bit_length() + 7) // 8, "big"))


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The RFC 7638 SHA-256 thumbprint of a public RSA or EC key, base64url without padding."""
    members = {name: jwk[name] for name in _REQUIRED_MEMBERS[jwk["kty"]]}
    return b64url(hashlib.sha256(_json(members)).digest())


def signing_input(header: Mapping[str, object], claims: Mapping[str, object]) -> bytes:
    """What has to be signed: header and claims, encoded and joined by a dot (RFC 7515 §5.1)."""
    return f"{b64url(_json(header))}.{b64url(_json(claims))}".encode("ascii")


def compact(signed: bytes, signature: bytes) -> str:
    """Join what was signed and its signature to a compact JWS (RFC 7515 §3.1)."""
    return f"{signed.decode('ascii')}.{b64url(signature)}"


def unverified(token: str) -> tuple[dict[str, object], dict[str, object]]:
    """Header and claims of a signed JWT as it states them; nothing is verified.

    Raises ValueError, which does not show the token, for what is not three parts of base64url of which the first
    two are JSON objects.
    """
    if not _COMPACT.fullmatch(token):
        raise ValueError("not three parts of base64url joined by dots")
    header, claims, _ = token.split(".")
    return _json_object(header), _json_object(claims)


def _json(value: Mapping[str, object]) -> bytes:
    # NaN and Infinity are no JSON, though Python writes them unless told not to.
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _json_object(part: str) -> dict[str, object]:
    try:
        value: object = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        # Not chained: what json and codecs raise carries the text that they could not read.
        raise ValueError("a part is not base64url of JSON") from None
    if not isinstance(value, dict):
        raise ValueError("a part is not a JSON object")  # noqa: TRY004 - its type is a matter of content here
    return value
