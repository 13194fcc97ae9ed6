"""Is what is told of the sessions true, and harmless?"""

import dataclasses
from datetime import timedelta

import pytest

from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.status.snapshot import READY_FOR, StatusSnapshot, last_four
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
    assert role.key_id == "0001"
    assert role.left == role.lifetime == timedelta(hours=1)


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
    assert (role.usable, role.ready, role.left) == (False, False, timedelta(seconds=59))


async def test_sessions_of_three_quarters_of_an_hour_and_more_are_held_to_the_full_fifteen_minutes() -> None:
    inside = Inside(lifetime=minutes(45))
    await inside.renew()
    assert inside.overview.role("backup").ready_for == READY_FOR


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
    assert (role.problem, role.hint) == (DOWN.what, DOWN.hint)


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
