"""Is what is told of the sessions true, and harmless?"""

import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Roster
from agent.status.snapshot import (
    READY_FOR,
    KeyRing,
    Overview,
    RoleStatus,
    SessionStatus,
    StatusSnapshot,
    last_four,
)
from tests.unit.status.samples import ISSUER_EPOCH, KID, Inside

DOWN = CredentialsUnavailable("STS does not answer.", hint="Is the network up?")
REFUSED = CredentialsRefused("STS refuses: AccessDenied.", hint="Compare the trust policy.")


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


async def test_a_role_not_yet_tried_is_starting_and_not_ready() -> None:
    role = Inside().overview.role("backup")
    assert (role.state, role.ready) == ("starting", False)
    assert role.unready == "the first credentials are still on their way"


async def test_a_renewed_role_is_good_and_ready() -> None:
    inside = Inside()
    await inside.renew()
    role = inside.overview.role("backup")
    assert (role.state, role.ready, role.unready) == ("good", True, "")
    (one,) = role.sessions
    assert (one.key_id, one.about, one.on_demand) == ("0001", "", False)
    assert one.left == one.lifetime == timedelta(hours=1)


async def test_a_role_is_ready_until_less_than_fifteen_minutes_are_left() -> None:
    inside = Inside()
    await inside.renew()
    await inside.base.advance(minutes(45))
    assert inside.overview.role("backup").ready
    await inside.base.advance(timedelta(seconds=1))
    role = inside.overview.role("backup")
    assert not role.ready
    assert role.unready == "the credentials are good for 899 s only, wanted are 900 s"


async def test_a_role_whose_sessions_last_a_quarter_of_an_hour_can_be_ready_too() -> None:
    inside = Inside(lifetime=minutes(15))
    await inside.renew()
    await inside.base.advance(minutes(10))
    assert inside.overview.role("backup").ready
    await inside.base.advance(timedelta(seconds=1))
    assert not inside.overview.role("backup").ready


async def test_a_role_whose_set_is_no_longer_handed_out_is_not_ready_however_short_its_sessions() -> None:
    inside = Inside(lifetime=minutes(2))
    await inside.renew()
    await inside.base.advance(timedelta(seconds=61))
    role = inside.overview.role("backup")
    assert (role.usable, role.ready, role.sessions[0].left) == (False, False, timedelta(seconds=59))


async def test_sessions_of_three_quarters_of_an_hour_and_more_are_held_to_the_full_fifteen_minutes() -> None:
    inside = Inside(lifetime=minutes(45))
    await inside.renew()
    assert inside.overview.role("backup").sessions[0].ready_for == READY_FOR


@pytest.mark.parametrize(
    ("after", "state", "ready"), [(0, "failing", True), (46, "ending", False), (59.5, "bare", False)]
)
async def test_a_failing_role_goes_from_failing_to_ending_to_bare(after: float, state: str, *, ready: bool) -> None:
    inside = Inside()
    await inside.renew()
    await inside.base.advance(minutes(after))
    inside.sources["backup"].failure = DOWN
    await inside.renew()
    role = inside.overview.role("backup")
    assert (role.state, role.ready, role.failures) == (state, ready, 1)
    assert (role.sessions[0].problem, role.sessions[0].hint) == (DOWN.what, DOWN.hint)


async def test_a_role_that_never_had_any_says_why() -> None:
    inside = Inside()
    inside.sources["backup"].failure = REFUSED
    await inside.renew()
    role = inside.overview.role("backup")
    assert (role.state, role.unready) == ("bare", "nothing is held: STS refuses: AccessDenied.")


async def test_a_failing_role_near_its_end_says_both_how_long_and_why() -> None:
    inside = Inside()
    await inside.renew()
    await inside.base.advance(minutes(50))
    inside.sources["backup"].failure = DOWN
    await inside.renew()
    assert inside.overview.role("backup").unready == (
        "the credentials are good for 600 s only, wanted are 900 s; the latest attempt failed: STS does not answer."
    )


# Parts of a role


def told(about: str = "", *, on_demand: bool = False, **changed: Any) -> SessionStatus:
    """A session in the best of health, but for what is changed."""
    good: dict[str, object] = {
        "key_id": "0001",
        "usable": True,
        "expires_at": ISSUER_EPOCH + timedelta(hours=1),
        "left": timedelta(hours=1),
        "lifetime": timedelta(hours=1),
        "last_success": ISSUER_EPOCH,
        "problem": "",
        "hint": "",
        "failures": 0,
        "next_attempt_in": minutes(28),
        "callers": (),
    }
    return SessionStatus(role="backup", about=about, on_demand=on_demand, **(good | changed))  # type: ignore[arg-type]  # each is what it is above


NEVER: dict[str, Any] = dict.fromkeys(("expires_at", "left", "lifetime", "last_success")) | {
    "usable": False,
    "key_id": "",
}


def role(*sessions: SessionStatus) -> RoleStatus:
    return RoleStatus("backup", "arn", sessions)


def test_a_role_is_as_its_worst_session_is() -> None:
    ending = {"left": minutes(5), "expires_at": ISSUER_EPOCH + minutes(5), "failures": 3, "problem": "down"}
    mixed = role(
        told("grants#1", callers=("a", "b")),
        told("grants#2: unit x", on_demand=True, next_attempt_in=minutes(1), callers=("b", "c"), **ending),
        told("grants#2: unit y", on_demand=True, failures=7, last_success=ISSUER_EPOCH - minutes(30)),
    )
    assert mixed.worst == mixed.sessions[1]
    assert (mixed.state, mixed.ready, mixed.usable) == ("ending", False, True)
    assert mixed.unready.startswith("grants#2: unit x: the credentials are good for 300 s only")
    assert (mixed.expires_at, mixed.last_success) == (ISSUER_EPOCH + minutes(5), ISSUER_EPOCH - minutes(30))
    assert (mixed.failures, mixed.next_attempt_in, mixed.callers) == (7, minutes(1), ("a", "b", "c"))


def test_a_session_that_never_had_a_set_is_the_end_of_its_role() -> None:
    mixed = role(told(), told("grants#2", failures=1, **NEVER))
    assert (mixed.state, mixed.expires_at, mixed.last_success, mixed.usable) == ("bare", None, None, False)


def test_a_session_that_somebody_has_just_asked_for_does_not_make_its_role_unready() -> None:
    starting = told("grants#2: unit x", on_demand=True, **NEVER)
    assert (role(told(), starting).state, role(told(), starting).ready) == ("good", True)
    assert (role(starting).state, role(starting).ready) == ("idle", True)
    assert role(told("grants#1", **NEVER)).state == "starting"  # that one is fetched unasked


def test_a_role_that_nobody_has_asked_for_is_idle_and_ready_and_has_nothing_to_give() -> None:
    idle = role()
    assert (idle.state, idle.ready, idle.usable, idle.worst) == ("idle", True, False, None)
    assert (idle.expires_at, idle.next_attempt_in, idle.failures, idle.callers) == (None, None, 0, ())


async def test_each_session_is_shown_with_those_who_were_given_what_it_holds() -> None:
    inside = Inside()
    part = Narrowing(session_name="a", about="grants#2")
    roster = Roster({("backup", WHOLE): inside.sessions["backup"], ("backup", part): inside.part("grants#2")})
    overview = Overview(
        roster,
        clock=inside.clock,
        version="1",
        keys=KeyRing,
        listeners=list,
        callers=lambda role, narrowing: [f"{role} {narrowing.session_name}"],
    )
    shown = overview.role("backup")
    assert [(one.about, one.callers) for one in shown.sessions] == [
        ("", ("backup None",)),
        ("grants#2", ("backup a",)),
    ]
    assert overview.snapshot().roles == (shown,)


async def test_all_is_ready_when_every_role_is() -> None:
    inside = Inside(("backup", "web"))
    await inside.renew("backup")
    assert not inside.overview.snapshot().ready
    await inside.renew("web")
    assert inside.overview.snapshot().ready


async def test_the_whole_is_told_at_one_moment_by_the_clock_of_aws() -> None:
    inside = Inside()
    assert inside.overview.snapshot().offset is None
    inside.hear()
    await inside.base.advance(minutes(2))
    now = inside.overview.snapshot()
    assert now.offset == timedelta(seconds=1000)
    assert now.taken_at == ISSUER_EPOCH + timedelta(seconds=1120)
    assert now.running_for == minutes(2)
    assert (now.version, [key.kid for key in now.keys]) == ("1.2.3", [KID])


async def test_a_role_that_is_not_configured_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        Inside().overview.role("mail")


async def test_a_snapshot_holds_no_whole_key_id_and_no_secret() -> None:
    inside = Inside()
    await inside.renew()
    now = inside.overview.snapshot()
    shown = repr(dataclasses.asdict(now)) + repr(now)
    assert isinstance(now, StatusSnapshot)
    for canary in ("ASIA0000000000000001", "secret-of-", "token-of-"):
        assert canary not in shown


@pytest.mark.parametrize(("key_id", "shown"), [("ASIAABCDEFGHIJKLWXYZ", "WXYZ"), ("", ""), ("short", "")])
def test_of_a_key_id_four_characters_are_shown_and_of_something_too_short_none(key_id: str, shown: str) -> None:
    assert last_four(key_id) == shown
