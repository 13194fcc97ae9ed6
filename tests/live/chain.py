"""A chain that works, from a key to an agent that serves, all of it in this process; to be broken in one place."""

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from agent.assembly.daemon import assemble
from agent.assembly.publishing import directory_publisher
from agent.assembly.rotation import publish_ring, signing_key
from agent.assembly.tokens import mint
from agent.cli.doctor import diagnosed
from agent.cli.sandbox import world_of
from agent.cli.terminal import Progress
from agent.clients.systemd import ServiceManager
from agent.clock import SystemClock
from agent.doctor.diagnosis import Diagnosis
from agent.sandbox import Role, Sandbox, World
from agent.sandbox.faults import Fault
from agent.service import run
from agent.settings import Settings, load
from tests.live.host import ISSUER, Host

SILENT = logging.getLogger("tests.live.chain")
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


@dataclass
class Chain:
    """What there is to break."""

    host: Host
    sandbox: Sandbox
    held: ExitStack
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        return self.host.home

    @property
    def settings(self) -> Settings:
        return load(self.host.config, environ={}, host=socket.gethostname())

    @property
    def pem(self) -> Path:
        (pem,) = (self.home / "keys").glob("*.pem")
        return pem

    @property
    def kid(self) -> str:
        return self.pem.stem

    def write(self, *changes: tuple[str, str]) -> None:
        """Change the configuration: each first word for its second."""
        text = self.host.config.read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        self.host.config.write_text(text)

    def fault(self, **what: Any) -> None:
        self.sandbox.faults.add(Fault(**what))

    def site(self, name: str, **what: Any) -> None:
        """Have the issuer's public site be wrong."""
        self.fault(kind="site", site=name, **what)

    def role(self, **changes: Any) -> None:
        """Have every role of the account be another."""
        world: World = self.sandbox.world
        self.sandbox.world = replace(world, roles=tuple(replace(role, **changes) for role in world.roles))

    def policy(self, change: Mapping[str, Any]) -> None:
        """Have the statement of every trust policy say this."""
        world = self.sandbox.world
        self.sandbox.world = replace(world, roles=tuple(_trusting(role, change) for role in world.roles))

    def provider(self, **changes: Any) -> None:
        world = self.sandbox.world
        self.sandbox.world = replace(world, providers=tuple(replace(one, **changes) for one in world.providers))

    def condition(self, name: str, value: str) -> None:
        """Have every trust policy demand this, too."""
        for role in self.sandbox.world.roles:
            document: dict[str, Any] = dict(role.trust_policy)
            (statement,) = document["Statement"]
            equal = {**statement["Condition"]["StringEquals"], name: value}
            self.policy({"Condition": {**statement["Condition"], "StringEquals": equal}})

    async def publish(self) -> None:
        """Publish the keys as they stand."""
        place = directory_publisher(self.home / "site", self.settings.issuer.url, timedelta(minutes=5))  # type: ignore[union-attr]  # it has one
        await publish_ring(self.settings, None, place)

    async def take_token_from_file(self) -> Path:
        """Have the token come from a file, as if somebody else signed it."""
        settings = self.settings
        role = settings.token_roles["backup"]
        async with signing_key(settings, None, SystemClock()) as key:
            made = await mint(settings, key, role, clock=SystemClock(), token_id=lambda: "1", changes={})
        path = self.home / "identity"
        path.touch(mode=0o600)
        path.write_text(made.value.reveal())
        self.write(("[sts]", f'[identity]\nsource = "file"\nfile = "{path}"\n[sts]'))
        return path

    async def diagnosis(self) -> Diagnosis:
        environ = {"HOME": str(self.home / "nobody"), **self.environ}
        return await diagnosed(self.settings, environ, Progress(), self.home / "etc-environment")


def _trusting(role: Role, change: Mapping[str, Any]) -> Role:
    document: dict[str, Any] = dict(role.trust_policy)
    statements = [{**statement, **change} for statement in document["Statement"]]
    return replace(role, trust_policy={**document, "Statement": statements})


@asynccontextmanager
async def with_path(host: Host) -> AsyncIterator[Chain]:
    """The same chain under an issuer with a path, and with all that tokens and roles may have."""
    issuer = f"{ISSUER}/site-a"
    async with Sandbox(World(), sites={issuer: host.home / "site"}, public=True) as sandbox:
        chain = Chain(host, sandbox, ExitStack())
        assert host.public is not None
        chain.write(
            (f'url = "{ISSUER}"', f'url = "{issuer}"'),
            (host.endpoint, sandbox.endpoint_url),
            (host.public[0], str(sandbox.proxy_url)),
            (str(host.public[1]), str(sandbox.ca_file)),
            ("role/backup", "role/ops/night/backup"),
            ("[sts]", '[identity]\nsource_identity = "ops"\ntags = { team = "ops" }\n[sts]'),
        )
        await chain.publish()
        sandbox.world = world_of(chain.settings)
        yield chain


@asynccontextmanager
async def living(settings: Settings) -> AsyncIterator[None]:
    """Run the agent in this process, from ready to stopped."""
    service = await assemble(
        settings,
        clock=SystemClock(),
        chance=random.Random(1),
        logger=SILENT,
        manager=ServiceManager({}, 1),
        credentials_directory=None,
    )
    ready, over = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(
        run(service, until=over.wait, ready=lambda _: ready.set(), stopping=lambda: None, clock=SystemClock())
    )
    waiting = asyncio.ensure_future(ready.wait())
    try:
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        assert ready.is_set(), task
        yield
    finally:
        waiting.cancel()
        over.set()
        await task
