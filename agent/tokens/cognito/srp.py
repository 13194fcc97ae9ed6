"""How do we show that we know a password, without telling it?

The client's half of the Secure Remote Password protocol, version 6a (RFC 5054), as Cognito has it: SHA-256, the group
of 3072 bits, every number hashed as Java writes it, and, in the place of RFC 5054's proofs, a key of 16 bytes drawn
with HKDF (RFC 5869) that signs a statement. Pure: randomness and the time are arguments.
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from agent.secret import Secret

#: RFC 5054, appendix A, the group of 3072 bits.
PRIME: Final = int(
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404ddef9519b3cd3a431b"
    "302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7edee386bfb5a899fa5ae9f24117c4b1fe6"
    "49286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f83655d23dca3ad961c62f356208552bb9ed529077096966d"
    "670c354e4abc9804f1746c08ca18217c32905e462e36ce3be39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf695581718"
    "3995497cea956ae515d2261898fa051015728e5a8aaac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7d"
    "b3970f85a6e1e4c7abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200c"
    "bbe117577a615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a93ad2caffffffffffffffff",
    16,
)
GENERATOR: Final = 2
#: How many random bytes an exchange takes: 256 bits, as RFC 5054 §2.5.4 has it, which is what a group of this size is
#: worth. More would only hold up the loop, since Python does its powers in one go.
RANDOM_BYTES: Final = 32
_INFO: Final = b"Caldera Derived Key"
_KEY_LENGTH: Final = 16
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Ephemeral:
    """Our half of one exchange: a, and A, which the server is told."""

    secret: int = field(repr=False)
    public: int

    @property
    def shown(self) -> str:
        """A as the server is told it: hexadecimal."""
        return f"{self.public:x}"


@dataclass(frozen=True, slots=True)
class Posed:
    """What the server has answered: the salt of the password, B, and a block that it wants signed."""

    salt: int
    public: int
    block: bytes = field(repr=False)


def begin(randomness: bytes) -> Ephemeral:
    """Begin an exchange with these bytes, `RANDOM_BYTES` of them, never used before."""
    secret = int.from_bytes(randomness, "big") % PRIME or 1
    return Ephemeral(secret, pow(GENERATOR, secret, PRIME))


def proof(own: Ephemeral, posed: Posed, *, pool: str, user: str, password: Secret, stamp: str) -> str:
    """Sign the block with the key that only who knows the password can have, in base64.

    `pool` is the pool's id without its region, `user` the name that the server calls the user by (USER_ID_FOR_SRP),
    `stamp` is by `timestamp`. Raises ValueError for numbers with which a server could cheat (RFC 5054 §2.5.3).
    """
    if not 0 < posed.public < PRIME or not 0 <= posed.salt < PRIME:
        raise ValueError("the server's numbers are out of bounds")
    mixed = _number(written(own.public) + written(posed.public))
    inner = hashlib.sha256(f"{pool}{user}:{password.reveal()}".encode()).digest()
    exponent = _number(written(posed.salt) + inner)
    base = posed.public - multiplier() * pow(GENERATOR, exponent, PRIME)
    shared = pow(base % PRIME, own.secret + mixed * exponent, PRIME)
    key = _derived(written(shared), written(mixed))
    statement = f"{pool}{user}".encode() + posed.block + stamp.encode()
    return base64.b64encode(hmac.digest(key, statement, "sha256")).decode()


def multiplier() -> int:
    """The constant k: a hash of the group."""
    return _number(written(PRIME) + written(GENERATOR))


def timestamp(now: datetime) -> str:
    """A moment as Cognito wants it in a proof: `Sat Sep 5 09:03:07 UTC 2026`, the day not padded, always English."""
    now = now.astimezone(UTC)
    return f"{_DAYS[now.weekday()]} {_MONTHS[now.month - 1]} {now.day} {now:%H:%M:%S} UTC {now.year}"


def written(number: int) -> bytes:
    """A number as Java's BigInteger writes it: the fewest bytes, with a zero in front of what would look negative."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _number(data: bytes) -> int:
    return int.from_bytes(hashlib.sha256(data).digest(), "big")


def _derived(material: bytes, salt: bytes) -> bytes:
    """HKDF (RFC 5869) for as much as one round gives."""
    drawn = hmac.digest(salt, material, "sha256")
    return hmac.digest(drawn, _INFO + b"\x01", "sha256")[:_KEY_LENGTH]
