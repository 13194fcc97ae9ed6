"""Key files of every kind: good ones, and all that people hand over instead, with what is to be said of each."""

import base64
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind
from agent.secret import Secret
from tests.fakes.memory_key import pem

PASSPHRASE = Secret("canary horse battery staple")
ENCRYPTED = BestAvailableEncryption(PASSPHRASE.reveal().encode())
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


def private(kind: Kind) -> Private:
    key = load_pem_private_key(pem(kind), None)
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key


def as_pem(key: object, style: PrivateFormat, encryption: KeySerializationEncryption | None = None) -> bytes:
    assert hasattr(key, "private_bytes")
    written = key.private_bytes(Encoding.PEM, style, encryption or NoEncryption())
    assert isinstance(written, bytes)
    return written


def pkcs8(key: object) -> bytes:
    return as_pem(key, PrivateFormat.PKCS8)


def traditional(kind: Kind, encryption: KeySerializationEncryption | None = None) -> bytes:
    return as_pem(private(kind), PrivateFormat.TraditionalOpenSSL, encryption)


class Refusal(NamedTuple):
    content: Callable[[], bytes]
    error: type[AgentError]
    sentence: str
    hint: str
    passphrase: Secret | None = None
    algorithm: Algorithm | None = None


def halves_of_two_keys() -> bytes:
    """An EC key whose public point belongs to another key."""
    mine, other = (
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption()
        )
        for _ in range(2)
    )
    return b"-----BEGIN EC PRIVATE KEY-----\n%b-----END EC PRIVATE KEY-----\n" % base64.encodebytes(
        mine[:-64] + other[-64:]
    )


def public_key() -> bytes:
    return private("rsa-2048").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def rsa_key(bits: int) -> Callable[[], bytes]:
    """One key for a whole run of tests: RSA keys take their time to be found."""
    return cache(lambda: pkcs8(rsa.generate_private_key(65537, bits)))


def on_curve(curve: ec.EllipticCurve) -> Callable[[], bytes]:
    return lambda: pkcs8(ec.generate_private_key(curve))


def without_middle(key: bytes) -> bytes:
    lines = key.splitlines(keepends=True)
    return b"".join(lines[:5] + lines[9:])


@cache
def too_large() -> bytes:
    """An RSA key of 4484 bits, of two primes that Mersenne named: nobody has to search for them."""
    p, q, e = 2**2281 - 1, 2**2203 - 1, 65537
    d = pow(e, -1, (p - 1) * (q - 1))
    numbers = rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), rsa.RSAPublicNumbers(e, p * q)
    )
    return pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))


CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
FITTING = "use RSA of 2048 to 4096 bits, or EC on P-256, P-384 or P-521: rolecall keys new"
AGAIN = "copy the file again, or restore it from a backup"
P = PASSPHRASE
REFUSALS: Final = {
    "empty": Refusal(
        lambda: b"",
        KeyUnavailable,
        "the private key file FILE is empty",
        "put the private key there, or correct the path",
    ),
    "huge": Refusal(
        lambda: pem("ec-p256") + b"\n" * 70_000,
        KeyUnavailable,
        "the private key file FILE is larger than 65536 bytes, which no private key is",
        "correct the path",
    ),
    "text": Refusal(
        lambda: b"canary: correct horse",
        KeyUnavailable,
        "FILE holds no private key in PEM format",
        "correct the path, or make a key: rolecall keys new",
    ),
    "binary": Refusal(
        lambda: bytes(range(128, 256)),
        KeyUnavailable,
        "FILE holds no private key in PEM format",
        "correct the path, or make a key: rolecall keys new",
    ),
    "DER": Refusal(
        lambda: private("ec-p256").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        KeyUnavailable,
        "FILE is not in PEM format, but perhaps in DER",
        "convert it with: openssl pkey -inform DER",
    ),
    "public key": Refusal(
        public_key,
        KeyUnavailable,
        "FILE is a public key, not a private key in PEM format",
        "give the private half, which only this host should have",
    ),
    "certificate": Refusal(
        lambda: CERTIFICATE,
        KeyUnavailable,
        "FILE is a certificate, not a private key in PEM format",
        "give the private key that belongs to it",
    ),
    "OpenSSH": Refusal(
        lambda: as_pem(private("ec-p256"), PrivateFormat.OpenSSH),
        KeyUnavailable,
        "FILE is a key in the OpenSSH format, not a private key in PEM format",
        "convert a copy with: ssh-keygen -p -m PKCS8 -f COPY",
    ),
    "two keys": Refusal(
        lambda: pem("ec-p256") + pem("ec-p384"),
        KeyUnavailable,
        "FILE holds 2 private keys",
        "put each key in a file of its own",
    ),
    "no last line": Refusal(
        lambda: pem("rsa-2048")[:-40],
        KeyUnavailable,
        "the private key in FILE is cut off",
        "copy the file again, to its last line",
    ),
    "lines missing": Refusal(
        lambda: without_middle(pem("rsa-2048")), KeyUnavailable, "the private key in FILE is damaged or cut off", AGAIN
    ),
    "halves of two keys": Refusal(
        halves_of_two_keys, KeyUnavailable, "the private key in FILE is damaged or cut off", AGAIN
    ),
    "RSA 1024": Refusal(rsa_key(1024), KeyUnavailable, "FILE holds an RSA key of 1024 bits, not 2048 to 4096", FITTING),
    "RSA 2047": Refusal(rsa_key(2047), KeyUnavailable, "FILE holds an RSA key of 2047 bits, not 2048 to 4096", FITTING),
    "RSA 4484": Refusal(too_large, KeyUnavailable, "FILE holds an RSA key of 4484 bits, not 2048 to 4096", FITTING),
    "Ed25519": Refusal(
        lambda: pkcs8(ed25519.Ed25519PrivateKey.generate()),
        KeyUnavailable,
        "FILE holds an Ed25519 key, which AWS STS does not take",
        FITTING,
    ),
    "Ed448": Refusal(
        lambda: pkcs8(ed448.Ed448PrivateKey.generate()),
        KeyUnavailable,
        "FILE holds an Ed448 key, which AWS STS does not take",
        FITTING,
    ),
    "X25519": Refusal(
        lambda: pkcs8(x25519.X25519PrivateKey.generate()),
        KeyUnavailable,
        "FILE holds an X25519 key, which AWS STS does not take",
        FITTING,
    ),
    "X448": Refusal(
        lambda: pkcs8(x448.X448PrivateKey.generate()),
        KeyUnavailable,
        "FILE holds an X448 key, which AWS STS does not take",
        FITTING,
    ),
    "DSA": Refusal(
        lambda: pkcs8(dsa.generate_private_key(1024)),
        KeyUnavailable,
        "FILE holds a DSA key, which AWS STS does not take",
        FITTING,
    ),
    "secp256k1": Refusal(
        on_curve(ec.SECP256K1()),
        KeyUnavailable,
        "FILE holds an EC key on secp256k1, a curve that AWS STS does not take",
        FITTING,
    ),
    "P-224": Refusal(
        on_curve(ec.SECP224R1()),
        KeyUnavailable,
        "FILE holds an EC key on secp224r1, a curve that AWS STS does not take",
        FITTING,
    ),
    "brainpool": Refusal(
        on_curve(ec.BrainpoolP256R1()),
        KeyUnavailable,
        "FILE holds an EC key on brainpoolP256r1, a curve that AWS STS does not take",
        FITTING,
    ),
    "wrong passphrase": Refusal(
        lambda: traditional("rsa-2048", BestAvailableEncryption(b"canary of another kind")),
        KeyUnavailable,
        "the private key in FILE cannot be decrypted: wrong passphrase, or a damaged file",
        "try the passphrase by hand with: openssl pkey -noout -in FILE",
        passphrase=P,
    ),
    "wrong passphrase, PKCS#8": Refusal(
        lambda: as_pem(private("ec-p256"), PrivateFormat.PKCS8, BestAvailableEncryption(b"canary of another kind")),
        KeyUnavailable,
        "the private key in FILE cannot be decrypted: wrong passphrase, or a damaged file",
        "try the passphrase by hand with: openssl pkey -noout -in FILE",
        passphrase=P,
    ),
    "no passphrase": Refusal(
        lambda: as_pem(private("ec-p256"), PrivateFormat.PKCS8, ENCRYPTED),
        ConfigurationError,
        "the private key in FILE is encrypted, and no passphrase is configured",
        "name a file or a systemd credential that holds the passphrase",
    ),
    "no passphrase, traditional": Refusal(
        lambda: traditional("ec-p256", ENCRYPTED),
        ConfigurationError,
        "the private key in FILE is encrypted, and no passphrase is configured",
        "name a file or a systemd credential that holds the passphrase",
    ),
    "passphrase too many": Refusal(
        lambda: pem("ec-p256"),
        ConfigurationError,
        "a passphrase is configured, but the private key in FILE is not encrypted",
        "encrypt it with: openssl pkcs8 -topk8 -in FILE, or remove the passphrase",
        passphrase=P,
    ),
    "RSA with ES256": Refusal(
        lambda: pem("rsa-2048"),
        ConfigurationError,
        "the private key in FILE cannot sign with ES256",
        "it can sign with RS256, RS384, RS512",
        algorithm="ES256",
    ),
    "P-384 with ES256": Refusal(
        lambda: pem("ec-p384"),
        ConfigurationError,
        "the private key in FILE cannot sign with ES256",
        "it can sign with ES384",
        algorithm="ES256",
    ),
    "P-256 with RS256": Refusal(
        lambda: pem("ec-p256"),
        ConfigurationError,
        "the private key in FILE cannot sign with RS256",
        "it can sign with ES256",
        algorithm="RS256",
    ),
}
