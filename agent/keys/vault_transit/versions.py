"""What does Vault tell of a Transit key, and which of its versions can sign for us?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agent.errors import KeyUnavailable
from agent.keys import Kind
from agent.keys.halves import Public, fit
from agent.keys.vault_transit.server import not_understood

#: What Transit calls the kinds of key.
TYPES: Final[Mapping[Kind, str]] = {
    "rsa-2048": "rsa-2048",
    "rsa-3072": "rsa-3072",
    "rsa-4096": "rsa-4096",
    "ec-p256": "ecdsa-p256",
    "ec-p384": "ecdsa-p384",
    "ec-p521": "ecdsa-p521",
}


@dataclass(frozen=True, slots=True)
class TransitKey:
    """A key as Vault describes it (API documentation, transit/keys/:name).

    Attributes:
        origin: what errors call it.
        type: in Transit's words.
        latest: the newest version.
        available: the oldest version that has not been destroyed.
        decrypts: the oldest version that is held ready, and `encrypts` the oldest that may sign; Vault's words.
        public: version → public half in PEM, for those that Vault shows.
    """

    origin: str
    type: str
    latest: int
    available: int
    decrypts: int
    encrypts: int
    public: Mapping[int, str]

    @classmethod
    def read(cls, told: Mapping[str, object], origin: str) -> "TransitKey":
        """Take what is told of a key that can sign for us. Raises KeyUnavailable, for other kinds of key above all."""
        named = str(told.get("type"))
        if named not in TYPES.values() or told.get("derived") is True:
            raise KeyUnavailable(
                f"{origin} is a key of type {named}, which AWS STS does not take",
                hint="a Transit key has one type for ever: make another of type rsa-2048, or ecdsa-p256 and the like",
            )
        keys = told.get("keys")
        if not isinstance(keys, dict):
            raise not_understood("it does not list the versions of the key")
        return cls(
            origin=origin,
            type=named,
            latest=_number(told, "latest_version"),
            available=_number(told, "min_available_version"),
            decrypts=_number(told, "min_decryption_version"),
            encrypts=_number(told, "min_encryption_version"),
            public={
                int(version): str(facts.get("public_key"))
                for version, facts in keys.items()
                if version.isdecimal() and isinstance(facts, dict)
            },
        )

    @property
    def floor(self) -> int:
        """The oldest version that can sign."""
        return max(1, self.available, self.decrypts, self.encrypts)

    def half(self, version: int) -> Public:
        """The public half of a version that can sign. Raises KeyUnavailable."""
        if version > self.latest:
            raise KeyUnavailable(
                f"{self.origin} has no version {version}, the latest is {self.latest}",
                hint="somebody has made the key anew, or put back an old backup: sign with a version that is there",
            )
        if version < self.floor:
            raise KeyUnavailable(
                f"version {version} of {self.origin} has been destroyed, or is below the least version that may sign "
                f"({self.floor})",
                hint="if the version is there still, lower min_decryption_version and min_encryption_version: "
                "vault write transit/keys/KEY/config",
            )
        origin = f"version {version} of {self.origin}"
        try:
            return fit(load_pem_public_key(self.public.get(version, "").encode()), origin)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise not_understood(f"{origin} comes without a public half") from error


def _number(told: Mapping[str, object], name: str) -> int:
    number = told.get(name, 0)
    if not isinstance(number, int):
        raise not_understood(f"{name} is no number")
    return number
