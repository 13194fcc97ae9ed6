"""Does everybody get what they are granted, nobody anything else, and is it told once?"""

import asyncio
from datetime import timedelta

import pytest

from agent.callers import Facts, Grant, Origin, Peer
from agent.credentials import Credentials
from agent.errors import (
    AgentError,
    CallerDenied,
    CallerUnknown,
    CredentialsNotReady,
    CredentialsUnavailable,
    RoleAmbiguous,
    RoleUnknown,
)
from agent.events import CredentialsVended, VendingDenied
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Making, Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.vending import RoleVendor
from tests.fakes.clock import FakeClock, settle
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

#: What a caller presents, and what that says of it.
KNOWN: dict[bytes | None, Facts] = {
    b"web-token-of-16-chars": frozenset({("token.file", "/tokens/web")}),
    b"both-token-of-16-chars": frozenset({("token.file", "/tokens/web"), ("token.file", "/tokens/ops")}),
    b"idle-token-of-16-chars": frozenset({("token.file", "/tokens/idle")}),
}
WEB, BOTH, IDLE, WRONG = (*KNOWN, b"nobody-knows-this-one")

GRANTS = [
    Grant("web", frozenset({("token.file", "/tokens/web")})),
    Grant("ops", frozenset({("token.file", "/tokens/web"), ("token.file", "/tokens/ops")})),
    Grant("ghost", frozenset({("token.file", "/tokens/ops")})),  # a role that is not there
]


class ByToken:
    """Knows the callers of this file."""

    def attest(self, peer: Peer) -> Facts:
        return KNOWN.get(peer.presented, frozenset())

    async def learn(self, peer: Peer) -> None:
        pass


class ByAddress:
    """Knows one address."""

    def attest(self, peer: Peer) -> Facts:
        return frozenset({("peer.address", peer.address)}) if peer.address == "127.0.0.9" else frozenset()

    async def learn(self, peer: Peer) -> None:
        pass


class Stage:
    """Three roles, of which `web` and `ops` hold credentials."""

    def __init__(self, *grants: Grant) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.sources = {role: FakeSource(self.clock, role=role) for role in ("web", "ops", "cold")}
        self.sessions = {
            role: RoleSession(
                role,
                source,
                RefreshPolicy(),
                clock=self.clock,
                report=Reported(),
                spread=lambda: 0.5,
            )
            for role, source in self.sources.items()
        }
        self.vendor = RoleVendor(Roster.whole(self.sessions), [ByToken(), ByAddress()], grants or GRANTS, self.reported)

    async def warm(self) -> "Stage":
        for role in ("web", "ops"):
            await self.sessions[role].renew()
        return self

    async def outcome(self, peer: Peer, role: str) -> str:
        try:
            return (await self.vendor.vend(peer, role))[1].role_arn.rpartition("/")[2]
        except AgentError as error:
            return type(error).__name__


def peer(presented: bytes | None, address: str = "127.0.0.1") -> Peer:
    return Peer(Origin(address), presented)


@pytest.mark.parametrize(
    ("presented", "role", "outcome"),
    [
        (WEB, "web", "web"),
        (WEB, "ops", "CallerDenied"),  # half of what the grant asks for
        (WEB, "cold", "CallerDenied"),
        (WEB, "nosuch", "RoleUnknown"),
        (WEB, "WEB", "RoleUnknown"),
        (BOTH, "web", "web"),
        (BOTH, "ops", "ops"),
        (BOTH, "ghost", "RoleUnknown"),
        (IDLE, "web", "CallerDenied"),
        (IDLE, "nosuch", "CallerDenied"),
        (WRONG, "web", "CallerUnknown"),
        (WRONG, "nosuch", "CallerUnknown"),
        (None, "web", "CallerUnknown"),
        (None, "nosuch", "CallerUnknown"),
        (b"", "web", "CallerUnknown"),
    ],
)
async def test_caller_grant_and_role_decide(presented: bytes | None, role: str, outcome: str) -> None:
    stage = await Stage().warm()
    assert await stage.outcome(peer(presented), role) == outcome
    held = stage.vendor.vend_held(peer(presented), role)
    assert (held is not None) == (outcome == role)


@pytest.mark.parametrize("presented", [IDLE, WRONG, None])
async def test_strangers_cannot_tell_unknown_from_forbidden(presented: bytes | None) -> None:
    stage = await Stage().warm()
    answers = set()
    for role in ("web", "ops", "cold", "ghost", "nosuch"):
        with pytest.raises(AgentError) as caught:
            await stage.vendor.vend(peer(presented), role)
        answers.add((type(caught.value), caught.value.what, caught.value.hint))
    assert len(answers) == 1


async def test_no_token_and_a_wrong_token_are_told_apart_for_their_owner() -> None:
    stage = await Stage().warm()
    with pytest.raises(CallerUnknown, match="showed no token"):
        await stage.vendor.vend(peer(None), "web")
    with pytest.raises(CallerUnknown, match="is not known here"):
        await stage.vendor.vend(peer(WRONG), "web")


async def test_anyone_means_anyone_and_that_role_alone() -> None:
    stage = await Stage(Grant("web", frozenset())).warm()
    for presented in (None, WRONG, IDLE):
        assert await stage.outcome(peer(presented), "web") == "web"
        assert await stage.outcome(peer(presented), "ops") in {"CallerUnknown", "CallerDenied"}
        assert await stage.outcome(peer(presented), "nosuch") == "RoleUnknown"


async def test_what_several_attestors_know_counts_together() -> None:
    both = frozenset({("token.file", "/tokens/web"), ("peer.address", "127.0.0.9")})
    stage = await Stage(Grant("web", both)).warm()
    assert await stage.outcome(peer(WEB, "127.0.0.9"), "web") == "web"
    assert await stage.outcome(peer(WEB, "127.0.0.1"), "web") == "CallerDenied"
    assert await stage.outcome(peer(WRONG, "127.0.0.9"), "web") == "CallerUnknown"
    assert await stage.outcome(peer(None, "127.0.0.9"), "web") == "CallerUnknown"


async def test_no_grants_no_roles() -> None:
    stage = await Stage(Grant("web", frozenset({("unix.uid", "0")}))).warm()
    assert await stage.outcome(peer(WEB), "web") == "CallerDenied"


# The one role of a caller


async def test_the_one_role_granted_need_not_be_named() -> None:
    stage = await Stage().warm()
    assert (await stage.vendor.vend(peer(WEB)))[0] == "web"
    held = stage.vendor.vend_held(peer(WEB))
    assert held is not None
    assert held[0] == "web"


@pytest.mark.parametrize(("presented", "error"), [(IDLE, CallerDenied), (WRONG, CallerUnknown), (None, CallerUnknown)])
async def test_who_is_granted_nothing_is_told_as_any_stranger(presented: bytes | None, error: type[AgentError]) -> None:
    stage = await Stage().warm()
    assert stage.vendor.vend_held(peer(presented)) is None
    with pytest.raises(error):
        await stage.vendor.vend(peer(presented))
    assert [told.role for told in stage.reported.of(VendingDenied)] == [""]


async def test_who_is_granted_several_is_told_their_names_in_order() -> None:
    stage = await Stage().warm()
    assert stage.vendor.vend_held(peer(BOTH)) is None
    with pytest.raises(RoleAmbiguous, match=r"several roles: ops, web$"):
        await stage.vendor.vend(peer(BOTH))
    [told] = stage.reported.of(VendingDenied)
    assert (told.role, told.reason) == ("", "ambiguous")


async def test_a_caller_is_told_what_is_known_of_it_and_the_grants_that_count() -> None:
    first = Grant("web", frozenset({("token.file", "/tokens/web")}), setting="grants#1")
    second = Grant("web", frozenset({("token.file", "/tokens/ops")}), setting="grants#2")
    other = Grant("ops", frozenset({("token.file", "/tokens/ops")}), setting="grants#3")
    caller, granted = await Stage(first, second, other).vendor.seen(peer(BOTH))
    assert caller.facts == KNOWN[BOTH]
    assert [grant.setting for grant in granted] == ["grants#3", "grants#1"]
    assert (await Stage(first).vendor.seen(peer(WRONG)))[1] == []


# Some of a role


def unit(name: str, *more: tuple[str, str]) -> Peer:
    facts = frozenset({("unix.uid", "0"), ("systemd.unit", name), *more})
    return Peer(Origin("127.0.0.1", "127.0.0.1", facts), None)


BY_UNIT = Narrowing(session_name="${UNIT}", tags=(("unit", "${UNIT}"),))


class Narrowed(Stage):
    """The role `web`, whole for the one with the token, and by unit for all others."""

    def __init__(self, *grants: Grant) -> None:
        super().__init__()
        self.made: list[tuple[str, Narrowing]] = []
        self.keeper = Kept()
        known = {("web", WHOLE): self.sessions["web"]}
        making = Making(self.make, self.keeper, self.clock, self.reported)
        each = Grant("web", frozenset(), BY_UNIT, "grants#2")
        self.vendor = RoleVendor(Roster(known, making=making), [ByToken()], grants or [GRANTS[0], each], self.reported)

    def make(self, role: str, narrowing: Narrowing) -> RoleSession:
        self.made.append((role, narrowing))
        source = FakeSource(self.clock, role=f"{role}-{narrowing.session_name}")
        return RoleSession(
            role,
            source,
            RefreshPolicy(),
            clock=self.clock,
            report=self.reported,
            spread=lambda: 0.5,
            about=narrowing.about,
        )


class Kept(list[RoleSession]):
    """Remembers whom it should keep fresh."""

    def add(self, session: RoleSession) -> None:
        self.append(session)

    def drop(self, session: RoleSession) -> None:
        self.remove(session)


async def test_each_unit_has_a_session_of_its_own_and_callers_in_one_unit_share_it() -> None:
    stage = Narrowed()
    for name in ("a.service", "b.service", "a.service"):
        asked = asyncio.ensure_future(stage.vendor.vend(unit(name), "web"))
        await settle()
        for session in stage.keeper:
            if not session.attempted:
                await session.renew()
        role, given = await asked
        assert (role, given.role_arn.rpartition("/")[2]) == ("web", f"web-{name}")
        assert stage.vendor.vend_held(unit(name), "web") == ("web", given)
    assert [narrowing.session_name for _, narrowing in stage.made] == ["a.service", "b.service"]
    assert [narrowing.about for _, narrowing in stage.made] == ["grants#2: unit a.service", "grants#2: unit b.service"]


async def test_the_first_caller_of_a_part_waits_and_is_then_told_that_it_is_on_its_way() -> None:
    stage = Narrowed()
    assert stage.vendor.vend_held(unit("a.service"), "web") is None
    assert stage.made == []  # looking at what is held makes nothing
    asked = asyncio.ensure_future(stage.vendor.vend(unit("a.service"), "web"))
    await stage.clock.advance(timedelta(seconds=0.69))
    assert not asked.done()
    await stage.clock.advance(timedelta(seconds=0.01))
    with pytest.raises(CredentialsNotReady):
        await asked
    assert len(stage.keeper) == 1


async def test_where_several_grants_give_a_role_the_first_says_how_much_of_it() -> None:
    stage = Narrowed()
    await stage.warm()
    assert (await stage.vendor.vend(peer(WEB), "web"))[1] is stage.sessions["web"].usable()
    stage = Narrowed(Grant("web", frozenset(), BY_UNIT, "grants#1"), GRANTS[0])
    with pytest.raises(CallerDenied, match=r"grants#1 names \$\{UNIT\}, which is not known of this caller"):
        await stage.vendor.vend(peer(WEB), "web")
    assert stage.made == []


async def test_who_was_given_what_is_told_for_each_session() -> None:
    stage = Narrowed()
    await stage.warm()
    for name in ("a.service", "b.service"):
        asked = asyncio.ensure_future(stage.vendor.vend(unit(name), "web"))
        await settle()
        await stage.keeper[-1].renew()
        await asked
    await stage.vendor.vend(peer(WEB), "web")
    first, second = (narrowing for _, narrowing in stage.made)
    assert stage.vendor.callers("web", first) == ["unix.uid=0,systemd.unit=a.service"]
    assert stage.vendor.callers("web", second) == ["unix.uid=0,systemd.unit=b.service"]
    assert stage.vendor.callers("web", WHOLE) == ["token.file=/tokens/web"]
    told = stage.reported.of(CredentialsVended)
    assert [("systemd.unit", "a.service") in one.facts for one in told] == [True, False, False]


# How long it takes


class CountedFacts(frozenset[tuple[str, str]]):
    """Counts how often it is compared with what is known of a caller."""

    compared = 0

    def __le__(self, other: object) -> bool:
        CountedFacts.compared += 1
        assert isinstance(other, frozenset)
        return super().__le__(other)


def asks_for(path: str) -> Facts:
    return CountedFacts({("token.file", path)})


@pytest.mark.parametrize(("presented", "role"), [(WEB, "web"), (IDLE, "web"), (WRONG, "web"), (WEB, "nosuch")])
async def test_grants_to_others_cost_a_caller_nothing(presented: bytes, role: str) -> None:
    others = [Grant(role, asks_for(f"/tokens/{number}")) for number in range(1000) for role in ("web", "ops")]
    stage = await Stage(*others, Grant("web", asks_for("/tokens/web"))).warm()
    CountedFacts.compared = 0
    await stage.outcome(peer(presented), role)
    stage.vendor.vend_held(peer(presented), role)
    assert CountedFacts.compared <= 4


async def test_grants_of_other_roles_cost_a_caller_nothing() -> None:
    mine = [Grant(f"role{number}", asks_for("/tokens/web")) for number in range(1000)]
    stage = await Stage(*mine, Grant("web", asks_for("/tokens/web"))).warm()
    CountedFacts.compared = 0
    assert stage.vendor.vend_held(peer(WEB), "web") is not None
    assert CountedFacts.compared == 1


# What is told


async def test_a_set_is_told_of_once_to_each_caller_by_either_way() -> None:
    stage = await Stage().warm()
    for _ in range(3):
        await stage.vendor.vend(peer(WEB), "web")
        stage.vendor.vend_held(peer(WEB), "web")
        stage.vendor.vend_held(peer(BOTH), "web")
    held = stage.sessions["web"].usable()
    assert held is not None
    assert stage.reported == [
        CredentialsVended("web", "token.file=/tokens/web", held.access_key_id, held.expires_at, KNOWN[WEB]),
        CredentialsVended(
            "web",
            "token.file=/tokens/ops,token.file=/tokens/web",
            held.access_key_id,
            held.expires_at,
            KNOWN[BOTH],
        ),
    ]
    assert stage.vendor.callers("web", WHOLE) == [
        "token.file=/tokens/ops,token.file=/tokens/web",
        "token.file=/tokens/web",
    ]
    await stage.sessions["web"].renew()
    await stage.vendor.vend(peer(WEB), "web")
    assert stage.vendor.callers("web", WHOLE) == ["token.file=/tokens/web"]
    assert stage.vendor.callers("ops", WHOLE) == []
    assert [told.access_key_id[-1] for told in stage.reported.of(CredentialsVended)] == ["1", "1", "2"]


async def test_each_refusal_is_told_with_a_reason_of_a_short_list_and_no_made_up_name() -> None:
    stage = await Stage().warm()
    for presented, role in ((WRONG, "web"), (IDLE, "web"), (WEB, "nosuch"), (None, "drop table")):
        await stage.outcome(peer(presented), role)
    assert [(told.role, told.caller, told.reason) for told in stage.reported.of(VendingDenied)] == [
        ("web", "unknown at 127.0.0.1", "unknown_caller"),
        ("web", "token.file=/tokens/idle", "not_granted"),
        ("", "token.file=/tokens/web", "unknown_role"),
        ("", "unknown at 127.0.0.1", "unknown_caller"),
    ]


async def test_asking_for_what_is_held_tells_nothing_when_it_gives_nothing() -> None:
    stage = await Stage().warm()
    for presented, role in ((WRONG, "web"), (IDLE, "web"), (WEB, "nosuch"), (BOTH, "ghost")):
        assert stage.vendor.vend_held(peer(presented), role) is None
    await stage.clock.advance(timedelta(hours=1))
    assert stage.vendor.vend_held(peer(WEB), "web") is None
    assert stage.reported == []


async def test_nothing_told_shows_what_was_presented() -> None:
    stage = await Stage().warm()
    for presented in (WEB, BOTH, IDLE, WRONG):
        await stage.outcome(peer(presented), "web")
    shown = repr(stage.reported) + repr([told.error.what for told in stage.reported.of(VendingDenied)])
    assert not any(str(presented) in shown or str(presented)[2:-1] in shown for presented in (WEB, BOTH, IDLE, WRONG))


async def test_the_memory_of_who_was_told_is_bounded_and_loses_nobody_below_its_limit() -> None:
    stage = await Stage(Grant("web", frozenset())).warm()
    for _ in range(3):
        for number in range(10_000):
            stage.vendor.vend_held(peer(None, f"10.0.{number // 100}.{number % 100}"), "web")
    assert len(stage.reported) == 10_000
    for number in range(25_000):
        stage.vendor.vend_held(peer(None, f"10.1.{number // 100}.{number % 100}"), "web")
    assert len(stage.reported) == 35_000
    remembered = sum(len(told) for _, told in stage.vendor._told.values())
    assert remembered <= 10_000


# Nothing there


async def test_a_cold_role_answers_that_it_is_on_its_way_and_starts_nothing() -> None:
    stage = Stage()
    asked = asyncio.ensure_future(stage.vendor.vend(peer(WEB), "web"))
    await stage.clock.advance(timedelta(seconds=0.7))
    with pytest.raises(CredentialsNotReady):
        await asked
    assert stage.sources["web"].fetches == []
    [told] = stage.reported.of(VendingDenied)
    assert (told.role, told.caller, told.reason) == ("web", "token.file=/tokens/web", "not_ready")


async def test_the_reason_of_an_outage_reaches_those_who_are_granted() -> None:
    stage = Stage()
    stage.sources["web"].failure = CredentialsUnavailable("STS does not answer.")
    await stage.sessions["web"].renew()
    assert await stage.outcome(peer(WEB), "web") == "CredentialsUnavailable"
    [told] = stage.reported.of(VendingDenied)
    assert (told.role, told.caller, told.reason) == ("web", "token.file=/tokens/web", "unavailable")
    assert await stage.outcome(peer(WRONG), "web") == "CallerUnknown"


async def test_strangers_are_refused_at_once_even_while_a_fetch_is_under_way() -> None:
    stage = Stage()
    stage.sources["web"].hangs = True
    renewing = asyncio.ensure_future(stage.sessions["web"].renew())
    asked = asyncio.ensure_future(stage.vendor.vend(peer(IDLE), "web"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert asked.done()
    assert isinstance(asked.exception(), CallerDenied)
    renewing.cancel()
    await asyncio.gather(renewing, return_exceptions=True)


async def test_a_granted_caller_of_a_missing_role_can_tell_it_from_a_bug() -> None:
    with pytest.raises(RoleUnknown):
        await Stage().vendor.vend(peer(BOTH), "ghost")


async def test_what_is_vended_is_what_is_held() -> None:
    stage = await Stage().warm()
    role, given = await stage.vendor.vend(peer(WEB), "web")
    assert role == "web"
    assert isinstance(given, Credentials)
    assert given is stage.sessions["web"].usable()


class Slow:
    """An attestor that takes as long to learn as one may."""

    def __init__(self, clock: FakeClock, fact: tuple[str, str]) -> None:
        self.clock, self.fact, self.learnt = clock, fact, False

    def attest(self, peer: Peer) -> Facts | None:  # noqa: ARG002 - the shape of an attestor
        return frozenset({self.fact}) if self.learnt else None

    async def learn(self, peer: Peer) -> None:  # noqa: ARG002 - the same
        await self.clock.sleep(0.5)
        self.learnt = True


async def test_all_who_have_to_ask_who_it_is_ask_at_once() -> None:
    """Several SDKs give up after a second."""
    stage = await Stage().warm()
    asked = [("unix.group", "developers"), ("container.name", "web")]
    slow = [Slow(stage.clock, fact) for fact in asked]
    vendor = RoleVendor(Roster.whole(stage.sessions), slow, [Grant("web", frozenset(asked))], stage.reported)
    vending = asyncio.ensure_future(vendor.vend(peer(None), "web"))
    await stage.clock.advance(timedelta(seconds=0.5))
    assert vending.done()
    assert (await vending)[0] == "web"


async def test_who_was_waited_for_to_be_known_does_not_wait_longer_than_others_in_all() -> None:
    stage = Stage()  # where nothing is held yet
    slow = [Slow(stage.clock, ("unix.group", "developers"))]
    grant = Grant("web", frozenset({("unix.group", "developers")}))
    vendor = RoleVendor(Roster.whole(stage.sessions), slow, [grant], stage.reported)
    vending = asyncio.ensure_future(vendor.vend(peer(None), "web"))
    await stage.clock.advance(timedelta(seconds=0.5))
    await stage.clock.advance(timedelta(seconds=0.15))
    assert not vending.done()
    await stage.clock.advance(timedelta(seconds=0.06))
    with pytest.raises(CredentialsNotReady):
        await vending
