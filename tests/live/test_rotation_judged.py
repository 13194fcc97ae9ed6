"""Two rotations, in time that is made up, while four relying parties judge every token: none is refused.

Everything but the time is real: keys in files, the ring, the issuer's site as the world sees it, and the sandbox's
API Gateway, Google Cloud, Entra ID and Vault, each with what keys it keeps.
"""

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import get_args

import aiohttp
import pytest

from agent.custody import Custody
from agent.keys.pem_store import PemStore
from agent.ledger import Ledger
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.world import PublicSite
from agent.relying_parties import Name
from agent.ring import LEAST_ANNOUNCED, Rules, least_kept
from agent.ring_file import RingFile
from agent.rotation import Rotation, Site
from agent.sandbox import Sandbox, World
from agent.sandbox.trusting.world import (
    Application,
    FederatedCredential,
    HttpApi,
    JwtAuth,
    JwtRole,
    PoolProvider,
    RelyingParties,
)
from agent.tokens.self_signed import BACKDATED, Identity, SelfSigned
from tests.fakes.clock import FakeClock
from tests.live.test_relying_parties import shown
from tests.live.told import CLIENT, TENANT

pytestmark = pytest.mark.long

ISSUER = "https://oidc.example.com"
SUBJECT = "host:web-1"
NAMES = get_args(Name)
STEP = timedelta(minutes=12)
#: The shortest times that are allowed, for tokens that live for as long as they may.
DAY = timedelta(days=1)
RULES = Rules(None, LEAST_ANNOUNCED, least_kept(DAY), "rsa-2048", DAY)
PARTIES = RelyingParties(
    (HttpApi("a1b2c3", ISSUER, ("apigateway",)),),
    (Application(TENANT, CLIENT, (FederatedCredential("web", ISSUER, SUBJECT),)),),
    (PoolProvider("123456789", "hosts", "oidc", ISSUER, ("gcp",)),),
    (JwtAuth(ISSUER, (JwtRole("web", ("vault",), SUBJECT),), bound_issuer=ISSUER),),
)
AUDIENCES = {"apigateway": "apigateway", "azure": "api://AzureADTokenExchange", "gcp": "gcp", "vault": "vault"}


@dataclass(frozen=True)
class Made:
    """A token, whose it is, which key signed it, and until when it is good by the steady clock."""

    party: Name
    value: str
    kid: str
    until: float


@dataclass
class Life:
    """A host that rotates, and four who judge."""

    clock: FakeClock
    rotation: Rotation
    sandbox: Sandbox
    http: aiohttp.ClientSession
    made: list[Made] = field(default_factory=list)
    judged: int = 0
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    async def pass_time(self, by: timedelta) -> None:
        """Let time pass; tokens short and long are made, and judged, all the while."""
        for _ in range(by // STEP):
            await self.clock.advance(STEP)
            await self.rotation.turn()
            for party in NAMES:
                await self.make(party, timedelta(minutes=10))
                await self.make(party, DAY)
            await self.judge()

    async def make(self, party: Name, lifetime: timedelta) -> None:
        identity = Identity(ISSUER, SUBJECT, AUDIENCES[party], lifetime)
        source = SelfSigned(
            self.rotation.signer, identity, self.clock, token_id=lambda: str(next(self.numbers)), report=lambda _: None
        )
        kid = self.rotation.signer().public.kid
        until = self.clock.steady() + (lifetime - BACKDATED).total_seconds()
        self.made.append(Made(party, (await source.token()).value.reveal(), kid, until))

    async def judge(self) -> None:
        """Show those that were just made, and the oldest that is still good of each key."""
        self.made = [one for one in self.made if one.until > self.clock.steady()]
        oldest = {(one.party, one.kid): one for one in reversed(self.made)}
        for one in {*self.made[-2 * len(NAMES) :], *oldest.values()}:
            status, answer = await shown(one.party, one.value, self.sandbox, self.http)
            assert status == 200, (one.party, answer)
            self.judged += 1

    @property
    def states(self) -> list[str]:
        assert self.rotation.ring is not None
        return [member.state for member in self.rotation.ring.members]


@asynccontextmanager
async def life_of(home: Path) -> AsyncIterator[Life]:
    for name in ("keys", "site", "state"):
        (home / name).mkdir()
    store = PemStore(directory=home / "keys")
    store.make_now("rsa-2048")
    clock = FakeClock()
    async with (
        Sandbox(World(relying_parties=PARTIES), clock=clock, sites={ISSUER: home / "site"}, public=True) as sandbox,
        aiohttp.ClientSession() as http,
    ):
        publisher = DirectoryPublisher(home / "site", ISSUER, max_age=timedelta(minutes=5))
        sight = PublicSite(ISSUER, clock=clock, ca_bundle=sandbox.ca_file, proxy=sandbox.proxy_url)
        rotation = Rotation(
            Custody(store),
            Site(publisher, sight),
            RULES,
            ledger=Ledger(RingFile(home / "state"), clock=clock, boot="boot", report=lambda _: None),
            clock=clock,
            report=lambda _: None,
        )
        await rotation.start()
        await rotation.turn()
        try:
            yield Life(clock, rotation, sandbox, http)
        finally:
            await rotation.close()


@pytest.mark.timeout(120)
async def test_nobody_notices_that_one_key_follows_another(tmp_path: Path) -> None:
    async with life_of(tmp_path) as life:
        first = life.rotation.signer().public.kid
        await life.pass_time(timedelta(hours=2))
        await life.rotation.order("rotate")
        await life.pass_time(timedelta(hours=2))
        assert life.states == ["signing", "announced"]
        await life.pass_time(timedelta(hours=1))
        assert life.states == ["retired", "signing"]
        second = life.rotation.signer().public.kid
        assert {one.kid for one in life.made} == {first, second}

        await life.rotation.order("rotate")  # before the first has gone
        await life.pass_time(timedelta(hours=3))
        assert life.states == ["retired", "retired", "signing"]
        await life.pass_time(timedelta(hours=28))
        assert life.states == ["signing"]
        assert {one.kid for one in life.made} == {life.rotation.signer().public.kid}
        assert life.judged > 1000
