"""RSA keys to sign with, found once in a run of tests: each takes its time."""

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from jwt.algorithms import RSAAlgorithm

from agent.jose import thumbprint
from agent.keys import PublicKey

_FOUND: list[rsa.RSAPrivateKey] = []


class RsaKey:
    """RS256, signing on the loop. The same number is the same key, all through a run."""

    def __init__(self, number: int) -> None:
        while len(_FOUND) <= number:
            _FOUND.append(rsa.generate_private_key(65537, 2048))
        self._private = _FOUND[number]
        members = RSAAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        jwk = {name: str(members[name]) for name in ("kty", "n", "e")}
        self._public = PublicKey(thumbprint(jwk), "RS256", jwk)

    @property
    def public(self) -> PublicKey:
        return self._public

    async def sign(self, message: bytes) -> bytes:
        return self._private.sign(message, padding.PKCS1v15(), hashes.SHA256())
