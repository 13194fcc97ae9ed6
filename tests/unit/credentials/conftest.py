from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta

import pytest

from agent.clients.aws import StsEndpoint, sts_client
from agent.clock import RemoteClock
from agent.credentials.sts import AwsSts, Role, StsWebIdentity
from agent.events import Event
from tests.fakes.clock import FakeClock
from tests.fakes.minted import MintedTokens
from tests.fakes.sts_server import ROLE_ARN, Reply, StsServer

ROLE = Role(ROLE_ARN, "host-1", timedelta(hours=1), setting="roles.backup")


@dataclass
class Bench:
    """A source of credentials with everything real but the server's will and the time."""

    server: StsServer
    source: StsWebIdentity
    tokens: MintedTokens
    clock: RemoteClock
    base: FakeClock
    events: list[Event] = field(default_factory=list)


BenchFor = Callable[..., Awaitable[Bench]]


@pytest.fixture
async def bench_for() -> AsyncIterator[BenchFor]:
    """Set up a source whose STS plays the given replies."""
    async with AsyncExitStack() as stack:

        async def build(
            *replies: Reply,
            role: Role = ROLE,
            base: FakeClock | None = None,
            read_timeout: timedelta = timedelta(seconds=30),
        ) -> Bench:
            server = await stack.enter_async_context(StsServer(list(replies)))
            endpoint = StsEndpoint("eu-central-1", endpoint_url=server.url, read_timeout=read_timeout)
            client = await stack.enter_async_context(sts_client(endpoint))
            base = base or FakeClock()
            clock = RemoteClock(base)
            tokens = MintedTokens(clock)
            events: list[Event] = []
            source = StsWebIdentity(AwsSts(client), role, tokens, clock, events.append, patience=timedelta(seconds=20))
            return Bench(server, source, tokens, clock, base, events)

        yield build
