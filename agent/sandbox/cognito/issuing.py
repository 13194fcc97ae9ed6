"""What do the tokens of a user pool say, and who signs them?

Two keys a pool, as Cognito has: one signs id tokens, the other access tokens; both are shown.
"""

import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from agent.sandbox.pools import AppClient, User, UserPool

_SCOPE: Final = "aws.cognito.signin.user.admin"


@dataclass(frozen=True, slots=True)
class PoolKey:
    """A key, and what it is called."""

    kid: str
    key: rsa.RSAPrivateKey = field(repr=False)

    @property
    def jwk(self) -> dict[str, object]:
        """The public half, as a JWKS shows it."""
        shown = jwt.get_algorithm_by_name("RS256").to_jwk(self.key.public_key(), as_dict=True)
        return {**{name: shown[name] for name in ("kty", "n", "e")}, "alg": "RS256", "kid": self.kid, "use": "sig"}

    def sign(self, claims: Mapping[str, object]) -> str:
        """A token that says this."""
        payload = json.dumps(dict(claims), separators=(",", ":")).encode()
        return jwt.PyJWS().encode(payload, self.key, "RS256", headers={"kid": self.kid, "typ": None})


@dataclass(frozen=True, slots=True)
class PoolKeys:
    """The two keys of a pool."""

    of_id_tokens: PoolKey
    of_access_tokens: PoolKey

    @property
    def jwks(self) -> dict[str, object]:
        """Both, as the world reads them."""
        return {"keys": [self.of_id_tokens.jwk, self.of_access_tokens.jwk]}


def new_keys(rng: random.Random) -> PoolKeys:
    """Make the keys of a pool; their names are drawn from `rng`, they are not."""
    made = [PoolKey(_key_id(rng), rsa.generate_private_key(65537, 2048)) for _ in range(2)]
    return PoolKeys(made[0], made[1])


def discovery(pool: UserPool) -> dict[str, object]:
    """The discovery document of a pool, by its real name."""
    return {
        "authorization_endpoint": f"https://{pool.name.lower()}.auth.{pool.region}.amazoncognito.com/oauth2/authorize",
        "id_token_signing_alg_values_supported": ["RS256"],
        "issuer": pool.issuer,
        "jwks_uri": f"{pool.issuer}/.well-known/jwks.json",
        "response_types_supported": ["code", "token"],
        "scopes_supported": ["openid", "email", "phone", "profile"],
        "subject_types_supported": ["public"],
        "token_endpoint": f"https://{pool.name.lower()}.auth.{pool.region}.amazoncognito.com/oauth2/token",
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
    }


def publish(pool: UserPool, keys: PoolKeys, directory: Path) -> None:
    """Write what the world reads of a pool into a directory that is to be served as its issuer's site."""
    shown = directory / ".well-known"
    shown.mkdir(parents=True, exist_ok=True)
    (shown / "openid-configuration").write_text(json.dumps(discovery(pool)))
    (shown / "jwks.json").write_text(json.dumps(keys.jwks))


@dataclass(frozen=True, slots=True)
class Origin:
    """A sign-in, from which tokens come: when it was, and the id that all of them carry."""

    signed_in_at: datetime
    origin_id: str


def id_token(
    keys: PoolKeys, pool: UserPool, client: AppClient, user: User, origin: Origin, *, now: datetime, rng: random.Random
) -> str:
    """The token that says who somebody is."""
    attributes: dict[str, object] = dict(user.attributes)
    for name in ("email_verified", "phone_number_verified"):
        if name in attributes:
            attributes[name] = attributes[name] == "true"
    claims = {
        **attributes,
        **_claims(pool, client, user, origin, now, rng),
        "aud": client.client_id,
        "cognito:username": user.name,
        "token_use": "id",
    }
    return keys.of_id_tokens.sign(claims)


def access_token(
    keys: PoolKeys, pool: UserPool, client: AppClient, user: User, origin: Origin, *, now: datetime, rng: random.Random
) -> str:
    """The token that lets somebody do something at Cognito itself: it has a client_id, and no audience."""
    claims = {
        **_claims(pool, client, user, origin, now, rng),
        "client_id": client.client_id,
        "scope": _SCOPE,
        "username": user.name,
        "token_use": "access",
    }
    return keys.of_access_tokens.sign(claims)


def identity_token(
    key: PoolKey, pool_id: str, identity_id: str, amr: list[str], now: datetime, lifetime: timedelta
) -> str:
    """The token of an identity pool, for AssumeRoleWithWebIdentity."""
    seconds = int(now.timestamp())
    return key.sign(
        {
            "sub": identity_id,
            "aud": pool_id,
            "amr": amr,
            "iss": "https://cognito-identity.amazonaws.com",
            "iat": seconds,
            "exp": seconds + int(lifetime.total_seconds()),
        }
    )


def new_id(rng: random.Random) -> str:
    """An id as jti and the like have it."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _claims(
    pool: UserPool, client: AppClient, user: User, origin: Origin, now: datetime, rng: random.Random
) -> dict[str, object]:
    seconds = int(now.timestamp())
    groups: dict[str, object] = {"cognito:groups": list(user.groups)} if user.groups else {}
    return {
        "sub": user.subject,
        **groups,
        "iss": pool.issuer,
        "origin_jti": origin.origin_id,
        "event_id": new_id(rng),
        "auth_time": int(origin.signed_in_at.timestamp()),
        "exp": seconds + int(client.token_lifetime.total_seconds()),
        "iat": seconds,
        "jti": new_id(rng),
    }


def _key_id(rng: random.Random) -> str:
    """43 characters and an equals sign, as Cognito's have."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return "".join(rng.choices(letters, k=43)) + "="
