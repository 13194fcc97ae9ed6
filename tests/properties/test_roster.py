"""Whoever asks for whatever, when: is everybody served what was asked for with his own narrowing, and nobody else's?"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as some

from agent.callers import Facts, Grant, Origin, Peer
from agent.errors import AgentError, CallerDenied
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Making, Roster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, RoleSession
from agent.templates import Unfillable
from agent.vending import RoleVendor
from tests.fakes.clock import FakeClock, settle
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

ROLES = ("web", "ops")
ROOM = 3

ROOT, ALICE = ("unix.uid", "0"), ("unix.uid", "1000")
HERS = ("systemd.unit", "user@1000.service")

#: Who can call: root's units, a user's units, and one of whom nothing is known.
PEOPLE: Final[Sequence[Facts]] = (
    *(frozenset({ROOT, ("systemd.unit", f"{name}.service")}) for name in ("a:b", "a-b", "c@1")),
    *(frozenset({ALICE, HERS, ("systemd.user_unit", f"{name}.service")}) for name in ("a-b", *"cdefgh")),
    frozenset({ALICE, HERS}),
    frozenset(),
)
facts = some.sampled_from([ROOT, ALICE, HERS, ("systemd.unit", "a-b.service")])
templates = some.sampled_from([None, "fixed-name", "${UNIT}", "${USER_UNIT}", "${UID}", "${UNIT}-${UID}"])
narrowings = some.builds(
    Narrowing,
    session_name=templates,
    duration=some.sampled_from([None, timedelta(minutes=15)]),
    tags=templates.map(lambda value: () if value is None else (("unit", value),)),
    source_identity=templates,
) | some.just(WHOLE)
grants = some.lists(
    some.builds(Grant, some.sampled_from(ROLES), some.frozensets(facts, max_size=1), narrowings),
    min_size=1,
    max_size=4,
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One of the callers asks for a role."""

    caller: Facts
    role: str


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes, in minutes."""

    minutes: float


stories = some.lists(
    some.builds(Ask, some.sampled_from(PEOPLE), some.sampled_from(ROLES))
    | some.builds(Pass, some.sampled_from([0.01, 4, 9, 20])),
    min_size=5,
    max_size=40,
)


class World:
    """A vendor with everything behind it but STS; every set says for which role and narrowing it was asked for."""

    def __init__(self, grants: Sequence[Grant]) -> None:
        self.clock, self.reported = FakeClock(), Reported()
        self.grants = grants
        self.asked: dict[str, tuple[str, Narrowing]] = {}
        first = {(role, WHOLE): self.make(role, WHOLE) for role in ROLES}
        first |= {(one.name, one.extent): self.make(one.name, one.extent) for one in grants if not_filled(one)}
        self.keeper = Keeper(first.values(), clock=self.clock, concurrency=2, spread=lambda: 0.5)
        making = Making(self.make, self.keeper, self.clock, self.reported, ROOM)
        self.first = len(first)
        self.roster = Roster(first, making=making)
        self.vendor = RoleVendor(self.roster, [], grants, self.reported)

    def make(self, role: str, narrowing: Narrowing) -> RoleSession:
        assert not narrowing.variables, "nothing is asked for that is not filled in"
        name = f"session-{len(self.asked)}"
        self.asked[name] = (role, narrowing)
        source = FakeSource(self.clock, role=name, lifetime=narrowing.duration or timedelta(minutes=10))
        return RoleSession(role, source, RefreshPolicy(), clock=self.clock, report=self.reported, spread=lambda: 0.5)

    def expected(self, known: Facts, role: str) -> tuple[str, Narrowing] | None:
        """By the book: the first grant of the role that fits says how much of it."""
        for grant in self.grants:
            if grant.name == role and grant.when <= known:
                try:
                    return role, grant.extent.filled(known)
                except Unfillable:
                    return None
        return None

    async def live(self, story: Sequence[object]) -> None:
        keeping = [asyncio.ensure_future(self.keeper.keep_fresh()), asyncio.ensure_future(self.roster.keep_tidy())]
        held: list[tuple[float, str, Narrowing]] = []
        try:
            for happening in story:
                match happening:
                    case Pass(minutes):
                        await self.clock.advance(timedelta(minutes=minutes))
                    case Ask(known, role):
                        held += await self.ask(known, role)
                self.look(held)
            assert not any(one.done() for one in keeping)
        finally:
            for one in keeping:
                one.cancel()
            await asyncio.gather(*keeping, return_exceptions=True)

    async def ask(self, known: Facts, role: str) -> list[tuple[float, str, Narrowing]]:
        peer, expected = Peer(Origin("127.0.0.1", "127.0.0.1", known), None), self.expected(known, role)
        at_once = self.vendor.vend_held(peer, role)
        asking = asyncio.ensure_future(self.vendor.vend(peer, role))
        await settle()
        await self.clock.advance(timedelta(seconds=0.7))
        (outcome,) = await asyncio.gather(asking, return_exceptions=True)
        if isinstance(outcome, AgentError):
            assert at_once is None
            assert (expected is None) == isinstance(outcome, CallerDenied)
            return []
        assert expected is not None
        assert not isinstance(outcome, BaseException)
        given = outcome[1]
        assert at_once is None or at_once[1] is given
        assert self.asked[given.role_arn.rpartition("/")[2]] == expected
        return [(self.clock.steady() + given.lifetime.total_seconds(), *expected)]

    def look(self, held: Sequence[tuple[float, str, Narrowing]]) -> None:
        """Whoever holds a set that is good finds the session that it comes from, and there are not too many."""
        for ends, role, narrowing in held:
            if self.clock.steady() < ends - 60 - 0.7:
                assert any((one.name, one.extent) == (role, narrowing) for one in self.roster.kept())
        assert len(list(self.roster.kept())) <= self.first + ROOM


def not_filled(grant: Grant) -> bool:
    return not grant.extent.variables


@settings(max_examples=60, deadline=None)
@given(grants, stories)
def test_everybody_gets_his_own_and_nobody_anything_else(given_out: list[Grant], story: list[object]) -> None:
    async def live() -> None:
        await World(given_out).live(story)

    asyncio.run(live())
