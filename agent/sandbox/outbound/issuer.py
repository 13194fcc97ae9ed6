"""Who signs the tokens that this AWS gives its callers for others?"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

#: The algorithms that a caller may choose, and what their keys are called here.
KIDS: Final[Mapping[str, str]] = {"RS256": "RSA_0", "ES384": "EC384_0"}


@dataclass
class AccountIssuer:
    """The keys of one account's issuer, one for each algorithm, made when they are wanted."""

    url: str

    @cached_property
    def _keys(self) -> Mapping[str, _PrivateKey]:
        return {"RS256": rsa.generate_private_key(65537, 2048), "ES384": ec.generate_private_key(ec.SECP384R1())}

    def sign(self, claims: Mapping[str, object], algorithm: str) -> str:
        """A token that says this."""
        header = {"kid": KIDS[algorithm], "typ": "JWT"}
        return jwt.encode(dict(claims), self._keys[algorithm], algorithm=algorithm, headers=header)

    def publish(self, directory: Path) -> None:
        """Write the documents that others verify by: as they are found below the issuer's URL."""
        place = directory / ".well-known"
        place.mkdir(parents=True, exist_ok=True)
        discovery = {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/.well-known/jwks.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [*KIDS],
            "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti"],
        }
        (place / "openid-configuration").write_text(json.dumps(discovery))
        (place / "jwks.json").write_text(json.dumps({"keys": [self._jwk(one) for one in KIDS]}))

    def _jwk(self, algorithm: str) -> dict[str, object]:
        shown = jwt.get_algorithm_by_name(algorithm).to_jwk(self._keys[algorithm].public_key(), as_dict=True)
        return {**shown, "kid": KIDS[algorithm], "use": "sig", "alg": algorithm}
