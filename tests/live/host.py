"""One host, for real: a configuration in a folder, the agent as a process of its own, and a sandbox AWS."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from agent.assembly.keys import make_key
from agent.assembly.publishing import directory_publisher
from agent.assembly.rotation import publish_ring
from agent.cli.sandbox import world_of
from agent.sandbox import Sandbox, World
from agent.settings import Directory, Settings, load
from tests.fakes.ports import own_port

ISSUER = "https://oidc.example.com"
TOKEN = "a-token-of-the-tests-0123456789"
BUCKET = "test-bucket"
ALL_OF_S3 = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}],
}


@dataclass
class Host:
    """A folder with everything an agent needs; `endpoint` is where its STS is."""

    home: Path
    endpoint: str
    roles: Sequence[str] = ("backup",)
    public: tuple[str, Path] | None = None  # the proxy to our issuer as the world sees it, and whom to trust there
    rotation: str = ""
    key: str = ""  # what [key] and [publishing] say, if it is not files in `home`
    publishing: str = ""
    grants: str = ""  # what stands in place of the grant of all roles to whoever shows TOKEN
    listen: str = ""  # what [listen] says beside the two addresses
    more: str = ""  # whole tables besides
    sts: Mapping[str, str] = field(default_factory=dict)
    log: str = "debug"
    ports: list[int] = field(default_factory=lambda: [own_port(), own_port()])

    @property
    def config(self) -> Path:
        return self.home / "rolecall.toml"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    @property
    def admin(self) -> str:
        return f"http://127.0.0.1:{self.ports[1]}"

    async def furnish(self) -> Settings:
        """Write configuration, key, token and the issuer's documents."""
        (self.home / "keys").mkdir(mode=0o700)
        (self.home / "site").mkdir()
        token = self.home / "token"
        token.write_text(TOKEN)
        token.chmod(0o600)
        extra = "".join(f'{name} = "{value}"\n' for name, value in self.sts.items())
        roles = "".join(f'[roles.{role}]\narn = "arn:aws:iam::123456789012:role/{role}"\n' for role in self.roles)
        key = self.key or f'custodian = "pem"\ndirectory = "{self.home}/keys"'
        grants = self.grants or f'[[grants]]\nroles = {json.dumps(list(self.roles))}\ntoken_file = "{token}"'
        publishing = self.publishing or f'to = "directory"\ndirectory = "{self.home}/site"'
        seen = "" if self.public is None else f'proxy = "{self.public[0]}"\nca_bundle = "{self.public[1]}"\n'
        self.config.write_text(f"""
[issuer]
url = "{ISSUER}"
{seen}
[key]
{key}
[publishing]
{publishing}
[sts]
region = "eu-central-1"
endpoint_url = "{self.endpoint}"
{extra}
{roles}
{grants}
[listen]
credentials = "127.0.0.1:{self.ports[0]}"
admin = "127.0.0.1:{self.ports[1]}"
{self.listen}
{self.rotation}
{self.more}
[log]
level = "{self.log}"
format = "json"
""")
        settings = load(self.config, environ={}, host=socket.gethostname())
        if not self.key:
            await asyncio.to_thread(make_key, self.home / "keys", "ec-p256")
            if isinstance(settings.publishing, Directory):
                place = directory_publisher(settings.publishing.directory, ISSUER, settings.publishing.max_age)
                await publish_ring(settings, None, place)
        return settings

    def environment(self, role: str | None = None) -> dict[str, str]:
        """A clean environment; with a role, that of a program which has it."""
        clean = {"PATH": os.environ["PATH"], "HOME": str(self.home / "nobody"), "PYTHONPATH": str(Path.cwd())}
        if role is None:
            return clean
        return clean | {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self.url}/v1/credentials/{role}",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN": TOKEN,
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(self.home / "token"),
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "eu-central-1",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    async def rolecall(self, *words: str, **environ: str) -> tuple[int, str, str]:
        """Run one command to its end: exit code, stdout, stderr."""
        return await run_to_end([*ROLECALL, *words], self.environment() | environ)


ROLECALL = (sys.executable, "-W", "error", "-m", "agent")


async def run_to_end(words: Sequence[str], environ: Mapping[str, str]) -> tuple[int, str, str]:
    """Run a program: exit code, stdout, stderr."""
    process = await asyncio.create_subprocess_exec(
        *words, env=environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


class Agent:
    """A running `rolecall run`."""

    def __init__(self, host: Host, process: asyncio.subprocess.Process) -> None:
        self.host = host
        self.process = process
        self.lines: list[str] = []
        self._decided = asyncio.Event()  # whether it is ready or has ended

    async def read(self) -> None:
        """Gather what it logs."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(line.decode())
            if '"event": "ready"' in self.lines[-1]:
                self._decided.set()
        self._decided.set()

    async def ready(self) -> None:
        """Wait until it says that it is ready; what it has said instead is in the failure."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._decided.wait(), 40)
        assert self.events("ready"), "".join(self.lines)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The facts of one kind that it has logged."""
        found = [json.loads(line) for line in self.lines if line.startswith("{")]
        return [fact for fact in found if fact["event"] == name]

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await asyncio.wait_for(self.process.wait(), 40)


@asynccontextmanager
async def agent_on(host: Host, command: Sequence[str] = (), **environ: str) -> AsyncIterator[Agent]:
    """Run the agent while the context lasts; `command` if there is more to it than running it."""
    process = await asyncio.create_subprocess_exec(
        *(command or (*ROLECALL, "run", "-c", str(host.config))),
        env=host.environment() | environ,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    agent = Agent(host, process)
    reading = asyncio.ensure_future(agent.read())
    try:
        yield agent
    finally:
        await agent.stop()
        await reading


@asynccontextmanager
async def sandboxed(
    home: Path, roles: Sequence[str] = ("backup",), *, site: Path | str | None = None, **how: Any
) -> AsyncIterator[tuple[Host, Sandbox]]:
    """A furnished host and the AWS that trusts its issuer; `site` if that is not a directory in `home`."""
    world = World(account_id="123456789012", bucket=BUCKET, objects={"hello.txt": b"hello"})
    async with Sandbox(world, sites={ISSUER: site or home / "site"}, public=True) as sandbox:
        assert sandbox.ca_file is not None
        assert sandbox.proxy_url is not None
        host = Host(home, sandbox.endpoint_url, roles, (sandbox.proxy_url, sandbox.ca_file), **how)
        trusting = world_of(await host.furnish())
        roles_there = tuple(replace(role, policies=(ALL_OF_S3,)) for role in trusting.roles)
        sandbox.world = replace(world, providers=trusting.providers, roles=roles_there)
        yield host, sandbox


@asynccontextmanager
async def running_host(
    home: Path, roles: Sequence[str] = ("backup",), **how: Any
) -> AsyncIterator[tuple[Agent, Sandbox]]:
    """All of it, up and ready."""
    async with sandboxed(home, roles, **how) as (host, sandbox), agent_on(host) as agent:
        await agent.ready()
        yield agent, sandbox


async def fetch(
    host: Host, role: str = "backup", token: str | None = TOKEN
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Ask the credentials listener once: status, document, headers."""
    headers = {} if token is None else {"Authorization": token}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{host.url}/v1/credentials/{role}", headers=headers) as answer,
    ):
        return answer.status, await answer.json(), answer.headers
