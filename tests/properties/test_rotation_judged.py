"""Whatever happens to our keys: does API Gateway, which keeps a key set for two hours, ever refuse a token?"""

import asyncio
import itertools
import json
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from agent.custody import Custody
from agent.errors import AgentError, IssuerUnreadable, KeyUnavailable, PublishingFailed
from agent.keys import Kind
from agent.ledger import Ledger
from agent.publishing.discovery import published
from agent.ring import LEAST_ANNOUNCED, LEAST_KEPT, Rules, least_kept
from agent.ring_file import RingFile
from agent.rotation import Rotation, Site
from agent.sandbox import World
from agent.sandbox.cloud import Cloud
from agent.sandbox.relying_parties.apigateway import ApiGateway, Forbidden, Unauthorized
from agent.sandbox.sts.fetch import Fetched, Unreachable
from agent.sandbox.trusting.world import HttpApi, Route
from agent.tokens.self_signed import BACKDATED, Identity, SelfSigned
from tests.fakes.custodian import FakeSite, MemoryCustodian
from tests.fakes.rsa_keys import RsaKey
from tests.properties.test_rotation import DAY, HOUR, MINUTE, Give, Hands, Idle, Inline, Live, Restart, TakeBack

pytestmark = pytest.mark.long

ISSUER = "https://oidc.example.com"
API = HttpApi("a1b2c3", ISSUER, ("api",))
START = datetime(2026, 11, 20, tzinfo=UTC)
CACHED = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Configure:
    """The agent is started anew, and tokens live so long from now on; keys are shown for as long as they must be."""

    longest: timedelta


@dataclass(frozen=True, slots=True)
class Fails:
    """From now on this fails, and nothing else."""

    what: str


class Vault(MemoryCustodian):
    """A custodian of RSA keys, which API Gateway wants, each another one."""

    async def make(self, kind: Kind) -> str:
        self._note(f"make {kind}")
        return self.next()

    def next(self) -> str:
        key = RsaKey(len(self.made))
        self.made.append(key.public.kid)
        self.keys[f"key-{key.public.kid}"] = key  # type: ignore[assignment]  # it signs, like those
        return f"key-{key.public.kid}"

    made: list[str]


@dataclass
class Pages:
    """The issuer's site as who checks tokens reads it: at once, and whatever else fails."""

    site: FakeSite

    async def get(self, url: str, thumbprints: tuple[str, ...], /) -> Fetched:  # noqa: ARG002 - the shape of a fetcher
        if not self.site.keys:
            raise Unreachable(f"{url} is not there yet")
        body: dict[str, object] = {"keys": list(self.site.keys.values())}
        if url.endswith("/openid-configuration"):
            body = {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"}
        return Fetched("application/json", json.dumps(body).encode())


@dataclass(frozen=True)
class TrueTime:
    """What API Gateway knows of time, and we by asking AWS: a host's own clocks may stop, and be wrong."""

    hands: Hands

    def now(self) -> datetime:
        return START + self.hands.true

    def steady(self) -> float:
        return self.hands.true.total_seconds()

    async def sleep(self, _seconds: float) -> None:
        raise AssertionError("nobody waits here")


@dataclass(frozen=True)
class Signed:
    value: str
    kid: str
    over: timedelta


@dataclass
class Story:
    """A host and three gateways: one that hears of every token, one of every fifth, one that has just come to be."""

    home: Path
    rules: Rules
    hands: Hands = field(default_factory=Hands)
    site: FakeSite = field(default_factory=FakeSite)
    tokens: list[Signed] = field(default_factory=list)
    on_site: dict[str, timedelta] = field(default_factory=dict)
    stolen: set[str] = field(default_factory=set)
    hurried: set[str] = field(default_factory=set)
    robbed: str = ""
    asked: int = 0

    def __post_init__(self) -> None:
        self.clock = TrueTime(self.hands)
        self.vault = Vault()
        self.vault.made = []
        self.vault.named.append(self.vault.next())
        self.gateways = [self.gateway(), self.gateway()]
        self.daemon = self.process()

    def gateway(self) -> ApiGateway:
        return ApiGateway(Cloud(World(), self.clock, Random(1)), Pages(self.site))

    def process(self) -> Rotation:
        return Rotation(
            Custody(self.vault, None),
            Site(self.site, self.site, check=10 * MINUTE),
            self.rules,
            ledger=Ledger(RingFile(self.home), clock=self.hands, boot="boot", report=lambda _: None),
            clock=self.hands,
            report=lambda _: None,
        )

    async def start(self) -> None:
        with suppress(KeyUnavailable):
            await self.daemon.start()

    # --- tokens

    async def ask(self) -> None:
        """Ask for a token, and have it judged, and of those that are still good the oldest of each key."""
        self.note()
        identity = Identity(ISSUER, "host:web-1", "api", self.rules.longest)
        numbers = itertools.count()
        source = SelfSigned(
            self.daemon.signer, identity, self.clock, token_id=lambda: str(next(numbers)), report=lambda _: None
        )
        with suppress(KeyUnavailable):
            kid = self.daemon.signer().public.kid
            value = (await source.token()).value.reveal()
            self.tokens.append(Signed(value, kid, self.hands.true + self.rules.longest - BACKDATED))
        self.tokens = [token for token in self.tokens if token.over > self.hands.true + timedelta(seconds=1)]
        oldest = {token.kid: token for token in reversed(self.tokens)}
        self.asked += 1
        asked = [self.gateway(), self.gateways[0], *self.gateways[1 : 1 + (self.asked % 5 == 0)]]
        for token in {*oldest.values(), *self.tokens[-1:]}:
            for gateway in asked:
                await self.judge(gateway, token)

    async def judge(self, gateway: ApiGateway, token: Signed) -> None:
        why = ""
        try:
            await gateway.authorize(API, Route("$default"), f"Bearer {token.value}")
        except (Unauthorized, Forbidden) as refused:
            why = str(refused)
        assert not why or self.excused(token), f"refused {self.hands.true} into the story: {why}"

    def excused(self, token: Signed) -> bool:
        """In an emergency the stolen key is gone, and the new one is in no key set that was read before."""
        seen = self.on_site.get(token.kid)
        new = token.kid in self.hurried and (seen is None or self.hands.true - seen <= CACHED)
        return token.kid in self.stolen or new or not self.site.keys

    def note(self) -> None:
        """Keep account of what is on the site, and of who came to sign in an emergency."""
        self.on_site = {kid: self.on_site.get(kid, self.hands.true) for kid in self.site.keys}
        with suppress(KeyUnavailable):
            kid = self.daemon.signer().public.kid
            if self.robbed and kid != self.robbed:
                self.stolen.add(self.robbed)
                self.hurried.add(kid)
                self.robbed = ""

    # --- what happens

    async def turn(self) -> None:
        for _ in range(2):
            await self.ask()
            await self.daemon.turn()
            await self.ask()
            self.hands.pass_by(timedelta(seconds=20))

    async def live_through(self, happening: object) -> None:
        match happening:
            case Live(steps, step):
                for _ in range(steps):
                    self.hands.pass_by(step)
                    await self.turn()
            case Idle(span):
                self.hands.pass_by(span)
                await self.ask()
            case Restart(off, reboot):
                self.hands.pass_by(off, off=reboot)
                await self.restart()
            case Configure(longest):
                self.rules = Rules(self.rules.every, LEAST_ANNOUNCED, least_kept(longest), longest=longest)
                await self.restart()
            case Fails(what):
                self.site.failure = IssuerUnreadable("away") if what == "reading" else None
                self.site.publishing_failure = PublishingFailed("full") if what == "writing" else None
                self.vault.failure = KeyUnavailable("away") if what == "custodian" else None
            case Give("emergency"):
                with suppress(AgentError):
                    self.robbed = self.daemon.signer().public.kid
                    await self.daemon.order("emergency", self.robbed)
            case Give(order):
                with suppress(AgentError):
                    await self.daemon.order(order)
            case TakeBack(which) if self.daemon.ring is not None:
                members = self.daemon.ring.members
                with suppress(AgentError):
                    await self.daemon.take_back(members[which % len(members)].public.kid)

    async def restart(self) -> None:
        self.daemon = self.process()
        await self.start()
        await self.ask()


SPANS = [MINUTE, 10 * MINUTE, HOUR, 3 * HOUR, DAY]
lives = some.builds(Live, some.integers(1, 10), some.sampled_from([MINUTE, 9 * MINUTE, 17 * MINUTE, HOUR, 5 * HOUR]))
happenings = some.one_of(
    lives,
    lives,
    lives,
    some.builds(Idle, some.sampled_from(SPANS)),
    some.builds(Restart, some.sampled_from(SPANS), some.booleans()),
    some.builds(Configure, some.sampled_from([HOUR, 5 * HOUR, DAY])),
    some.builds(Fails, some.sampled_from(["reading", "writing", "custodian", "nothing", "nothing"])),
    some.builds(Give, some.sampled_from(["rotate", "rotate", "rotate", "emergency"])),
    some.builds(TakeBack, some.integers(0, 3)),
)

ROTATE, EMERGENCY = Give("rotate"), Give("emergency")
#: From the order until the old key is gone.
WALK = [ROTATE, Live(9, 17 * MINUTE), Live(12, 17 * MINUTE)]


async def _live_through(story: Sequence[object], every: timedelta | None) -> int:
    """How many keys were made, one after another."""
    asyncio.get_running_loop().set_default_executor(Inline())
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as home:
        world = Story(Path(home), Rules(every, LEAST_ANNOUNCED, LEAST_KEPT))
        await world.start()
        await world.daemon.turn()
        assert {str(key["kid"]) for key in world.site.keys.values()} == {
            str(published(world.daemon.signer().public)["kid"])
        }
        for happening in story:
            await world.live_through(happening)
        await world.ask()
        return len(world.vault.made)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(some.lists(happenings, min_size=3, max_size=20), some.sampled_from([None, 2 * DAY]))
@example(WALK * 3, None)
# Tokens that live for a day, and are made shorter before, while and after their key is retired.
@example([Configure(DAY), Live(2, HOUR), Configure(HOUR), *WALK, Live(24, HOUR)], None)
@example([Configure(DAY), Live(2, HOUR), ROTATE, Live(2, HOUR), Configure(HOUR), Live(30, HOUR)], None)
@example([Configure(DAY), Live(2, HOUR), *WALK, Configure(HOUR), TakeBack(0), Live(8, HOUR), TakeBack(0), *WALK], None)
# And made longer while a key waits, or is about to go.
@example([ROTATE, Live(6, 17 * MINUTE), Configure(DAY), Live(4, 17 * MINUTE), *WALK, Live(30, HOUR)], None)
@example([Configure(DAY), EMERGENCY, Live(3, MINUTE), Configure(HOUR), *WALK, Live(30, HOUR)], None)
def test_api_gateway_refuses_no_token_but_in_an_emergency(story: list[object], every: timedelta | None) -> None:
    asyncio.run(_live_through(story, every))


def test_a_story_does_get_through_one_key_after_another() -> None:
    assert asyncio.run(_live_through(WALK * 3, None)) == 4
