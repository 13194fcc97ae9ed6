"""Is this a JWT, and did this key sign it?

By PyJWT and `cryptography`: none of the agent's own code has a part in the verdict.
"""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import jwt

from agent.sandbox.sts.issuer import Jwk
from agent.secret import Secret

_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
#: The type of key by the first letters of an algorithm's name.
_TYPES: Final = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}


class Malformed(Exception):
    """It is no JWT in compact serialization."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A token taken apart; nothing of it is verified yet. `kid` and `algorithm` are "" where there is none."""

    value: Secret
    algorithm: str
    kid: str
    claims: Mapping[str, object]

    def text(self, claim: str) -> str:
        """A claim that is a text; "" if it is none."""
        value = self.claims.get(claim)
        return value if isinstance(value, str) else ""

    def moment(self, claim: str) -> int | None:
        """A time, in whole seconds since 1970; None if there is none. Raises Malformed."""
        value = self.claims.get(claim)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Malformed(f"{claim} is no time")
        return int(value)

    @property
    def audiences(self) -> tuple[str, ...]:
        """Whom it is for; () if it does not say."""
        aud = self.claims.get("aud")
        named = aud if isinstance(aud, list) else [aud]
        return tuple(one for one in named if isinstance(one, str))


def take_apart(token: str) -> Shown:
    """Read header and claims. Raises Malformed."""
    if not _SHAPE.fullmatch(token):
        raise Malformed("a JWT has three parts in base64url")
    header, claims = (_json(part) for part in token.split(".")[:2])
    if "crit" in header:
        raise Malformed("its header has extensions that must be understood")
    algorithm, kid = header.get("alg"), header.get("kid", "")
    if not isinstance(algorithm, str) or not isinstance(kid, str):
        raise Malformed("its header is none of a JWS")
    return Shown(Secret(token), algorithm, kid, claims)


def signed_by(shown: Shown, keys: Iterable[Jwk]) -> bool:
    """Whether one of these published keys made the signature; one for another purpose or algorithm did not."""
    return any(_is_by(shown, key) for key in keys)


def _is_by(shown: Shown, jwk: Jwk) -> bool:
    if jwk.get("kty") != _TYPES.get(shown.algorithm[:2]):
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", shown.algorithm) != shown.algorithm:
        return False
    try:
        key = jwt.PyJWK.from_dict(dict(jwk), algorithm=shown.algorithm)
        jwt.PyJWS().decode_complete(shown.value.reveal(), key, algorithms=[shown.algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def _json(part: str) -> dict[str, object]:
    try:
        document = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError) as failure:
        raise Malformed("a part of it is not JSON") from failure
    if not isinstance(document, dict):
        raise Malformed("a part of it is no JSON object")
    return document
