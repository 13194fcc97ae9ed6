"""Does everybody get what the configuration, read from the top, gives him: by either route, learnt of early or late?"""

import asyncio
from collections.abc import Sequence
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as some

from agent.callers import NOTHING_KNOWN, Caller, Facts, Grant, Origin, Peer
from agent.errors import CallerDenied, CallerUnknown, RoleAmbiguous, RoleUnknown
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.vending import RoleVendor
from tests.fakes.attestors import Late
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

ROLES: Final = ("web", "ops")
NARROWINGS: Final = (WHOLE, Narrowing("less"), Narrowing("least"))
TOKEN: Final = b"a-token-of-16-characters"

fact = some.sampled_from(
    [("unix.uid", "0"), ("unix.uid", "1"), ("unix.group", "a"), ("systemd.unit", "a"), ("token.file", "/a")]
)
facts: some.SearchStrategy[Facts] = some.frozensets(fact, max_size=4)
grants = some.lists(
    some.builds(
        Grant,
        some.sampled_from([*ROLES, "gone"]),
        some.frozensets(fact, max_size=2),
        some.sampled_from(NARROWINGS),
    ),
    max_size=6,
)
asked = some.sampled_from([*ROLES, "gone", "nosuch", ""])


def caller(known: Facts) -> Caller:
    return Caller(Peer(Origin("127.0.0.1"), None), known)


def by_the_book(given_out: Sequence[Grant], known: Facts, role: str, shown: bytes | None) -> str:
    """The session that is meant, as in "web/less", or the kind of error."""
    first: dict[str, Grant] = {}
    for grant in given_out:
        if grant.name in ROLES and grant.when <= known:
            first.setdefault(grant.name, grant)
    if role == "" and len(first) == 1:
        (role,) = first
    if role in first:
        return f"{role}/{first[role].extent.session_name}"
    if first and role not in ROLES:
        return RoleAmbiguous.__name__ if role == "" else RoleUnknown.__name__
    by_token = any(name == "token.file" for grant in given_out for name, _ in grant.when)
    known_token = any(name == "token.file" for name, _ in known)
    another_may_help = by_token if shown is None else not known_token
    return CallerUnknown.__name__ if another_may_help else CallerDenied.__name__


def session(role: str, narrowing: Narrowing, clock: FakeClock) -> RoleSession:
    source = FakeSource(clock, role=f"{role}/{narrowing.session_name}")
    report = Reported()
    return RoleSession(role, source, RefreshPolicy(), clock=clock, report=report, spread=lambda: 0.5)


@settings(deadline=None)
@given(grants, some.lists(facts, min_size=3, max_size=3), asked, some.sampled_from([None, TOKEN]))
def test_both_routes_give_what_the_first_grant_that_fits_says(
    given_out: list[Grant], parts: list[Facts], role: str, shown: bytes | None
) -> None:
    async def live() -> None:
        clock, (own, *told) = FakeClock(), parts
        sessions = {(role, narrowing): session(role, narrowing, clock) for role in ROLES for narrowing in NARROWINGS}
        await asyncio.gather(*(one.renew() for one in sessions.values()))
        vendor = RoleVendor(Roster(sessions), [Late(one) for one in told], given_out, Reported())
        peer = Peer(Origin("127.0.0.1", facts=own), shown)
        expected = by_the_book(given_out, own.union(*told), role, shown)

        assert vendor.vend_held(peer, role) is None, "nobody has been asked yet who that is"
        (outcome,) = await asyncio.gather(vendor.vend(peer, role), return_exceptions=True)
        if isinstance(outcome, BaseException):
            assert type(outcome).__name__ == expected
            assert vendor.vend_held(peer, role) is None
            return
        assert outcome[1].role_arn == f"arn:aws:iam::123456789012:role/{expected}"
        assert outcome[0] == expected.partition("/")[0]
        assert vendor.vend_held(peer, role) == outcome
        assert vendor.vend_held(Peer(Origin("127.0.0.1", facts=own), shown), role) is None, "nor who another is"

    asyncio.run(live())


async def granted(given_out: list[Grant], known: Facts) -> set[str]:
    roster = Roster({(role, WHOLE): session(role, WHOLE, FakeClock()) for role in ROLES})
    _, found = await RoleVendor(roster, [], given_out, Reported()).seen(Peer(Origin("127.0.0.1", facts=known), None))
    return {grant.name for grant in found}


@given(grants, facts, facts)
def test_more_facts_never_take_a_role_away(given_out: list[Grant], known: Facts, more: Facts) -> None:
    fewer, all_of_them = (asyncio.run(granted(given_out, some)) for some in (known, known | more))
    assert fewer <= all_of_them


@given(grants, facts)
def test_a_grant_without_conditions_is_everyones(given_out: list[Grant], known: Facts) -> None:
    assert "web" in asyncio.run(granted([*given_out, Grant("web", NOTHING_KNOWN)], known))
