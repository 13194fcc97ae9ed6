"""A signing key that signs at once, on the loop, so that tests with a fake clock stay in step; and keys to read."""

from functools import cache
from typing import Final, get_args

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from jwt.algorithms import ECAlgorithm

from agent.errors import KeyUnavailable
from agent.jose import thumbprint
from agent.keys import Kind, PublicKey
from agent.keys.pem import generate

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


@cache
def pem(kind: Kind) -> bytes:
    """A key of this kind, the same for a whole run of tests: RSA keys take their time to be found."""
    return generate(kind)


class MemoryKey:
    """ES256. `failure`, while set, is raised instead of signing; `signed` is what was signed."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        members = ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        jwk = {name: str(members[name]) for name in ("kty", "crv", "x", "y")}
        self._public = PublicKey(thumbprint(jwk), "ES256", jwk)
        self.signed: list[bytes] = []
        self.failure: KeyUnavailable | None = None

    @property
    def public(self) -> PublicKey:
        return self._public

    async def sign(self, message: bytes) -> bytes:
        return self.sign_now(message)

    def sign_now(self, message: bytes) -> bytes:
        if self.failure is not None:
            raise self.failure
        self.signed.append(message)
        r, s = decode_dss_signature(self._private.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")
