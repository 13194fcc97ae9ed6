"""What do the documents that describe our issuer say?

OpenID Connect Discovery 1.0 §3 and §4 and RFC 7517; pure. The same keys always give the same bytes, so that a
publisher can tell by comparing whether anything has changed.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final

from agent.errors import ConfigurationError
from agent.keys import PublicKey
from agent.publishing import Document

DISCOVERY_PATH: Final = ".well-known/openid-configuration"
JWKS_PATH: Final = ".well-known/jwks.json"

#: Both documents are served as this. RFC 7517 §8.5 has `application/jwk-set+json` for key sets, but relying parties
#: that look at the type at all look for `application/json`, which is also what OpenID Connect asks of the other one.
MEDIA_TYPE: Final = "application/json"

#: STS reads no more keys than this (of one kind); a key beyond it is not found, and nobody is told why.
MOST_KEYS: Final = 100

#: The members of a key that are public (RFC 7518 §6.2.1, §6.3.1). Taken by name, so that whatever else a mapping may
#: hold, no private member can reach the world. No x5c and x5t: Google refuses key sets that have them.
_PUBLIC_MEMBERS: Final = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}

#: What our tokens say (agent.tokens.self_signed), AWS's own long claim names left out.
_CLAIMS: Final = ("iss", "sub", "aud", "exp", "nbf", "iat", "jti")


def documents(issuer: str, keys: Sequence[PublicKey], *, max_age: timedelta) -> tuple[Document, ...]:
    """The key set, then the discovery document that points to it: the order in which to put them in place.

    Args:
        issuer: the issuer's URL exactly as the tokens' `iss` has it, with or without a terminating slash.
        keys: all keys to be shown, in the order in which to show them.
        max_age: how long a reader may hold on to a document; whole seconds count.

    Raises:
        ConfigurationError: no key, more than STS reads, or one shown twice.
    """
    _check(keys)
    seconds = int(max_age.total_seconds())
    key_set = {"keys": [published(key) for key in keys]}
    return (
        Document(JWKS_PATH, _json(key_set), MEDIA_TYPE, seconds),
        Document(DISCOVERY_PATH, _json(_configuration(issuer, keys)), MEDIA_TYPE, seconds),
    )


def published(key: PublicKey) -> dict[str, str]:
    """The JWK (RFC 7517) by which the world knows a key."""
    kind = key.jwk["kty"]
    described = {"kty": kind, "use": "sig", "alg": key.algorithm, "kid": key.kid}
    return described | {name: key.jwk[name] for name in _PUBLIC_MEMBERS[kind]}


def address(issuer: str, path: str) -> str:
    """Where the world finds a document: OpenID Connect Discovery 1.0 §4 drops a terminating slash before appending."""
    return f"{issuer.removesuffix('/')}/{path}"


def _check(keys: Sequence[PublicKey]) -> None:
    if not keys:
        raise ConfigurationError(
            "there is no key to show, and an issuer without keys is believed by nobody",
            hint="make one with: rolecall keys new",
        )
    if len(keys) > MOST_KEYS:
        raise ConfigurationError(
            f"{len(keys)} keys are to be shown, but STS reads no more than {MOST_KEYS}",
            hint="retire the keys that no unexpired token was signed with",
        )
    kids = [key.kid for key in keys]
    for kid in kids:
        if kids.count(kid) > 1:
            raise ConfigurationError(f"the key {kid} is to be shown twice", hint="name each key once")


def _configuration(issuer: str, keys: Sequence[PublicKey]) -> Mapping[str, object]:
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
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in keys}),
        "claims_supported": list(_CLAIMS),
    }


def _json(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, indent=2).encode("ascii") + b"\n"
