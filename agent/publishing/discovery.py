"""What do the documents that describe our issuer say?

OpenID Connect Discovery 1.0 §3 and §4 and RFC 7517; pure. The same keys always give the same bytes, so that a
publisher can tell by comparing whether anything has changed.
"""

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from agent.errors import PublishingFailed
from agent.jose import b64url
from agent.keys import PublicKey
from agent.publishing import Document, Jwk

DISCOVERY_PATH: Final = ".well-known/openid-configuration"
JWKS_PATH: Final = ".well-known/jwks.json"

#: Both documents are served as this. RFC 7517 §8.5 has `application/jwk-set+json` for key sets, but relying parties
#: that look at the type at all look for `application/json`, which is also what OpenID Connect asks of the other one.
MEDIA_TYPE: Final = "application/json"

#: STS reads no more keys than this (of one kind); a key beyond it is not found, and nobody is told why.
MOST_KEYS: Final = 100
#: From so many keys of one kind on, somebody should know: a rotation takes two places, and makes no room by waiting.
MANY_KEYS: Final = 80

#: Keys have two or three levels; what has more than this is no key, but something that is to break its readers.
_DEEPEST: Final = 16

#: The members of a key that are public (RFC 7518 §6.2.1, §6.3.1). Taken by name, so that whatever else a mapping may
#: hold, no private member can reach the world.
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}

#: What our tokens say (agent.tokens.self_signed), AWS's own long claim names left out.
_CLAIMS: Final = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


def documents(issuer: str, keys: Sequence[Jwk], *, max_age: timedelta) -> tuple[Document, ...]:
    """The key set, then the discovery document that points to it: the order in which to put them in place.

    Args:
        issuer: the issuer's URL exactly as the tokens' `iss` has it, with or without a terminating slash.
        keys: all keys to be shown, as `published` makes them, in the order in which to show them.
        max_age: how long a reader may hold on to a document; whole seconds count.

    Raises:
        PublishingFailed: there is no key, or one that cannot be written.
    """
    if not keys:
        raise PublishingFailed(
            "there is no key to show, and an issuer without keys is believed by nobody",
            hint="make one with: rolecall keys new",
        )
    seconds = int(max_age.total_seconds())
    return (
        Document(JWKS_PATH, _json({"keys": [dict(key) for key in keys]}), MEDIA_TYPE, seconds),
        Document(DISCOVERY_PATH, _json(_configuration(issuer, keys)), MEDIA_TYPE, seconds),
    )


def merged(there: bytes | None, shown: Sequence[Jwk], withdrawn: Collection[str]) -> tuple[Jwk, ...]:
    """The keys of a set that several hosts share, once ours are in it and those withdrawn are not.

    Others' keys stay as they are, to the last member, and in their order, so that hosts do not undo each other's work.
    Of a key that stands there twice, in the same words, one stays. Whatever else may be wrong with others' keys is not
    ours to put right, and never keeps a key of ours from being withdrawn.

    Args:
        there: the key set as it stands; None if there is none yet.
        shown: our keys; where one stands there already under its kid, ours replaces it in its place.
        withdrawn: kids of keys that were ours; a key that is in `shown` as well is shown.

    Raises:
        PublishingFailed: what stands there is no key set; it may be somebody's mistake, or somebody's file. Or the
            set would grow beyond what STS reads, or two of our keys have one kid.
    """
    ours = {kid_of(key): key for key in shown}
    if len(ours) < len(shown):
        raise PublishingFailed(f"{len(shown)} keys of ours have {len(ours)} names", hint="name each key once")
    gone = set(withdrawn) - ours.keys() - {""}  # a key without a name is nobody's to withdraw
    found = () if there is None else read_key_set(there)
    stay = [ours.get(kid_of(key), key) if kid_of(key) else key for key in found if kid_of(key) not in gone]
    keys = tuple(_once([*stay, *shown]))
    _refuse_a_crowd(crowding(found), crowding(keys))
    return keys


def _refuse_a_crowd(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    for kind, count in after.items():
        if count > max(MOST_KEYS, before.get(kind, 0)):
            raise PublishingFailed(
                f"{count} {kind} keys are to be shown, but STS reads no more than {MOST_KEYS} of a kind",
                hint="share the hosts out among several issuers: docs/fleet.md",
            )


def kid_of(key: Jwk) -> str:
    """The name of a key; "" for a key that somebody published without one, or with what is no name."""
    kid = key.get("kid")
    return kid if isinstance(kid, str) else ""


def _once(keys: Sequence[Jwk]) -> Iterator[Jwk]:
    seen: set[str] = set()
    for key in keys:
        words = json.dumps(dict(key), sort_keys=True)  # not compared each with each: a set may have any number of keys
        if words not in seen:
            seen.add(words)
            yield key


def read_key_set(body: bytes) -> Sequence[Jwk]:
    """The keys of a JWKS (RFC 7517 §5). Raises PublishingFailed for what is none."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    keys = value.get("keys") if isinstance(value, dict) else None
    if not isinstance(keys, list) or not all(isinstance(key, dict) and _shallow(key, _DEEPEST) for key in keys):
        raise PublishingFailed(
            "what is published there now is no key set",
            hint="see who wrote it; once it is moved away, publish again",
        )
    return keys


def _shallow(value: object, levels: int) -> bool:
    """Whether a value of JSON has so many levels at most."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_shallow(one, levels - 1) for one in inside)


def published(key: PublicKey, chain: Sequence[bytes] = ()) -> dict[str, object]:
    """The JWK (RFC 7517) by which the world knows a key.

    `chain` are certificates for it in DER, its own first; with any, the key has `x5c` and `x5t#S256` (§4.7, §4.9).
    """
    kind = key.jwk["kty"]
    described: dict[str, object] = {"kty": kind, "use": "sig", "alg": key.algorithm, "kid": key.kid}
    described |= {name: key.jwk[name] for name in _PUBLIC_MEMBERS[kind]}
    return certified(described, chain)


def certified(key: Jwk, chain: Sequence[bytes]) -> dict[str, object]:
    """A key with the certificates for it, as `published` takes them; without any, with none."""
    bare = {name: value for name, value in key.items() if name not in {"x5c", "x5t#S256"}}
    if not chain:
        return bare
    return bare | {
        "x5c": [base64.b64encode(certificate).decode("ascii") for certificate in chain],
        "x5t#S256": b64url(hashlib.sha256(chain[0]).digest()),
    }


def address(issuer: str, path: str) -> str:
    """Where the world finds a document: OpenID Connect Discovery 1.0 §4 drops a terminating slash before appending."""
    return f"{issuer.removesuffix('/')}/{path}"


def crowding(keys: Sequence[Jwk]) -> Mapping[str, int]:
    """How many keys of each kind (`kty`) there are; from `MANY_KEYS` on it is time to do something about it."""
    return Counter(str(key.get("kty"))[:20] for key in keys)


def _configuration(issuer: str, keys: Sequence[Jwk]) -> Mapping[str, object]:
    """The discovery document.

    STS wants issuer, jwks_uri and the three members ending in `_supported` that come first; without one of them it
    says that it could not retrieve the verification key. The endpoint is required by the standard, and there is
    none: nobody signs in here, programs do.
    """
    return {
        "issuer": issuer,
        "jwks_uri": address(issuer, JWKS_PATH),
        "authorization_endpoint": "urn:rolecall:programmatic",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted(
            {alg for key in keys if isinstance(alg := key.get("alg"), str)}
        ),
        "claims_supported": list(_CLAIMS),
    }


def _json(value: Mapping[str, object]) -> bytes:
    try:
        return json.dumps(value, indent=2, allow_nan=False).encode("ascii") + b"\n"
    except ValueError as error:  # NaN and Infinity, which Python reads, and which are no JSON
        raise PublishingFailed(
            "a key that is published there holds what cannot be written as JSON", hint="see who wrote it"
        ) from error
