"""The source of credentials against an AWS that verifies: real key, real tokens, real STS client, strict sandbox."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import ClientError

from agent.clients.aws import StsEndpoint, sts_client
from agent.clock import Clock, RemoteClock, SystemClock
from agent.credentials import Credentials
from agent.credentials.sts import AwsSts, Role, StsWebIdentity
from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.events import ClockMeasured, Event, StsAnswered
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import published
from agent.sandbox.faults import Fault, Garbage
from agent.sandbox.practice import practice_world
from agent.sandbox.server import Sandbox
from agent.sandbox.world import World
from agent.tokens.self_signed import Identity, SelfSigned
from tests.fakes.memory_key import MemoryKey

pytestmark = pytest.mark.long

ISSUER = "https://oidc.example.com"
ARN = "arn:aws:iam::123456789012:role/demo"
IDENTITY = Identity(ISSUER, "host:web-1", "sts.amazonaws.com", timedelta(minutes=5), roles=(ARN,))
ROLE = Role(ARN, "host-1", timedelta(hours=1), setting="roles.demo")


class Wrong(SystemClock):
    """A machine's clock that is off by so much."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


@dataclass
class Bench:
    sandbox: Sandbox
    source: StsWebIdentity
    events: list[Event]


BenchFor = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture(scope="module")
def key() -> MemoryKey:
    return MemoryKey()


@pytest.fixture
def bench_for(key: MemoryKey, tmp_path: Path) -> BenchFor:
    """Set up sandbox, issuer's site, tokens, client and source."""

    @asynccontextmanager
    async def build(
        *,
        world: World | None = None,
        role: Role = ROLE,
        identity: Identity = IDENTITY,
        base: Clock | None = None,
        tls: bool = False,
        trusting: bool = True,
        shown: MemoryKey | None = None,
    ) -> AsyncIterator[Bench]:
        site = tmp_path / "site"
        site.mkdir()
        await DirectoryPublisher(site, ISSUER, max_age=timedelta(minutes=5)).publish(
            [published((shown or key).public)], []
        )
        async with Sandbox(world or practice_world(ISSUER, ARN), sites={ISSUER: site}, tls=tls) as sandbox:
            endpoint = StsEndpoint(
                "eu-central-1",
                endpoint_url=sandbox.endpoint_url,
                ca_bundle=sandbox.ca_file if trusting else None,
                read_timeout=timedelta(seconds=1),
            )
            async with sts_client(endpoint) as client:
                clock = RemoteClock(base or SystemClock())
                events: list[Event] = []
                ids = itertools.count()
                tokens = SelfSigned(
                    lambda: key, identity, clock, token_id=lambda: str(next(ids)), report=lambda _: None
                )
                yield Bench(
                    sandbox,
                    StsWebIdentity(AwsSts(client), role, tokens, clock, events.append, patience=timedelta(seconds=20)),
                    events,
                )

    return build


async def who_is(bench: Bench, credentials: Credentials) -> str:
    """Ask STS, with a signed request of the stock client, whose credentials these are."""
    async with get_session().create_client(
        "sts",
        region_name="eu-central-1",
        endpoint_url=bench.sandbox.endpoint_url,
        verify=str(bench.sandbox.ca_file) if bench.sandbox.ca_file else True,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key.reveal(),
        aws_session_token=credentials.session_token.reveal(),
    ) as client:
        return str((await client.get_caller_identity())["Arn"])


@pytest.mark.parametrize("tls", [False, True])
async def test_what_comes_back_are_working_credentials_of_the_role(bench_for: BenchFor, *, tls: bool) -> None:
    async with bench_for(tls=tls) as bench:
        credentials = await bench.source.fetch()
        assert await who_is(bench, credentials) == "arn:aws:sts::123456789012:assumed-role/demo/host-1"
        assert timedelta(minutes=59) < credentials.lifetime <= timedelta(hours=1, seconds=1)


async def test_an_unknown_authority_is_not_trusted_and_no_token_goes_there(bench_for: BenchFor) -> None:
    async with bench_for(tls=True, trusting=False) as bench:
        with pytest.raises(CredentialsUnavailable, match="not trusted") as caught:
            await bench.source.fetch()
        assert "sts.ca_bundle" in caught.value.hint
        assert bench.sandbox.requests == []


@pytest.mark.parametrize("off", [timedelta(hours=-1), timedelta(hours=1), timedelta(days=-400), timedelta(days=400)])
async def test_a_clock_that_is_wrong_keeps_nobody_from_their_credentials(bench_for: BenchFor, off: timedelta) -> None:
    async with bench_for(base=Wrong(off)) as bench:
        credentials = await bench.source.fetch()
        assert await who_is(bench, credentials) == "arn:aws:sts::123456789012:assumed-role/demo/host-1"
        assert abs(credentials.obtained_at - SystemClock().now()) < timedelta(seconds=30)
        answers = [event.code for event in bench.events if isinstance(event, StsAnswered)]
        assert answers == ["ExpiredTokenException" if off < timedelta(0) else "InvalidIdentityToken", "Success"]
        measured = [event.offset for event in bench.events if isinstance(event, ClockMeasured)]
        assert abs(measured[-1] + off) < timedelta(seconds=30)
        bench.events.clear()
        await bench.source.fetch()
        assert [event for event in bench.events if isinstance(event, StsAnswered)] == [StsAnswered("Success")]


PASSING: list[Fault] = [
    Fault("slow", seconds=3),
    Fault("status", status=500),
    Fault("status", status=503),
    Fault("throttled"),
    Fault("drop"),
    Fault("idp_communication"),
    Fault("verification_key"),
    *(Fault("garbage", garbage=sort) for sort in get_args(Garbage)),
]


@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.garbage}")
async def test_what_passes_is_worth_another_try_which_then_works(bench_for: BenchFor, fault: Fault) -> None:
    async with bench_for() as bench:
        bench.sandbox.faults.add(fault)
        with pytest.raises(CredentialsUnavailable) as caught:
            await bench.source.fetch()
        assert caught.value.hint
        bench.sandbox.faults.clear()
        assert (await bench.source.fetch()).access_key_id


def changed(**how: Any) -> World:
    world = practice_world(ISSUER, ARN)
    return replace(world, roles=(replace(world.roles[0], **how),))


NOBODY_TAGS = json.loads(
    json.dumps(practice_world(ISSUER, ARN).roles[0].trust_policy).replace("sts:TagSession", "sts:SetSourceIdentity")
)

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no such role": ({"world": replace(practice_world(ISSUER, ARN), roles=())}, "roles.demo.arn exists"),
    "no provider": ({"world": replace(practice_world(ISSUER, ARN), providers=())}, "issuer.url"),
    "another audience": ({"identity": replace(IDENTITY, audience="example")}, "identity.audience"),
    "another role pinned": ({"identity": replace(IDENTITY, roles=(ARN + "2",))}, "roles.demo.arn"),
    "too long a session": (
        {"world": changed(max_session=timedelta(hours=1)), "role": replace(ROLE, duration=timedelta(hours=2))},
        "roles.demo.duration (now 7200 s)",
    ),
    "a policy that is none": ({"role": replace(ROLE, policy='{"Version": 1')}, "roles.demo.policy"),
    "tags that are not allowed": (
        {"world": changed(trust_policy=NOBODY_TAGS), "identity": replace(IDENTITY, tags={"team": "web"})},
        "sts:TagSession",
    ),
}


@pytest.mark.parametrize(("how", "hint"), REFUSED.values(), ids=REFUSED)
async def test_what_somebody_must_mend_is_refused_with_where_to_mend_it(
    bench_for: BenchFor, how: dict[str, Any], hint: str
) -> None:
    async with bench_for(**how) as bench:
        with pytest.raises(CredentialsRefused) as caught:
            await bench.source.fetch()
        assert hint in caught.value.hint


async def test_a_key_that_is_not_shown_yet_is_waited_for(bench_for: BenchFor) -> None:
    async with bench_for(shown=MemoryKey()) as bench:
        with pytest.raises(CredentialsUnavailable) as caught:
            await bench.source.fetch()
        assert "rolecall publish" in caught.value.hint


async def test_a_session_policy_narrows_what_the_credentials_may_do(bench_for: BenchFor) -> None:
    nothing = '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}'
    async with bench_for(role=replace(ROLE, policy=nothing)) as bench:
        credentials = await bench.source.fetch()
        async with get_session().create_client(
            "s3",
            region_name="eu-central-1",
            endpoint_url=bench.sandbox.endpoint_url,
            aws_access_key_id=credentials.access_key_id,
            aws_secret_access_key=credentials.secret_access_key.reveal(),
            aws_session_token=credentials.session_token.reveal(),
            config=AioConfig(s3={"addressing_style": "path"}),
        ) as s3:
            with pytest.raises(ClientError, match="AccessDenied"):
                await s3.list_objects_v2(Bucket="demo-bucket")
