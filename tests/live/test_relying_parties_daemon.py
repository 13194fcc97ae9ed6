"""A running agent gives tokens to a caller it knows, and all who are to take them do: over HTTP, and by gcloud."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from agent.relying_parties import PARTIES, Name
from agent.sandbox import Sandbox, World
from agent.sandbox.trusting.world import RelyingParties
from tests.fakes.ports import own_port
from tests.live.host import run_to_end
from tests.live.test_relying_parties import ISSUER, Installed, installed, shown
from tests.live.told import by_commands

pytestmark = pytest.mark.long

NAMES = get_args(Name)
GCLOUD = shutil.which("gcloud")


def believed(here: Installed, home: Path) -> RelyingParties:
    """All four, told by the commands that were written."""
    parties = RelyingParties()
    for name in NAMES:
        told = by_commands(name, here.file(name, "commands.sh"), home)
        kinds = ("apis", "applications", "providers", "vault")
        parties = replace(parties, **{kind: value for kind in kinds if (value := getattr(told, kind))})
    return parties


@asynccontextmanager
async def agent_of(here: Installed, endpoint: str) -> AsyncIterator[str]:
    """An agent that lets the user of these tests have all four; where it listens."""
    ports = own_port(), own_port()
    text = (here.home / "rolecall.toml").read_text().partition("[listen]")[0]
    text = text.replace("[sts]\n", f'[sts]\nendpoint_url = "{endpoint}"\n')
    for name in NAMES:
        text += here.file(name, "grant.toml").read_text().replace('unit = "backup.service"', f'user = "{os.getuid()}"')
    text += f'[listen]\ncredentials = "127.0.0.1:{ports[0]}"\nadmin = "127.0.0.1:{ports[1]}"\n'
    (here.home / "rolecall.toml").write_text(text)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "agent", "run", "-c", str(here.home / "rolecall.toml"), env=environment,
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        await process.wait()


async def token(url: str, audience: str, http: aiohttp.ClientSession) -> str:
    """A token of the agent's, as soon as it listens."""
    for _ in range(300):
        try:
            async with http.get(f"{url}/v1/token", params={"aud": audience}) as answer:
                assert answer.status == 200, await answer.text()
                return str((await answer.json())["token"])
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.1)
    raise AssertionError("the agent does not listen")


@pytest.mark.timeout(180)
async def test_what_the_agent_gives_is_taken_by_all_four(tmp_path: Path) -> None:
    here = await installed(tmp_path / "rolecall")
    world = World(relying_parties=believed(here, tmp_path))
    async with (
        Sandbox(world, sites={ISSUER: here.home / "site"}) as sandbox,
        aiohttp.ClientSession() as http,
        agent_of(here, sandbox.endpoint_url) as url,
    ):
        for name in NAMES:
            status, answer = await shown(name, await token(url, PARTIES[name].audience, http), sandbox, http)
            assert status == 200, (name, answer)
        async with http.get(f"{url}/v1/token", params={"aud": "https://somebody.example.com"}) as answer_:
            assert answer_.status == 403
        if GCLOUD is not None:
            await sign_in(GCLOUD, url, sandbox, tmp_path)


async def sign_in(gcloud: str, url: str, sandbox: Sandbox, home: Path) -> None:
    """Have gcloud make its configuration as docs/relying-parties.md says, and sign in by it."""
    provider = sandbox.world.relying_parties.providers[0].name
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "CLOUDSDK_CONFIG": str(home / "gcloud")}
    words = [
        "iam", "workload-identity-pools", "create-cred-config", provider.removeprefix("//iam.googleapis.com/"),
        f"--credential-source-url={url}/v1/token?aud=gcp",
        "--credential-source-type=json", "--credential-source-field-name=token",
        f"--output-file={home}/google.json",
    ]  # fmt: skip
    code, _, errors = await run_to_end([gcloud, *words], environment)
    assert code == 0, errors
    text = (home / "google.json").read_text().replace("https://sts.googleapis.com", f"{sandbox.endpoint_url}/gcp")
    written: dict[str, Any] = json.loads(text)
    assert written["credential_source"]["format"] == {"type": "json", "subject_token_field_name": "token"}
    (home / "google.json").write_text(text)
    code, _, errors = await run_to_end([gcloud, "auth", "login", f"--cred-file={home}/google.json", "-q"], environment)
    assert code == 0, errors
    assert f"[principal:{provider.partition('/providers/')[0]}/subject/" in errors
