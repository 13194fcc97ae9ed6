"""A sandbox in which every relying party believes one issuer, and somebody who shows them tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp

from agent.sandbox import PracticeIssuer, Sandbox, World
from agent.sandbox.trusting.world import (
    Application,
    FederatedCredential,
    HttpApi,
    JwtAuth,
    JwtRole,
    PoolProvider,
    RelyingParties,
    Route,
)
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, rsa_key, scene

SUBJECT = "host:web-1"
API = HttpApi(
    "a1b2c3", ISSUER, ("https://api.example.com",), (Route("$default"), Route("GET /orders", ("read", "write")))
)
APPLICATION = Application("tenant-1", "client-1", (FederatedCredential("web", ISSUER, SUBJECT),))
PROVIDER = PoolProvider("123456789", "hosts", "oidc", ISSUER, condition=f"assertion.sub == '{SUBJECT}'")
VAULT = JwtAuth(ISSUER, (JwtRole("web", ("vault",), SUBJECT, token_policies=("secrets",)),), bound_issuer=ISSUER)
PARTIES = RelyingParties((API,), (APPLICATION,), (PROVIDER,), (VAULT,))
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "audience": PROVIDER.name,
    "scope": "https://www.googleapis.com/auth/cloud-platform",
    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
    "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
}
CREDENTIALS = {
    "grant_type": "client_credentials",
    "client_id": "client-1",
    "scope": "https://graph.microsoft.com/.default",
    "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
}


@dataclass(frozen=True)
class Told:
    """An answer: `body` is its JSON."""

    status: int
    body: Any
    headers: Any

    @property
    def why(self) -> str:
        """What www-authenticate says is wrong."""
        return str(self.headers.get("www-authenticate", ""))


@dataclass
class Place:
    sandbox: Sandbox
    issuer: PracticeIssuer
    site: Path
    clock: FakeClock
    http: aiohttp.ClientSession

    def token(self, audience: str, **claims: object) -> str:
        """A good token, or one with some claims replaced, or (None) left out."""
        base = self.issuer.claims(self.clock.now() - timedelta(seconds=10))
        whole = {**base, "sub": SUBJECT, "aud": audience, **claims}
        return self.issuer.sign({name: value for name, value in whole.items() if value is not None})

    async def ask(self, method: str, path: str, **options: Any) -> Told:
        async with self.http.request(method, self.sandbox.endpoint_url + path, **options) as answer:
            return Told(answer.status, await answer.json(content_type=None), answer.headers)

    async def call(self, path: str = "/", token: str | None = None, method: str = "GET", **claims: object) -> Told:
        """Call the API with a token."""
        shown = self.token("https://api.example.com", **claims) if token is None else token
        headers = {"Authorization": f"Bearer {shown}"} if shown else {}
        return await self.ask(method, f"/apis/a1b2c3{path}", headers=headers)

    async def exchange(
        self, token: str | None = None, *, changed: dict[str, str] | None = None, **claims: object
    ) -> Told:
        """Exchange a token at Google's STS."""
        shown = self.token(f"https:{PROVIDER.name}", **claims) if token is None else token
        return await self.ask("POST", "/gcp/v1/token", data={**EXCHANGE, "subject_token": shown, **(changed or {})})

    async def assert_to_entra(
        self,
        token: str | None = None,
        *,
        changed: dict[str, str] | None = None,
        tenant: str = "tenant-1",
        **claims: object,
    ) -> Told:
        """Ask Entra ID for a token."""
        shown = self.token("api://AzureADTokenExchange", **claims) if token is None else token
        form = {**CREDENTIALS, "client_assertion": shown, **(changed or {})}
        return await self.ask("POST", f"/azure/{tenant}/oauth2/v2.0/token", data=form)

    async def log_in(self, token: str | None = None, role: str = "web", mount: str = "jwt", **claims: object) -> Told:
        """Log in to Vault."""
        shown = self.token("vault", **claims) if token is None else token
        return await self.ask("POST", f"/vault/v1/auth/{mount}/login", json={"role": role, "jwt": shown})

    def trust(self, **changed: Any) -> None:
        """Tell them something else from now on."""
        parties = replace(self.sandbox.world.relying_parties, **changed)
        self.sandbox.world = replace(self.sandbox.world, relying_parties=parties)

    async def rotate(self) -> None:
        """Sign with another key from now on, and show it beside the old one."""
        successor = PracticeIssuer(ISSUER, rsa_key(1), "next-key")
        successor.publish(self.site)
        self.issuer = successor


@asynccontextmanager
async def place(home: Path, *, issuer: PracticeIssuer | None = None, **options: Any) -> AsyncIterator[Place]:
    """A running sandbox, at the fake clock's own time."""
    world = World(relying_parties=options.pop("parties", PARTIES))
    async with scene(home, issuer=issuer, world=world, **options) as here:
        assert isinstance(here.clock, FakeClock)
        yield Place(here.sandbox, here.issuer, here.site, here.clock, here.http)
