"""Which keys of a key set verify tokens, and what can each be used for?

RFC 7517, 7518 §6, 8037. The cryptography is PyJWT's. A key is bound to its algorithms here, by what the issuer says of
it and not by what some token says: an RSA key never becomes the secret of an HMAC.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import jwt

from agent.errors import IssuerUnreadable
from agent.verification import Check, Keys

#: No issuer has more keys; a hundred is what STS reads.
MOST: Final = 100

_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
#: By kty and crv, the algorithms that a key can verify, and its public members.
_KINDS: Final[Mapping[tuple[str | None, ...], tuple[tuple[str, ...], tuple[str, ...]]]] = {
    ("RSA", None): (_RSA, ("n", "e")),
    ("EC", "P-256"): (("ES256",), ("crv", "x", "y")),
    ("EC", "P-384"): (("ES384",), ("crv", "x", "y")),
    ("EC", "P-521"): (("ES512",), ("crv", "x", "y")),
    ("OKP", "Ed25519"): (("EdDSA",), ("crv", "x")),
}
#: Members that are a private half: whoever has read the key set can sign with that key.
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
#: Of RSA, in bits: NIST SP 800-131A takes no less, and more only takes time. The exponent likewise.
_LEAST_BITS, _MOST_BITS, _MOST_EXPONENT_BITS = 2048, 8192, 33
#: The longest member of such a key, in characters.
_LONGEST: Final = 1400


def read(document: object) -> Mapping[str, Keys]:
    """The keys of a JWKS that can verify a token, by kid. Those that cannot are passed over (RFC 7517 §5).

    Raises IssuerUnreadable for what is no key set, or one with nothing in it that we can use.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list) or len(listed) > MOST:
        raise IssuerUnreadable(
            f"what is there is no set of at most {MOST} keys", hint="see whether jwks_url, or the issuer's jwks_uri, is"
        )
    found: dict[str, dict[str, tuple[Check, ...]]] = {}
    for jwk in listed:
        if isinstance(jwk, dict) and isinstance(kid := jwk.get("kid"), str) and kid:
            by_algorithm = found.setdefault(kid, {})
            for name, check in _checks(jwk):
                by_algorithm[name] = (*by_algorithm.get(name, ()), check)
    usable = {kid: keys for kid, keys in found.items() if keys}
    if not usable:
        raise IssuerUnreadable(
            f"none of the {len(listed)} keys that are there can verify a token",
            hint="the issuer has to show public RSA or EC keys for signing, each with a kid",
        )
    return usable


def _checks(jwk: Mapping[str, Any]) -> Iterator[tuple[str, Check]]:
    """What a key verifies, by algorithm; nothing for a key that is not for signatures, or none that we take."""
    kind = tuple(word if isinstance(word := jwk.get(name), str) else None for name in ("kty", "crv"))
    algorithms, members = _KINDS.get(kind, ((), ()))
    operations = jwk.get("key_ops", ["verify"])
    for_signing = jwk.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    if not for_signing or _PRIVATE & jwk.keys():
        return
    public = {name: jwk.get(name) for name in ("kty", *members)}
    for name in algorithms:
        if jwk.get("alg", name) == name and (check := _check(public, name)) is not None:
            yield name, check


def _check(public: Mapping[str, Any], name: str) -> Check | None:
    """How to see whether a signature is of this key; None for what is no key, or a weak one."""
    if not all(isinstance(value, str) and len(value) <= _LONGEST for value in public.values()):
        return None
    try:
        made = jwt.PyJWK(dict(public), name)
        algorithm, key = made.Algorithm, made.Algorithm.prepare_key(made.key)
    except Exception:  # noqa: BLE001 - the edge of libraries that raise whatever they stumble on: it is no key
        return None
    if public["kty"] == "RSA":
        numbers = key.public_numbers()
        if not _LEAST_BITS <= key.key_size <= _MOST_BITS or numbers.e.bit_length() > _MOST_EXPONENT_BITS:
            return None

    def check(signed: bytes, signature: bytes) -> bool:
        return bool(algorithm.verify(signed, key, signature))

    return check
