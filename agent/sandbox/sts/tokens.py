"""Is this a token that its issuer signed, for us, and for now?

Signatures are verified by PyJWT and `cryptography`; none of the agent's own code has a part in the verdict.
"""

import base64
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt

from agent.sandbox.refusals import (
    BAD_SIGNATURE,
    NOT_A_JWT,
    NOT_AMAZON,
    SEVERAL_AUDIENCES,
    WRONG_AUDIENCE,
    Refusal,
    invalid_token,
    missing_claim,
)
from agent.sandbox.sts.issuer import Jwk
from agent.secret import Secret

#: Algorithm to the type of key that may sign so. Nothing else is taken: no PS256, EdDSA, HS256, none. That the curve
#: of an EC key is the one of its algorithm is for PyJWT to see.
_ALGORITHMS: Final = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "ES256": "EC",
    "ES384": "EC",
    "ES512": "EC",
}
#: How far clocks may differ: an expired token is taken for five minutes more, one from the future as much earlier.
LEEWAY: Final = timedelta(minutes=5)
_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_LONGEST_SUBJECT: Final = 255


@dataclass(frozen=True, slots=True)
class Presented:
    """A token taken apart; nothing of it is verified yet."""

    value: Secret
    algorithm: str
    kid: str | None
    issuer: str
    claims: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Audience:
    """Who the token is for.

    Attributes:
        client: what is compared with the provider's client ids and is `<issuer>:aud`: azp if there is one, else aud.
        original: aud, where azp has taken its place: `<issuer>:oaud`.
    """

    client: str
    original: tuple[str, ...]


def take_apart(token: Secret, provider_id: str | None) -> Presented:
    """Read header and claims. Raises Refusal if it is no JWT that STS would look at.

    A token with blanks about it, such as a newline from a file, is not even taken for a JWT; and whoever names a
    ProviderId says that the token is of another kind.
    """
    text = token.reveal()
    if text != text.strip() or provider_id == "www.amazon.com":
        raise invalid_token(NOT_AMAZON)
    if provider_id is not None or not _SHAPE.fullmatch(text):
        raise invalid_token(NOT_A_JWT)
    header, claims = (_json(part) for part in text.split(".")[:2])
    algorithm, kid, issuer = header.get("alg"), header.get("kid"), claims.get("iss")
    if not isinstance(algorithm, str) or algorithm not in _ALGORITHMS or "crit" in header:
        raise invalid_token(NOT_A_JWT)
    if kid is not None and not isinstance(kid, str):
        raise invalid_token(NOT_A_JWT)
    if issuer is None:
        raise missing_claim("iss")
    if not isinstance(issuer, str):
        raise invalid_token(NOT_A_JWT)
    return Presented(token, algorithm, kid, issuer, claims)


def _json(part: str) -> dict[str, object]:
    """One part of the token, decoded. Raises Refusal."""
    try:
        document = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (ValueError, RecursionError) as failure:
        raise invalid_token(NOT_A_JWT) from failure
    if not isinstance(document, dict):
        raise invalid_token(NOT_A_JWT)
    return document


def audience(claims: Mapping[str, object], client_ids: Sequence[str]) -> Audience:
    """Whom the token is for. Raises Refusal unless that is one of the provider's client ids."""
    aud, azp = claims.get("aud"), claims.get("azp")
    named = [aud] if isinstance(aud, str) else aud
    if aud is None and azp is None:
        raise missing_claim("aud")
    if named is not None and not (isinstance(named, list) and all(isinstance(one, str) for one in named)):
        raise invalid_token(NOT_A_JWT)
    audiences = tuple(named or ())
    if azp is None and len(audiences) > 1:
        raise invalid_token(SEVERAL_AUDIENCES)
    client = azp if azp is not None else "".join(audiences)
    if not isinstance(client, str) or client not in client_ids:
        raise invalid_token(WRONG_AUDIENCE)
    return Audience(client, audiences if azp is not None else ())


def check_signature(presented: Presented, keys: Sequence[Jwk]) -> None:
    """Verify with PyJWT, by any of these keys. Raises Refusal."""
    if not any(_signed_by(presented, key) for key in keys):
        raise invalid_token(BAD_SIGNATURE)


def _signed_by(presented: Presented, jwk: Jwk) -> bool:
    """Whether this published key made the signature; a key for another purpose or algorithm did not."""
    if jwk.get("kty") != _ALGORITHMS[presented.algorithm]:
        return False
    if jwk.get("use", "sig") != "sig" or jwk.get("alg", presented.algorithm) != presented.algorithm:
        return False
    try:
        key = jwt.PyJWK.from_dict(dict(jwk), algorithm=presented.algorithm)
        jwt.PyJWS().decode_complete(presented.value.reveal(), key, algorithms=[presented.algorithm])
    except (jwt.PyJWTError, ValueError, TypeError):
        return False
    return True


def check_times(claims: Mapping[str, object], now: datetime) -> None:
    """Check exp, iat and nbf with AWS's leeway. Raises Refusal: ExpiredTokenException or InvalidIdentityToken."""
    expires, issued = _moment(claims, "exp"), _moment(claims, "iat")
    if expires is None:
        raise missing_claim("exp")
    if issued is None:
        raise missing_claim("iat")
    present = int(now.timestamp())
    leeway = int(LEEWAY.total_seconds())
    if present >= expires + leeway:
        raise Refusal(
            "ExpiredTokenException",
            f"Token expired: current date/time {present} must be before the expiration date/time {expires}",
        )
    not_before = _moment(claims, "nbf")
    for name, moment in (("iat", issued), ("nbf", not_before)):
        if moment is not None and moment > present + leeway:  # the text is a guess, the rule is not
            raise invalid_token(f"Token is not valid yet: current date/time {present} must be after {name} {moment}")


def _moment(claims: Mapping[str, object], name: str) -> int | None:
    """A time claim: STS takes whole numbers alone. Raises Refusal."""
    value = claims.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise invalid_token(NOT_A_JWT)
    return value


def subject(claims: Mapping[str, object]) -> str:
    """Whom the token speaks of: 1 to 255 characters. Raises Refusal."""
    value = claims.get("sub")
    if value is None or value == "":
        raise missing_claim("sub")
    if not isinstance(value, str) or len(value) > _LONGEST_SUBJECT:
        raise invalid_token(NOT_A_JWT)
    return value
