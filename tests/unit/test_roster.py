"""Are the sessions there that somebody needs, and can nobody have more of them than his part?"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest

from agent.callers import NOTHING_KNOWN, Facts
from agent.errors import ConfigurationError, CredentialsNotReady, CredentialsUnavailable
from agent.events import RosterFull
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Making, RoleRoster, Roster, payer
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

HOUR = timedelta(hours=1)


def part(name: str) -> Narrowing:
    return Narrowing(session_name=name, about=f"grants#1: unit {name}")


class Stage:
    """A roster with one role at hand and one on demand, and whoever is to keep its sessions fresh."""

    def __init__(self, room: int = 100, lifetime: timedelta = HOUR) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.lifetime = lifetime
        self.made: list[Narrowing] = []
        self.fresh: list[RoleSession] = []
        self.failure: Exception | None = None
        web = self.session("web", WHOLE)
        self.roster = Roster(
            {("web", WHOLE): web},
            {"web": "arn:aws:iam::123456789012:role/web", "ops": "arn:aws:iam::123456789012:role/ops"},
            Making(self.make, self, self.clock, self.reported, room),
        )

    def session(self, role: str, narrowing: Narrowing) -> RoleSession:
        return RoleSession(
            role,
            FakeSource(self.clock, role=role, lifetime=self.lifetime),
            RefreshPolicy(),
            clock=self.clock,
            report=self.reported,
            spread=lambda: 0.5,
            about=narrowing.about,
        )

    def make(self, role: str, narrowing: Narrowing) -> RoleSession:
        if self.failure is not None:
            raise self.failure
        self.made.append(narrowing)
        return self.session(role, narrowing)

    def add(self, session: RoleSession) -> None:
        self.fresh.append(session)

    def drop(self, session: RoleSession) -> None:
        self.fresh.remove(session)

    async def woken(self, name: str, payer: str = "uid 1000", role: str = "ops") -> RoleSession:
        session = self.roster.wake(role, part(name), payer)
        if not session.attempted:
            await session.renew()
        return session

    async def fill(self, payer: str, role: str = "ops") -> int:
        """Make as many as there is room for; tell how many that were."""
        number = 0
        while True:
            try:
                await self.woken(f"{payer}-{role}-{number}", payer, role)
            except CredentialsUnavailable:
                return number
            number += 1


def names(roster: RoleRoster) -> Sequence[str | None]:
    return [one.extent.session_name for one in roster.kept()]


# From the start


def test_what_is_at_hand_is_there_and_the_rest_is_not() -> None:
    stage = Stage()
    assert list(stage.roster.names) == ["web", "ops"]
    assert stage.roster.arn("ops") == "arn:aws:iam::123456789012:role/ops"
    assert stage.roster.held("web", WHOLE) is stage.roster.wake("web", WHOLE, "uid 0")
    assert stage.roster.held("ops", part("a")) is None
    assert [(one.name, one.on_demand) for one in stage.roster.kept()] == [("web", False)]
    assert stage.made == []


def test_a_roster_that_makes_nothing_says_that_there_is_no_such_session() -> None:
    web = Stage().session("web", WHOLE)
    roster = Roster.whole({"web": web})
    assert roster.wake("web", WHOLE, "uid 0") is web
    assert roster.held("web", part("a")) is None
    with pytest.raises(CredentialsUnavailable, match="no such session"):
        roster.wake("web", part("a"), "uid 0")


# On demand


async def test_what_somebody_asks_for_is_made_once_and_kept_fresh() -> None:
    stage = Stage()
    first = stage.roster.wake("ops", part("a"), "uid 1000")
    assert stage.roster.wake("ops", part("a"), "uid 1001") is first is stage.roster.held("ops", part("a"))
    assert stage.roster.wake("web", part("a"), "uid 1000") is not first
    assert stage.fresh[0] is first
    assert len(stage.fresh) == len(stage.made) == 2
    assert [one.on_demand for one in stage.roster.kept()] == [False, True, True]


async def test_it_is_kept_while_anybody_can_hold_a_set_and_dropped_after_that() -> None:
    stage = Stage()
    tidying = asyncio.ensure_future(stage.roster.keep_tidy())
    session = await stage.woken("a")
    await stage.clock.advance(timedelta(minutes=59))
    assert stage.roster.held("ops", part("a")) is session  # somebody came back for it
    await stage.clock.advance(HOUR)
    assert names(stage.roster) == [None, "a"]
    await stage.clock.advance(timedelta(minutes=2))
    assert names(stage.roster) == [None]
    assert stage.fresh == []
    tidying.cancel()


async def test_it_is_kept_for_as_long_as_the_longest_set_that_it_ever_had() -> None:
    stage = Stage(lifetime=timedelta(hours=12))
    session = await stage.woken("a")
    source = session._source
    assert isinstance(source, FakeSource)
    await stage.clock.advance(timedelta(hours=11))
    source.lifetime = timedelta(hours=2)
    await session.renew()
    assert session.longest == timedelta(hours=12)
    await stage.woken("b")
    assert names(stage.roster) == [None, "a", "b"]


async def test_what_never_had_a_set_goes_after_five_minutes() -> None:
    stage = Stage()
    stage.roster.wake("ops", part("a"), "uid 1000")
    await stage.clock.advance(timedelta(minutes=5))
    stage.roster.wake("ops", part("b"), "uid 1000")
    assert names(stage.roster) == [None, "a", "b"]
    await stage.clock.advance(timedelta(seconds=1))
    stage.roster.wake("ops", part("c"), "uid 1000")
    assert names(stage.roster) == [None, "b", "c"]


async def test_what_is_at_hand_from_the_start_is_never_dropped() -> None:
    stage = Stage()
    tidying = asyncio.ensure_future(stage.roster.keep_tidy())
    await stage.clock.advance(timedelta(days=2))
    assert stage.roster.held("web", WHOLE) is not None
    tidying.cancel()


async def test_what_cannot_be_is_said_to_be_unavailable_and_takes_no_room() -> None:
    stage = Stage()
    stage.failure = ConfigurationError("tokens would be too long", hint="drop some tags")
    with pytest.raises(CredentialsUnavailable, match="role ops cannot be had so: tokens would be too long") as caught:
        stage.roster.wake("ops", part("a"), "uid 1000")
    assert caught.value.hint == "drop some tags"
    assert names(stage.roster) == [None]


# Fairness


async def test_whoever_makes_up_names_leaves_room_for_all_others() -> None:
    stage = Stage(room=100)
    assert await stage.fill("uid 1000") == 50
    assert await stage.fill("uid 1001") == 20
    assert await stage.fill("uid 1002") == 4
    await stage.woken("own", "uid 2000")  # and the others notice nothing
    assert await stage.fill("uid 2000", role="web") == 12


async def test_no_role_takes_all_the_room() -> None:
    stage = Stage(room=100)
    number = 0
    with pytest.raises(CredentialsUnavailable):
        for number in range(100):
            await stage.woken(f"{number}", f"uid {number}")
    assert number == 75
    await stage.woken("a", "uid 0", role="web")


async def test_who_has_no_room_is_told_why_and_what_to_do_and_so_is_the_log() -> None:
    stage = Stage(room=10)
    await stage.fill("uid 1000")
    with pytest.raises(CredentialsUnavailable, match="5 are kept on demand, of which 5 for uid 1000") as caught:
        await stage.woken("another")
    assert "${USER}" in caught.value.hint
    assert stage.reported.of(RosterFull)[-1] == RosterFull("ops", "uid 1000", 5, 5)
    assert (await stage.woken("uid 1000-ops-3")).usable() is not None  # what is there is served as before


async def test_a_herd_of_one_payer_gets_in_line_so_that_others_are_not_behind_all_of_it() -> None:
    stage = Stage(room=1000)
    with pytest.raises(CredentialsNotReady):
        for number in range(100):
            stage.roster.wake("ops", part(f"{number}"), "uid 1000")
    assert len(stage.fresh) == 32
    stage.roster.wake("ops", part("mine"), "uid 1001")
    await stage.fresh[0].renew()
    stage.roster.wake("ops", part("one more"), "uid 1000")
    assert len(stage.fresh) == 34


async def test_room_comes_back_when_nobody_uses_what_was_made() -> None:
    stage = Stage(room=10)
    assert await stage.fill("uid 1000") == 5
    await stage.clock.advance(HOUR + timedelta(seconds=1))
    assert await stage.fill("uid 1001") == 5


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (NOTHING_KNOWN, "at 127.0.0.1"),
        (frozenset({("unix.uid", "33"), ("systemd.unit", "app@1.service")}), "uid 33"),
        (frozenset({("unix.uid", "100123"), ("systemd.unit", "app@1.service")}), "uid 100123"),
        (frozenset({("unix.uid", "100123")}), "uids from 65536"),
        (frozenset({("unix.uid", "131071")}), "uids from 65536"),
        (frozenset({("unix.uid", "0"), ("systemd.unit", "a.service")}), "root in a.service"),
        (frozenset({("unix.uid", "0")}), "root in "),
        (frozenset({("unix.uid", "1000"), ("systemd.unit", "user@1000.service")}), "user 1000"),
        (
            frozenset({("unix.uid", "100123"), ("systemd.unit", "user@1000.service"), ("container.id", "f00")}),
            "user 1000",
        ),
        (
            frozenset(
                {
                    ("unix.uid", "0"),
                    ("systemd.unit", "session-3.scope"),
                    ("systemd.slice", "user.slice"),
                    ("systemd.slice", "user-1000.slice"),
                }
            ),
            "user 1000",
        ),
        (frozenset({("unix.uid", "0"), ("container.id", "f00"), ("systemd.slice", "machine.slice")}), "container f00"),
    ],
)
def test_all_that_one_makes_up_is_counted_as_his(facts: Facts, expected: str) -> None:
    assert payer(facts, "127.0.0.1") == expected
