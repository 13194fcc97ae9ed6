"""Does a signature come from this public key, and is it a key that AWS takes?

What every custodian has to know of public keys, wherever the private half is. Speaks to no device and no service.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa, x448, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

from agent import jose
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, PublicKey, SigningKey

#: The public halves of keys that AWS STS takes.
Public = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

WHAT_FITS: Final = "use RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521: rolecall keys new"

#: RFC 7518 §3.1: the number in an algorithm's name is that of its hash.
_HASHES: Final = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
#: RFC 7518 §3.4: each curve has one algorithm. OpenSSL's name → (JWS algorithm, JWK crv, bytes of a coordinate).
_CURVES: Final[dict[str, tuple[Algorithm, str, int]]] = {
    "secp256r1": ("ES256", "P-256", 32),
    "secp384r1": ("ES384", "P-384", 48),
    "secp521r1": ("ES512", "P-521", 66),
}
_COORDINATES: Final[dict[Algorithm, int]] = {algorithm: size for algorithm, _, size in _CURVES.values()}
_RSA_ALGORITHMS: Final[tuple[Algorithm, ...]] = ("RS256", "RS384", "RS512")
_UNFIT: Final = (
    (ed25519.Ed25519PublicKey, "an Ed25519"),
    (ed448.Ed448PublicKey, "an Ed448"),
    (x25519.X25519PublicKey, "an X25519"),
    (x448.X448PublicKey, "an X448"),
    (dsa.DSAPublicKey, "a DSA"),
)
#: What is signed to see whether two halves belong together; it is no token, and never can be one.
CHALLENGE: Final = b"does this key fit itself?"


def fit(public: object, origin: str) -> Public:
    """Take a public key of a kind that AWS STS takes; `origin` names it in errors. Raises KeyUnavailable."""
    if isinstance(public, rsa.RSAPublicKey):
        if 2048 <= public.key_size <= 4096:
            return public
        raise KeyUnavailable(f"{origin} holds an RSA key of {public.key_size} bits, not 2048 to 4096", hint=WHAT_FITS)
    if isinstance(public, ec.EllipticCurvePublicKey):
        if public.curve.name in _CURVES:
            return public
        raise KeyUnavailable(
            f"{origin} holds an EC key on {public.curve.name}, a curve that AWS STS does not take", hint=WHAT_FITS
        )
    named = next((name for kind, name in _UNFIT if isinstance(public, kind)), "another kind of")
    raise KeyUnavailable(f"{origin} holds {named} key, which AWS STS does not take", hint=WHAT_FITS)


def read_spki(der: bytes, origin: str) -> Public:
    """Take a public key out of DER (SubjectPublicKeyInfo, RFC 5280 §4.1.2.7). Raises KeyUnavailable."""
    try:
        return fit(load_der_public_key(der), origin)
    except UnsupportedAlgorithm as error:
        raise KeyUnavailable(f"{origin} holds a key of a kind that AWS STS does not take", hint=WHAT_FITS) from error
    except (ValueError, TypeError) as error:
        raise KeyUnavailable(
            f"the public half that {origin} gave is none", hint="see what it is with the custodian's own tools"
        ) from error


def described(public: Public, algorithm: Algorithm | None, origin: str) -> PublicKey:
    """The key as the world may see it; `algorithm` None is RS256 for RSA, and what fits the curve for EC.

    Raises ConfigurationError for an algorithm that does not fit.
    """
    fitting = _RSA_ALGORITHMS
    if isinstance(public, ec.EllipticCurvePublicKey):
        fitting = (_CURVES[public.curve.name][0],)
    if algorithm is not None and algorithm not in fitting:
        raise ConfigurationError(
            f"the private key in {origin} cannot sign with {algorithm}", hint=f"it can sign with {', '.join(fitting)}"
        )
    jwk = _jwk(public)
    return PublicKey(kid=jose.thumbprint(jwk), algorithm=algorithm or fitting[0], jwk=jwk)


def digest(algorithm: Algorithm) -> hashes.HashAlgorithm:
    """The hash of an algorithm."""
    return _HASHES[algorithm[2:]]


def coordinate_bytes(algorithm: Algorithm) -> int:
    """How many bytes each of the two numbers of an ECDSA signature has (RFC 7518 §3.4). KeyError for RSA."""
    return _COORDINATES[algorithm]


def raw_signature(der: bytes, algorithm: Algorithm) -> bytes:
    """Turn an ECDSA signature from DER, as most devices give it, to what a JWS holds. Raises ValueError."""
    size = coordinate_bytes(algorithm)
    r, s = decode_dss_signature(der)
    try:
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    except OverflowError as error:
        raise ValueError("a number too large for the curve") from error


def made_by(public: Public, algorithm: Algorithm, message: bytes, signature: bytes) -> bool:
    """Whether a JWS signature of `message` comes from this key."""
    try:
        if isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, message, padding.PKCS1v15(), digest(algorithm))
        else:
            half = coordinate_bytes(algorithm)
            if len(signature) != 2 * half:
                return False
            der = encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))
            public.verify(der, message, ec.ECDSA(digest(algorithm)))
    except InvalidSignature:
        return False
    return True


async def prove(key: SigningKey, public: Public, origin: str) -> None:
    """Sign and verify once, so that halves that do not belong together are found now, and not by AWS.

    Raises KeyUnavailable, also where the key cannot sign at all.
    """
    if not made_by(public, key.public.algorithm, CHALLENGE, await key.sign(CHALLENGE)):
        raise KeyUnavailable(
            f"what {origin} signs does not fit the public half that it shows",
            hint="no token is signed with it: see which private key it really has",
        )


def _jwk(public: Public) -> dict[str, str]:
    """RFC 7518 §6.2.1 and §6.3.1: coordinates in full length, numbers in no more bytes than they need."""
    if isinstance(public, rsa.RSAPublicKey):
        modulus = public.public_numbers()
        return {"kty": "RSA", "n": jose.b64url_uint(modulus.n), "e": jose.b64url_uint(modulus.e)}
    point = public.public_numbers()
    _, crv, size = _CURVES[public.curve.name]
    return {"kty": "EC", "crv": crv, "x": jose.b64url_uint(point.x, size), "y": jose.b64url_uint(point.y, size)}
