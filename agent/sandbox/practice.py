"""Who signs tokens for those who have no issuer of their own?

A practice issuer: a key, the documents that show it, and tokens. It is no part of the judgement, and the agent's own
issuing is no part of it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.sandbox.centers import Account, IdentityCenter, PermissionSet, User
from agent.sandbox.world import Provider, Role, World

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

DEFAULT_ISSUER: Final = "https://oidc.example.com"
DEFAULT_ROLE: Final = "arn:aws:iam::123456789012:role/demo"
_CURVES: Final = {256: "ES256", 384: "ES384", 521: "ES512"}


@dataclass(frozen=True, slots=True)
class PracticeIssuer:
    """An issuer with one key.

    Attributes:
        url: its name.
        key: RSA, which signs with RS256, or EC on P-256, P-384 or P-521, which signs with the algorithm of its size.
        kid: what tokens and JWKS call the key.
    """

    url: str = DEFAULT_ISSUER
    key: PrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048), repr=False)
    kid: str = "practice-key"

    @property
    def algorithm(self) -> str:
        """The JWS algorithm it signs with."""
        return "RS256" if isinstance(self.key, rsa.RSAPrivateKey) else _CURVES[self.key.curve.key_size]

    @property
    def jwk(self) -> dict[str, object]:
        """The public key as its JWKS shows it."""
        shown = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        return {**shown, "kid": self.kid, "use": "sig", "alg": self.algorithm}

    @property
    def discovery(self) -> dict[str, object]:
        """The discovery document, with the members that AWS needs."""
        return {
            "issuer": self.url,
            "jwks_uri": self.url.rstrip("/") + "/keys.json",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm],
        }

    def publish(self, directory: Path) -> None:
        """Write both documents into a directory that a sandbox is to serve."""
        (directory / ".well-known").mkdir(parents=True, exist_ok=True)
        (directory / ".well-known" / "openid-configuration").write_text(json.dumps(self.discovery))
        (directory / "keys.json").write_text(json.dumps({"keys": [self.jwk]}))

    def claims(self, now: datetime, lifetime: timedelta = timedelta(minutes=5)) -> dict[str, object]:
        """The claims of a token that a provider of this issuer believes."""
        seconds = int(now.timestamp())
        return {
            "iss": self.url,
            "sub": "host:practice",
            "aud": "sts.amazonaws.com",
            "iat": seconds,
            "nbf": seconds,
            "exp": seconds + int(lifetime.total_seconds()),
        }

    def sign(self, claims: Mapping[str, object], **header: object) -> str:
        """Sign these claims, right or wrong; `header` adds to the header or replaces what is in it."""
        payload = json.dumps(dict(claims), separators=(",", ":")).encode()
        return jwt.PyJWS().encode(payload, self.key, self.algorithm, headers={"kid": self.kid, **header})


def practice_world(issuer: str = DEFAULT_ISSUER, role_arn: str = DEFAULT_ROLE, bucket: str = "demo-bucket") -> World:
    """An account with one role, which trusts every subject of the issuer and may do everything in the bucket."""
    provider = Provider(issuer)
    account = role_arn.split(":")[4]
    world = World(account_id=account, partition=role_arn.split(":")[1], providers=(provider,), bucket=bucket)
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Federated": world.provider_arn(provider)},
                "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity"],
                "Condition": {"StringEquals": {f"{provider.host_and_path}:aud": "sts.amazonaws.com"}},
            }
        ],
    }
    return World(
        account_id=account,
        partition=world.partition,
        providers=(provider,),
        roles=(Role(role_arn, trust, timedelta(hours=12), (use_of_bucket(world),)),),
        bucket=bucket,
        objects={"hello.txt": b"Hello from the sandbox.\n"},
        identity_center=practice_identity_center(world),
    )


def practice_identity_center(world: World) -> IdentityCenter:
    """Two users: ada has two permission sets in the world's account and one in another, and brook has nothing."""
    elsewhere = "210987654321" if world.account_id != "210987654321" else "123456789012"
    reading = {"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}
    return IdentityCenter(
        accounts=(Account(world.account_id, "Practice"), Account(elsewhere, "Elsewhere")),
        permission_sets=(
            PermissionSet("Developer", timedelta(hours=12), (use_of_bucket(world),)),
            PermissionSet("ReadOnly", policies=({"Version": "2012-10-17", "Statement": [reading]},)),
        ),
        users=(
            User("ada", {world.account_id: ("Developer", "ReadOnly"), elsewhere: ("ReadOnly",)}),
            User("brook"),
        ),
    )


def use_of_bucket(world: World) -> dict[str, object]:
    """A policy that allows everything in the world's bucket, and to see that it is there."""
    arn = f"arn:{world.partition}:s3:::{world.bucket}"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "s3:*", "Resource": [arn, f"{arn}/*"]},
            {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"},
        ],
    }
