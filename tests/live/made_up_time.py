"""A host, its callers and its AWS in time that is made up: everything else is real."""

import asyncio
import io
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from prometheus_client import CollectorRegistry

from agent.callers import Facts, Grant, Peer
from agent.clients.aws import StsEndpoint, sts_client
from agent.clock import Clock, RemoteClock
from agent.credentials import Credentials, CredentialSource
from agent.credentials.sts import AwsSts, Role, StsWebIdentity
from agent.events import Event, Report
from agent.outputs.ecs import EcsOutput
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import published
from agent.roster import Roster
from agent.sandbox import Fault, Sandbox, practice_world
from agent.sandbox.sts.fetch import PATIENCE as GIVES_UP_ON_SITES
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, RoleSession
from agent.status.snapshot import KeyRing, Overview
from agent.telemetry.log import LineFormatter, Log
from agent.telemetry.metrics import Metrics
from agent.tokens import TokenSource
from agent.tokens.file import TokenFile
from agent.tokens.self_signed import Identity, SelfSigned
from agent.vending import RoleVendor
from agent.web.listener import answering
from agent.web.stats import RequestStats
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import MemoryKey

ISSUER = "https://oidc.example.com"
ARN = "arn:aws:iam::123456789012:role/backup"
HOUR = timedelta(hours=1)
STEP = timedelta(seconds=10)  # half of what STS is given for an answer


@dataclass
class HostClock:
    """A clock that tells the time `off` by so much, and how many wait for it to pass.

    The alarm by which STS gives up on an issuer's site is not counted: beside it the site is being fetched, over a
    real socket. Who let time pass meanwhile would have STS give up on a site that is well.
    """

    true: Clock
    off: timedelta = timedelta(0)
    asleep: int = 0

    def now(self) -> datetime:
        return self.true.now() + self.off

    def steady(self) -> float:
        return self.true.steady()

    async def sleep(self, seconds: float) -> None:
        waits = seconds != GIVES_UP_ON_SITES
        self.asleep += waits
        try:
            await self.true.sleep(seconds)
        finally:
            self.asleep -= waits


@dataclass
class Attended:
    """A source of which one can see whether it is at work."""

    source: CredentialSource
    under_way: int = 0
    fetched: int = 0

    async def fetch(self) -> Credentials:
        self.under_way += 1
        try:
            return await self.source.fetch()
        finally:
            self.under_way -= 1
            self.fetched += 1


class Anyone:
    """Everybody is known."""

    def attest(self, peer: Peer) -> Facts:  # noqa: ARG002 - the shape of an attestor
        return frozenset()

    async def learn(self, peer: Peer) -> None:
        pass


@dataclass
class Life:
    """A host that is up."""

    true: FakeClock
    clock: HostClock
    aws_clock: HostClock
    sandbox: Sandbox
    source: Attended
    session: RoleSession
    metrics: Metrics
    url: str
    log: io.StringIO
    project: Callable[[timedelta], Awaitable[None]]
    events: list[Event] = field(default_factory=list)

    async def settle(self) -> None:
        """Let what is under way come to its end, unless AWS itself waits for time to pass."""
        while self.source.under_way and not self.aws_clock.asleep:  # noqa: ASYNC110 - two things may end it
            await asyncio.sleep(0.0005)

    async def pass_time(self, by: timedelta) -> None:
        """Let time pass, in steps so small that no call to STS takes long."""
        until = self.true.steady() + by.total_seconds()
        while (left := until - self.true.steady()) > 0:
            await self.true.advance(min(STEP, timedelta(seconds=left)))
            await self.settle()

    async def ask(self) -> tuple[int, dict[str, Any]]:
        """Be a caller."""

        async def asked() -> tuple[int, dict[str, Any]]:
            async with aiohttp.ClientSession() as session, session.get(self.url) as answer:
                return answer.status, await answer.json()

        asking = asyncio.ensure_future(asked())
        while not (await asyncio.wait({asking}, timeout=0.1))[0]:
            await self.true.advance(timedelta(seconds=0.1))
        return asking.result()

    @property
    def codes(self) -> list[str]:
        """What STS answered, oldest first."""
        return [call.code for call in self.sandbox.requests]

    async def metric(self, name: str) -> float:
        """The value of a metric without labels, as Prometheus reads it."""
        _, text = await self.metrics.exposition("")
        [line] = [line for line in text.decode().splitlines() if line.startswith(f"{name} ")]
        return float(line.split(" ")[1])


def _projecting(path: Path, key: MemoryKey, identity: Identity, true: Clock) -> Callable[[timedelta], Awaitable[None]]:
    """What puts a token into a file that was made so long ago."""

    async def project(age: timedelta) -> None:
        theirs, then = replace(identity, lifetime=HOUR), HostClock(true, -age)
        token = await SelfSigned(lambda: key, theirs, then, token_id=lambda: "1", report=lambda _: None).token()
        path.write_text(token.value.reveal())

    return project


@asynccontextmanager
async def life_of(
    home: Path, off: timedelta = timedelta(0), *faults: Fault, projected: timedelta | None = None
) -> AsyncIterator[Life]:
    """A host that has just started, whose wall clock is wrong by `off`; what goes wrong from the beginning.

    With `projected` its tokens are somebody else's, who knows the time: good for an hour, in a file, and put there so
    long ago; `Life.project` puts another one there.
    """
    true, key, events = FakeClock(), MemoryKey(), list[Event]()
    clock, aws_clock = HostClock(true, off), HostClock(true)
    aws_time = RemoteClock(clock)
    stream = io.StringIO()
    logger = logging.getLogger("of-a-life")
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    logger.handlers[:] = [logging.StreamHandler(stream)]
    logger.handlers[0].setFormatter(LineFormatter(text=True, journal=False))
    readers: list[Report] = [events.append, Log(logger, aws_time)]

    def report(event: Event) -> None:
        for reader in readers:
            reader(event)

    site = home / "site"
    await DirectoryPublisher(site, ISSUER, max_age=timedelta(minutes=5)).publish([published(key.public)], [])
    world = practice_world(ISSUER, ARN)
    async with (
        Sandbox(world, clock=aws_clock, sites={ISSUER: site}) as sandbox,
        sts_client(StsEndpoint("eu-central-1", endpoint_url=sandbox.endpoint_url)) as client,
    ):
        sandbox.faults.replace(faults)
        identity = Identity(ISSUER, "host:web-1", "sts.amazonaws.com", timedelta(minutes=5), roles=(ARN,))
        tokens: TokenSource = SelfSigned(lambda: key, identity, aws_time, token_id=lambda: "1", report=report)
        project = _projecting(home / "token", key, identity, true)
        if projected is not None:
            await project(projected)
            tokens = TokenFile(home / "token", aws_time)
        role = Role(ARN, "host-1", HOUR)
        source = Attended(
            StsWebIdentity(AwsSts(client), role, tokens, aws_time, report, patience=timedelta(seconds=20))
        )
        session = RoleSession("backup", source, RefreshPolicy(), clock=aws_time, report=report, spread=lambda: 0.5)
        sessions = {"backup": session}
        keeper = Keeper(sessions.values(), clock=aws_time, concurrency=4, spread=lambda: 0.5)
        roster = Roster.whole(sessions)
        vendor = RoleVendor(roster, [Anyone()], [Grant("backup", frozenset())], report)
        overview = Overview(roster, clock=aws_time, version="0", keys=KeyRing, listeners=list, callers=vendor.callers)
        metrics = Metrics(CollectorRegistry(), overview, stats := RequestStats())
        readers.append(metrics)

        def on_bug(error: BaseException) -> None:
            raise AssertionError from error

        where = ("127.0.0.1", 0)
        output = EcsOutput(vendor, tuple(sessions))
        async with answering(output, where, clock=aws_time, stats=stats, on_bug=on_bug, report=report) as (host, port):
            keeping = asyncio.ensure_future(keeper.keep_fresh())
            url = f"http://{host}:{port}/v1/credentials/backup"
            life = Life(true, clock, aws_clock, sandbox, source, session, metrics, url, stream, project, events)
            await life.true.advance(timedelta(0))
            await life.settle()
            try:
                yield life
            finally:
                keeping.cancel()
                await asyncio.wait({keeping})
