"""How does the other side of SRP know that somebody knows the password, without being told?

The server's half of the Secure Remote Password protocol (RFC 5054) in Cognito's dialect: SHA-256, the group of 3072
bits, numbers hashed as Java writes them, and a key of 16 bytes that signs a statement instead of RFC 5054's proofs.
"""

import base64
import hashlib
import hmac
import random
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: The group of 3072 bits of RFC 5054, appendix A, which is group 15 of RFC 3526: 2^3072 - 2^3008 - 1 +
#: 2^64 * (floor(2^2942 * pi) + 1690314).
_PRIME_TEXT: Final = (
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B"
    "302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7EDEE386BFB5A899FA5AE9F24117C4B1FE6"
    "49286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB9ED529077096966D"
    "670C354E4ABC9804F1746C08CA18217C32905E462E36CE3BE39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF695581718"
    "3995497CEA956AE515D2261898FA051015728E5A8AAAC42DAD33170D04507A33A85521ABDF1CBA64ECFB850458DBEF0A8AEA71575D060C7D"
    "B3970F85A6E1E4C7ABF5AE8CDB0933D71E8C94E04A25619DCEE3D2261AD2EE6BF12FFA06D98A0864D87602733EC86A64521F2B18177B200C"
    "BBE117577A615D6C770988C0BAD946E208E24FA074E5AB3143DB5BFCE0FD108E4B82D120A93AD2CAFFFFFFFFFFFFFFFF"
)
PRIME: Final = int(_PRIME_TEXT, 16)
_GENERATOR: Final = 2
_INFO: Final = b"Caldera Derived Key"


@dataclass(frozen=True, slots=True)
class Exchange:
    """An exchange that the server has begun.

    Attributes:
        salt: of the password; not secret.
        verifier: what the server has instead of the password.
        public: B, which the client is told.
        secret: b.
        client: A, what the client said.
    """

    salt: int
    verifier: int
    public: int
    secret: int
    client: int


def begin(client: int, pool: str, user: str, password: str, rng: random.Random) -> Exchange:
    """Answer a client's A, which is not a multiple of the prime; `pool` is the pool's id without its region."""
    salt, secret = rng.getrandbits(128) or 1, rng.getrandbits(1024) or 1
    inner = hashlib.sha256(f"{pool}{user}:{password}".encode()).digest()
    verifier = pow(_GENERATOR, _number(written(salt) + inner), PRIME)
    multiplier = _number(written(PRIME) + written(_GENERATOR))
    public = (multiplier * verifier + pow(_GENERATOR, secret, PRIME)) % PRIME
    return Exchange(salt, verifier, public, secret, client)


def is_proven(exchange: Exchange, statement: bytes, signature: str) -> bool:
    """Whether `signature`, in base64, is what only somebody with the password can have made of the statement."""
    mixed = _number(written(exchange.client) + written(exchange.public))
    shared = pow(exchange.client * pow(exchange.verifier, mixed, PRIME), exchange.secret, PRIME)
    key = HKDF(hashes.SHA256(), 16, written(mixed), _INFO).derive(written(shared))
    expected = base64.b64encode(hmac.digest(key, statement, "sha256")).decode()
    return hmac.compare_digest(expected.encode(), signature.encode())


def written(number: int) -> bytes:
    """A number as Java writes it: the fewest bytes, with a zero in front where it would else be negative."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")
