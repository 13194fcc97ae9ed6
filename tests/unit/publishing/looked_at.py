"""An issuer's site, seen through the sandbox's proxy, with real certificates."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa

from agent.clock import Clock, SystemClock
from agent.publishing import Jwk
from agent.publishing.discovery import documents
from agent.publishing.judgement import Verdict, judge
from agent.publishing.world import PublicSite
from agent.sandbox import PracticeIssuer, Sandbox, practice_world

ISSUER = "https://oidc.example.com"


@cache
def signer(kid: str) -> PracticeIssuer:
    key = ec.generate_private_key(ec.SECP256R1()) if kid == "elliptic" else rsa.generate_private_key(65537, 2048)
    return PracticeIssuer(ISSUER, key, kid)


def ours(*kids: str) -> dict[str, Jwk]:
    return {kid: signer(kid).jwk for kid in kids or ("old", "elliptic")}


def write(directory: Path, keys: Sequence[Jwk], issuer: str = ISSUER) -> None:
    for document in documents(issuer, keys, max_age=timedelta(minutes=5)):
        path = directory / document.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(document.body)


@dataclass
class Seen:
    sandbox: Sandbox
    site: PublicSite
    directory: Path

    async def verdicts(self, expected: Mapping[str, Jwk] | None = None, announced: Sequence[str] = ()) -> list[Verdict]:
        return [*judge(await self.site.inspect(), ours() if expected is None else expected, announced)]

    async def complaints(self, expected: Mapping[str, Jwk] | None = None) -> list[tuple[str, str]]:
        return [(one.level, one.what) for one in await self.verdicts(expected) if one.level != "good"]


@asynccontextmanager
async def looked_at(
    home: Path, *, issuer: str = ISSUER, clock: Clock | None = None, **options: Any
) -> AsyncIterator[Seen]:
    directory = home / "site"
    write(directory, [*ours().values()], issuer)
    clock = clock or SystemClock()
    async with Sandbox(practice_world(issuer), sites={issuer: directory}, public=True, clock=clock) as sandbox:
        about = {"ca_bundle": sandbox.ca_file, "proxy": sandbox.proxy_url, "clock": clock, **options}
        yield Seen(sandbox, PublicSite(issuer, **about), directory)
