"""A fake Vault whose key has versions: made, rotated and destroyed as the API's documentation has it.

https://developer.hashicorp.com/vault/api-docs/secret/transit
"""

import base64
import threading
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agent.keys import Algorithm
from agent.keys.halves import raw_signature
from agent.keys.pem import generate
from agent.keys.vault_transit.versions import TYPES
from tests.fakes.vault import READ, SIGN, Asked, FakeVault, Told, refused

_KEY = "transit/keys/rolecall"
_KINDS = {name: kind for kind, name in TYPES.items()}
_ALGORITHMS: dict[str, Algorithm] = {"ecdsa-p256": "ES256", "ecdsa-p384": "ES384", "ecdsa-p521": "ES512"}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha2-256": hashes.SHA256(),
    "sha2-384": hashes.SHA384(),
    "sha2-512": hashes.SHA512(),
}


class Versions:
    """The key, which is not there at first."""

    def __init__(self) -> None:
        self._type = ""
        self._keys: dict[int, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {}
        self._floors = {"min_decryption_version": 1, "min_encryption_version": 0, "min_available_version": 0}
        self._one = threading.Lock()

    def create(self, asked: Asked) -> Told:
        with self._one:
            if not self._keys:
                self._type = asked.body["type"]
                self._add()
        return Told(200, self._told())

    def rotate(self, _: Asked) -> Told:
        with self._one:
            self._add()
            return Told(200, self._told())

    def read(self, _: Asked) -> Told:
        return Told(200, self._told()) if self._keys else refused(404)

    def configure(self, asked: Asked) -> Told:
        self._floors |= {name: number for name, number in asked.body.items() if name in self._floors}
        return Told(204)

    def trim(self, asked: Asked) -> Told:
        least = asked.body["min_available_version"]
        if least > min(self._floors["min_decryption_version"], self._floors["min_encryption_version"]):
            return refused(400, "the least version that is available is above one that is in use")
        self._floors["min_available_version"] = least
        self._keys = {version: key for version, key in self._keys.items() if version >= least}
        return Told(200, {})

    def sign(self, asked: Asked) -> Told:
        version = asked.body["key_version"]
        if version not in self._keys or version < self._floors["min_encryption_version"]:
            return refused(400, "cannot sign with this version of the key")
        signature = _signed(self._keys[version], asked.body, self._type)
        return Told(200, {"data": {"signature": f"vault:v{version}:{signature}", "key_version": version}})

    def _add(self) -> None:
        key = load_pem_private_key(generate(_KINDS[self._type]), None)
        assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
        self._keys[max(self._keys, default=0) + 1] = key

    def _told(self) -> dict[str, object]:
        shown = {
            str(version): {
                "public_key": key.public_key()
                .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
                .decode("ascii")
            }
            for version, key in self._keys.items()
            if version >= self._floors["min_decryption_version"]
        }
        told = {"type": self._type, "derived": False, "latest_version": max(self._keys), **self._floors}
        return {"data": {**told, "keys": shown}}


def _signed(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, body: dict[str, Any], kind: str) -> str:
    message = base64.b64decode(body["input"])
    if isinstance(key, rsa.RSAPrivateKey):
        assert body["signature_algorithm"] == "pkcs1v15"
        return base64.b64encode(key.sign(message, padding.PKCS1v15(), _HASHES[body["hash_algorithm"]])).decode()
    assert body["marshaling_algorithm"] == "jws"
    raw = raw_signature(key.sign(message, ec.ECDSA(_HASHES[body["hash_algorithm"]])), _ALGORITHMS[kind])
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def keep_versions(fake: FakeVault) -> None:
    """Let this fake have a key with versions, none of which is there yet."""
    versions = Versions()
    fake.instead |= {
        READ: versions.read,
        SIGN: versions.sign,
        f"POST {_KEY}": versions.create,
        f"POST {_KEY}/rotate": versions.rotate,
        f"POST {_KEY}/config": versions.configure,
        f"POST {_KEY}/trim": versions.trim,
    }
