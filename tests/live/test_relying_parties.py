"""From `init --relying-party` to a call that works: what is written is set up, and a token of ours is shown."""

import asyncio
import json
import socket
import tomllib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from agent.assembly.rotation import signing_key
from agent.cli import main
from agent.clock import SystemClock
from agent.relying_parties import PARTIES, Name
from agent.sandbox import Sandbox, World
from agent.sandbox.trusting.world import RelyingParties
from agent.settings import SelfSigned as SelfSignedWords
from agent.settings import Settings, load
from agent.tokens.self_signed import Identity, SelfSigned
from tests.live.told import CLIENT, NUMBER, TENANT, by_commands, by_terraform

pytestmark = pytest.mark.long

ISSUER = "https://oidc.example.com"
NAMES = get_args(Name)
TRAP = "host:a'b\"c$HOME`id`\\n%{if}${x} é"
FLAGS = [
    "--yes",
    "--issuer",
    ISSUER,
    "--region",
    "eu-central-1",
    "--role",
    "backup=arn:aws:iam::123456789012:role/backup",
]


@dataclass(frozen=True)
class Installed:
    """What init has written in a directory."""

    home: Path
    settings: Settings

    def file(self, party: Name, name: str) -> Path:
        return self.home / "relying-parties" / party / name

    def audience(self, party: Name) -> str:
        (grant,) = tomllib.loads(self.file(party, "grant.toml").read_text())["grants"]
        (audience,) = grant["audiences"]
        return str(audience)

    async def token(self, audience: str, **changed: Any) -> str:
        """A token of our own, for somebody else."""
        words = self.settings.identity
        assert isinstance(words, SelfSignedWords)
        identity = replace(Identity(ISSUER, words.subject, audience, timedelta(minutes=10)), **changed)
        async with signing_key(self.settings, None, SystemClock()) as key:
            source = SelfSigned(lambda: key, identity, SystemClock(), token_id=lambda: "1", report=lambda _: None)
            return (await source.token()).value.reveal()


async def installed(home: Path, *words: str) -> Installed:
    parties = [word for name in NAMES for word in ("--relying-party", name)]
    assert await asyncio.to_thread(main, ["init", "--directory", str(home), *FLAGS, *(words or parties)]) == 0
    return Installed(home, load(home / "rolecall.toml", environ={}, host=socket.gethostname()))


@asynccontextmanager
async def believing(parties: RelyingParties, site: Path) -> AsyncIterator[tuple[Sandbox, aiohttp.ClientSession]]:
    world = World(relying_parties=parties)
    async with Sandbox(world, sites={ISSUER: site}) as sandbox, aiohttp.ClientSession() as http:
        yield sandbox, http


async def shown(party: Name, token: str, sandbox: Sandbox, http: aiohttp.ClientSession) -> tuple[int, dict[str, Any]]:
    """Show a token as the clients of that party do; the answer."""
    parties, base = sandbox.world.relying_parties, sandbox.endpoint_url
    match party:
        case "apigateway":
            asking = http.get(f"{base}/apis/{parties.apis[0].api_id}/", headers={"Authorization": f"Bearer {token}"})
        case "azure":
            form = {
                "grant_type": "client_credentials",
                "client_id": CLIENT,
                "scope": "https://graph.microsoft.com/.default",
                "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                "client_assertion": token,
            }
            asking = http.post(f"{base}/azure/{TENANT}/oauth2/v2.0/token", data=form)
        case "gcp":
            form = {
                "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
                "audience": parties.providers[0].name,
                "scope": "https://www.googleapis.com/auth/cloud-platform",
                "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "subject_token": token,
            }
            asking = http.post(f"{base}/gcp/v1/token", data=form)
        case _:
            (role,) = parties.vault[0].roles
            asking = http.post(f"{base}/vault/v1/auth/jwt/login", json={"role": role.name, "jwt": token})
    async with asking as answer:
        return answer.status, json.loads(await answer.read())


@pytest.mark.parametrize("subject", ["host:web-1", TRAP])
@pytest.mark.parametrize("party", NAMES)
async def test_what_is_written_is_all_it_takes(party: Name, subject: str, tmp_path: Path) -> None:
    here = await installed(tmp_path / "rolecall", "--relying-party", party, "--subject", subject.replace("$", "$$"))
    assert isinstance(here.settings.identity, SelfSignedWords)
    assert here.settings.identity.subject == subject
    told = by_commands(party, here.file(party, "commands.sh"), tmp_path)
    assert by_terraform(party, here.file(party, "main.tf").read_text()) == told
    audience = here.audience(party)
    async with believing(told, here.home / "site") as (sandbox, http):
        status, answer = await shown(party, await here.token(audience), sandbox, http)
        assert status == 200, answer
        assert (await shown(party, await here.token("somebody-else"), sandbox, http))[0] in (400, 401)
        if party != "apigateway":  # which does not look at it
            other = await here.token(audience, subject="host:other")
            assert (await shown(party, other, sandbox, http))[0] in (400, 401)


async def test_the_name_of_a_provider_may_be_the_audience(tmp_path: Path) -> None:
    name = f"//iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools/hosts/providers/oidc"
    here = await installed(tmp_path / "rolecall", "--relying-party", f"gcp={name}")
    told = by_commands("gcp", here.file("gcp", "commands.sh"), tmp_path)
    assert by_terraform("gcp", here.file("gcp", "main.tf").read_text()) == told
    assert told.providers[0].name == name
    async with believing(told, here.home / "site") as (sandbox, http):
        assert (await shown("gcp", await here.token(name), sandbox, http))[0] == 200


async def test_no_party_takes_the_token_of_another(tmp_path: Path) -> None:
    here = await installed(tmp_path / "rolecall")
    for party in NAMES:
        told = by_commands(party, here.file(party, "commands.sh"), tmp_path)
        async with believing(told, here.home / "site") as (sandbox, http):
            taken = {
                other
                for other in NAMES
                if (await shown(party, await here.token(PARTIES[other].audience), sandbox, http))[0] == 200
            }
        assert taken == {party}
