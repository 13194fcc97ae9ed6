"""A sandbox, an issuer it trusts, and somebody who asks it things over a real socket."""

import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from yarl import URL

from agent.clock import Clock
from agent.sandbox import PracticeIssuer, Provider, Role, Sandbox, World, practice_world
from tests.fakes.clock import FakeClock

ISSUER = "https://oidc.example.com"
ROLE = "arn:aws:iam::123456789012:role/demo"
PROVIDER = "arn:aws:iam::123456789012:oidc-provider/oidc.example.com"
STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"


@cache
def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """A key; each number its own."""
    del number
    return rsa.generate_private_key(65537, 2048)


@cache
def ec_key(bits: int) -> ec.EllipticCurvePrivateKey:
    curves: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}
    return ec.generate_private_key(curves[bits])


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def root(self) -> ET.Element:
        return ET.fromstring(self.body)

    def text(self, name: str) -> str:
        found = self.root.find(f".//{STS}{name}")
        assert found is not None, self.body
        return found.text or ""

    @property
    def refusal(self) -> tuple[int, str, str]:
        return self.status, self.text("Code"), self.text("Message")


@dataclass
class Scene:
    sandbox: Sandbox
    issuer: PracticeIssuer
    site: Path
    clock: Clock
    http: aiohttp.ClientSession

    def token(self, **claims: object) -> str:
        """A good token, or one with some claims replaced, or (None) left out."""
        whole = {**self.issuer.claims(self.clock.now()), **claims}
        return self.issuer.sign({name: value for name, value in whole.items() if value is not None})

    def parameters(self, token: str | None = None, **changed: str | None) -> dict[str, str]:
        whole: dict[str, str | None] = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": ROLE,
            "RoleSessionName": "tester",
            "WebIdentityToken": self.token() if token is None else token,
            **changed,
        }
        return {name: value for name, value in whole.items() if value is not None}

    async def assume(
        self, token: str | None = None, headers: Mapping[str, str] | None = None, **changed: str | None
    ) -> Answer:
        return await self.post(self.parameters(token, **changed), headers)

    async def post(self, form: Mapping[str, str], headers: Mapping[str, str] | None = None) -> Answer:
        async with self.http.post(self.sandbox.endpoint_url, data=form, headers=headers) as answer:
            return Answer(answer.status, answer.headers, await answer.read())

    async def get(self, url: str | URL, **options: Any) -> Answer:
        async with self.http.get(url, **options) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def scene(home: Path, *, issuer: PracticeIssuer | None = None, **options: Any) -> AsyncIterator[Scene]:
    """A running sandbox with the practice world, at the fake clock's own time unless another clock is given."""
    issuer = issuer or PracticeIssuer(ISSUER, rsa_key())
    site = home / "site"
    issuer.publish(site)
    options = {"clock": FakeClock(), "sites": {issuer.url: site}, "rng": Random(7), **options}
    world = options.pop("world", practice_world(issuer.url))
    async with Sandbox(world, **options) as sandbox, aiohttp.ClientSession() as http:
        yield Scene(sandbox, issuer, site, options["clock"], http)


def trust(*statements: Mapping[str, object]) -> dict[str, object]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(condition: Mapping[str, object] | None = None, **changed: object) -> dict[str, object]:
    """A statement of a trust policy that lets our tokens in."""
    whole = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": condition or {},
        **changed,
    }
    return {name: value for name, value in whole.items() if value is not None}


def trusting(*statements: Mapping[str, object], **role: Any) -> World:
    """The practice world, its role with this trust policy."""
    world = practice_world(ISSUER)
    whole = {"max_session": world.roles[0].max_session, "policies": world.roles[0].policies, **role}
    return replace(world, roles=(Role(ROLE, trust(*statements), **whole),))


def provided(**provider: Any) -> World:
    """The practice world with another provider."""
    return replace(practice_world(ISSUER), providers=(Provider(**{"url": ISSUER, **provider}),))
