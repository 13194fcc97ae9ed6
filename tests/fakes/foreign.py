"""Issuers that are not ours: their keys, the tokens they make, and the web on which their keys are. PyJWT signs."""

import asyncio
import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from agent.errors import IssuerUnreadable
from agent.keys import Kind
from agent.verification.published import Fetched
from tests.fakes.clock import START
from tests.fakes.memory_key import pem

ISSUER: Final = "https://login.example.com/pool"
DISCOVERY: Final = f"{ISSUER}/.well-known/openid-configuration"
JWKS: Final = f"{ISSUER}/.well-known/jwks.json"
AUDIENCE: Final = "https://api.example.com"
NOW: Final = int(START.timestamp())

_KINDS: Final[Mapping[str, Kind]] = {
    "RS": "rsa-2048", "PS": "rsa-2048", "ES256": "ec-p256", "ES384": "ec-p384", "ES512": "ec-p521",
}  # fmt: skip


def kind_for(algorithm: str) -> Kind:
    """The kind of key that signs so."""
    return _KINDS.get(algorithm) or _KINDS[algorithm[:2]]


@cache
def private(kind: Kind = "rsa-2048") -> Any:
    return load_pem_private_key(pem(kind), password=None)


def public_pem(kind: Kind = "rsa-2048") -> bytes:
    made: bytes = private(kind).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made


def a_jwk(kid: str = "one", algorithm: str = "RS256", /, **changes: object) -> dict[str, object]:
    """The public half as issuers show it; a change to None leaves a member out."""
    name = kind_for(algorithm)
    maker = jwt.get_algorithm_by_name(algorithm)
    shown = {**maker.to_jwk(private(name).public_key(), as_dict=True), "kid": kid, "use": "sig", "alg": algorithm}
    shown.pop("key_ops", None)
    return {member: value for member, value in {**shown, **changes}.items() if value is not None}


def claims(**changes: object) -> dict[str, Any]:
    """What a good token says at the start of a fake clock; a change to None leaves a claim out."""
    usual: dict[str, object] = {
        "iss": ISSUER, "sub": "alice", "aud": AUDIENCE, "iat": NOW - 10, "exp": NOW + 600, "scope": "read write",
    }  # fmt: skip
    return {name: value for name, value in {**usual, **changes}.items() if value is not None}


def a_token(
    said: Mapping[str, Any] | None = None, *, algorithm: str = "RS256", kid: str | None = "one", **header: object
) -> bytes:
    """A token that PyJWT has signed."""
    more = {**({} if kid is None else {"kid": kid}), **header}
    body = dict(claims() if said is None else said)
    return jwt.encode(body, private(kind_for(algorithm)), algorithm=algorithm, headers=more).encode()


def b64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def forged(header: Mapping[str, object] | bytes, body: Mapping[str, object] | bytes, *, sign: bool = True) -> bytes:
    """Whatever is written, as it is written; signed truly with RS256 all the same, unless it is not to be."""
    written = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in (header, body)]
    signed = b".".join(b64(one) for one in written)
    signature = jwt.get_algorithm_by_name("RS256").sign(signed, private()) if sign else b""
    return signed + b"." + b64(signature)


class FakeWeb:
    """Documents by address; an exception there is raised. Counts what was asked for."""

    def __init__(self, *jwks: Mapping[str, object], cache_control: str = "", age: int = 0) -> None:
        self.cache_control = cache_control
        self.age = age
        self.asked: list[str] = []
        self.gate: asyncio.Event | None = None  # while it is there and not set, nobody gets an answer
        self.documents: dict[str, object] = {DISCOVERY: {"issuer": ISSUER, "jwks_uri": JWKS}}
        self.show(*jwks or (a_jwk(),))

    def show(self, *jwks: Mapping[str, object]) -> None:
        self.documents[JWKS] = {"keys": [*jwks]}

    def fail(self, error: Exception | None = None) -> None:
        self.documents[JWKS] = error or IssuerUnreadable("the site is away", hint="wait")

    async def get(self, url: str, longest: int) -> Fetched:
        assert longest < 512 * 1024
        self.asked.append(url)
        if self.gate is not None:
            await self.gate.wait()
        found = self.documents.get(url, IssuerUnreadable(f"{url} answers 404"))
        if isinstance(found, Exception):
            raise found
        body = found if isinstance(found, bytes) else json.dumps(found).encode()
        return Fetched(body, self.cache_control, self.age)

    @property
    def readings(self) -> int:
        """How often the key set was asked for."""
        return self.asked.count(JWKS)
