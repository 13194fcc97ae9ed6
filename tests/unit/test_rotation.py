"""The walk from one key to the next: one step at a time, and never a token that breaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.custody import Custody
from agent.errors import ConfigurationError, IssuerUnreadable, KeyUnavailable, PublishingFailed
from agent.events import (
    ClockWentBack,
    Event,
    IssuerCrowded,
    KeyAnnounced,
    KeyForgotten,
    KeyPromoted,
    KeyReady,
    RotationStuck,
    RotationWell,
)
from agent.ledger import Ledger
from agent.publishing.discovery import published
from agent.ring import Rules
from agent.ring_file import RingFile, Saved
from agent.rotation import Rotation, Site
from tests.fakes.clock import FakeClock
from tests.fakes.custodian import FakeSite, MemoryCustodian

HOURS = [timedelta(hours=n) for n in range(100)]
MINUTE = timedelta(minutes=1)


@dataclass
class Walk:
    """A host's rotation, and everything around it."""

    rotation: Rotation
    clock: FakeClock
    keys: MemoryCustodian
    site: FakeSite
    events: list[Event]

    @property
    def kid(self) -> str:
        return self.rotation.signer().public.kid

    @property
    def states(self) -> Sequence[str]:
        assert self.rotation.ring is not None
        return [member.state for member in self.rotation.ring.members]

    async def live(self, span: timedelta, step: timedelta = MINUTE) -> None:
        """Let time pass, taking the steps that are due as it does."""
        for _ in range(span // step):
            await self.clock.advance(step)
            await self.rotation.turn()

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.events if isinstance(event, kind)]


def a_walk(
    home: Path,
    keys: MemoryCustodian | None = None,
    *,
    site: FakeSite | None = None,
    following: MemoryCustodian | None = None,
    rules: Rules | None = None,
    clock: FakeClock | None = None,
    boot: str = "boot-1",
    memory: bool = False,
    disk: RingFile | None = None,
) -> Walk:
    keys, site, clock = keys or MemoryCustodian.with_key(), site or FakeSite(), clock or FakeClock()
    events: list[Event] = []
    rotation = Rotation(
        Custody(keys, following),
        Site(site, site),
        rules or Rules(),
        ledger=Ledger(None if memory else disk or RingFile(home), clock=clock, boot=boot, report=events.append),
        clock=clock,
        report=events.append,
    )
    return Walk(rotation, clock, keys, site, events)


async def started(home: Path, keys: MemoryCustodian | None = None, **how: object) -> Walk:
    walk = a_walk(home, keys, **how)  # type: ignore[arg-type]  # handed on as they are
    await walk.rotation.start()
    await walk.rotation.turn()
    return walk


async def test_the_first_key_signs_at_once_since_there_is_no_other(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    assert walk.states == ["signing"]
    assert list(walk.site.keys) == [walk.kid]
    assert walk.told(KeyReady) == [KeyReady(walk.kid, "ES256")]


async def test_a_whole_walk_on_schedule(tmp_path: Path) -> None:
    walk = await started(tmp_path, rules=Rules(every=timedelta(days=9)))
    first = walk.kid

    await walk.live(timedelta(days=9), timedelta(hours=1))
    assert walk.states == ["signing", "announced"]
    assert walk.kid == first

    await walk.live(HOURS[23], timedelta(minutes=10))
    assert walk.kid == first
    await walk.live(HOURS[2], timedelta(minutes=10))
    assert walk.states == ["retired", "signing"]
    assert (second := walk.kid) != first
    assert set(walk.site.keys) == {first, second}

    await walk.live(HOURS[25], timedelta(minutes=10))
    assert walk.states == ["signing"]
    assert set(walk.site.keys) == {second}
    assert list(walk.keys.keys) == [f"key-{second}"]
    kinds = [type(event) for event in walk.events if isinstance(event, KeyAnnounced | KeyPromoted | KeyForgotten)]
    assert kinds == [KeyAnnounced, KeyPromoted, KeyForgotten]


async def test_a_key_that_the_world_does_not_see_never_signs(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    walk.site.shown = dict(walk.site.keys)  # a copy that is never renewed
    await walk.rotation.order("rotate")
    await walk.live(timedelta(days=30), timedelta(hours=1))
    assert walk.states == ["signing", "announced"]
    assert walk.kid == first


async def test_what_is_seen_must_be_the_key_itself_and_not_another_under_its_name(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    assert walk.rotation.ring is not None
    announced = walk.rotation.ring.announced
    assert announced is not None
    edited = {**published(announced.public), "x": "A" * 43}
    walk.site.shown = {**walk.site.keys, announced.public.kid: edited}
    await walk.live(timedelta(days=3), timedelta(minutes=30))
    assert walk.states == ["signing", "announced"]


async def test_a_break_in_being_seen_begins_the_wait_anew(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[20], timedelta(minutes=10))
    whole = dict(walk.site.keys)
    walk.site.shown = {first: whole[first]}  # somebody edits it by hand
    await walk.live(HOURS[1], timedelta(minutes=10))
    walk.site.shown = None
    await walk.live(HOURS[23], timedelta(minutes=10))
    assert walk.kid == first
    await walk.live(HOURS[2], timedelta(minutes=10))
    assert walk.kid != first


async def test_what_somebody_took_away_by_hand_is_published_again(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    walk.site.keys.clear()
    await walk.live(HOURS[2], timedelta(minutes=10))
    assert list(walk.site.keys) == [walk.kid]


async def test_while_the_issuer_cannot_be_read_nothing_moves_and_one_is_told_once(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    walk.site.failure = IssuerUnreadable("it is away")
    await walk.live(timedelta(days=2), timedelta(minutes=10))
    assert walk.kid == first
    assert [event.step for event in walk.told(RotationStuck) if isinstance(event, RotationStuck)] == ["issuer"]
    walk.site.failure = None
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.told(RotationWell) == [RotationWell("issuer")]


async def test_what_cannot_be_published_is_told_and_tried_again(tmp_path: Path) -> None:
    site = FakeSite(publishing_failure=PublishingFailed("the disk is full"))
    walk = await started(tmp_path, site=site)
    await walk.live(HOURS[1])
    assert len(walk.told(RotationStuck)) == 1
    site.publishing_failure = None
    await walk.live(timedelta(minutes=6))
    assert list(site.keys) == [walk.kid]


async def test_a_restart_goes_on_where_it_was(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[12], timedelta(minutes=10))
    again = await started(tmp_path, walk.keys, site=walk.site, clock=walk.clock)
    assert again.states == ["signing", "announced"]
    await again.live(HOURS[11], timedelta(minutes=10))
    assert again.kid == first
    await again.live(HOURS[2], timedelta(minutes=10))
    assert again.kid != first


async def test_time_in_which_the_machine_was_off_is_not_counted(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[12], timedelta(minutes=10))
    later = FakeClock()
    await later.advance(timedelta(days=300))
    again = await started(tmp_path, walk.keys, site=walk.site, clock=later, boot="boot-2")
    assert again.kid == first
    await again.live(HOURS[11], timedelta(minutes=10))
    assert again.kid == first
    await again.live(HOURS[2], timedelta(minutes=10))
    assert again.kid != first


async def test_a_clock_that_went_back_a_year_is_told_and_changes_nothing(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.live(HOURS[12], timedelta(minutes=10))
    walk.clock.step(-timedelta(days=365))
    again = await started(tmp_path, walk.keys, site=walk.site, clock=walk.clock)
    assert [event.behind.days for event in again.told(ClockWentBack) if isinstance(event, ClockWentBack)] == [365]
    await again.live(HOURS[11], timedelta(minutes=10))
    assert again.states == ["signing", "announced"]
    await again.live(HOURS[2], timedelta(minutes=10))
    assert again.states == ["retired", "signing"]


async def test_a_clock_that_jumps_ahead_a_year_hurries_nobody(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.live(HOURS[1], timedelta(minutes=10))
    walk.clock.step(timedelta(days=365))
    await walk.live(HOURS[1], timedelta(minutes=10))
    again = await started(tmp_path, walk.keys, site=walk.site, clock=walk.clock)
    assert again.states == ["signing", "announced"]


async def test_an_emergency_replaces_the_key_at_once_and_destroys_it(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    stolen = walk.kid
    await walk.rotation.order("emergency")
    await walk.rotation.turn()
    assert walk.kid != stolen
    assert list(walk.site.keys) == [walk.kid]
    assert f"key-{stolen}" not in walk.keys.keys
    assert walk.states == ["signing"]


async def test_in_an_emergency_the_key_on_its_way_takes_over(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.rotation.ring is not None
    announced = walk.rotation.ring.announced
    assert announced is not None
    await walk.rotation.order("emergency")
    await walk.rotation.turn()
    assert walk.kid == announced.public.kid
    assert walk.states == ["signing"]


async def test_in_an_emergency_nobody_waits_for_a_key_on_its_way_that_is_lost(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    stolen = walk.kid
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    assert walk.rotation.ring is not None
    assert walk.rotation.ring.announced is not None
    lost = walk.rotation.ring.announced.public.kid
    del walk.keys.keys[f"key-{lost}"]
    await walk.rotation.order("emergency", stolen)
    await walk.rotation.turn()
    assert walk.kid not in {stolen, lost}
    assert walk.states == ["signing"]
    assert list(walk.site.keys) == [walk.kid]
    assert walk.told(KeyForgotten) == [KeyForgotten(lost, "taken back"), KeyForgotten(stolen, "stolen")]
    assert walk.rotation.ring.forgotten == ()


async def test_in_an_emergency_a_custodian_that_is_away_is_asked_again_soon(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    stolen = walk.kid
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    walk.keys.failure = KeyUnavailable("the device is away")
    await walk.rotation.order("emergency", stolen)
    await walk.live(MINUTE, timedelta(seconds=5))
    assert walk.kid == stolen
    assert walk.states == ["signing", "announced"]
    walk.keys.failure = None
    await walk.live(timedelta(seconds=20), timedelta(seconds=5))
    assert walk.kid != stolen
    assert walk.states == ["signing"]


async def test_in_an_emergency_what_is_wrong_with_the_one_key_there_can_be_is_said(tmp_path: Path) -> None:
    hsm = MemoryCustodian.with_key("hsm")
    hsm.makes = False
    walk = await started(tmp_path, following=hsm)
    stolen = walk.kid
    hsm.keys.clear()
    await walk.rotation.order("emergency", stolen)
    await walk.rotation.turn()
    assert walk.kid == stolen
    assert [event.error.what for event in walk.events if isinstance(event, RotationStuck)] == [
        f"there is no {hsm.named[0]}"
    ]


async def test_a_key_that_was_stolen_and_is_retired_by_now_goes_at_once(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    stolen = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[25], timedelta(minutes=10))
    assert walk.states == ["retired", "signing"]
    after = walk.kid
    await walk.rotation.order("emergency", stolen)
    await walk.rotation.turn()
    assert walk.kid == after
    assert list(walk.site.keys) == [after]
    assert list(walk.keys.keys) == [f"key-{after}"]
    assert walk.told(KeyForgotten) == [KeyForgotten(stolen, "stolen")]


async def test_a_setting_that_comes_to_be_wrong_is_what_keeps_tokens_from_being_signed(tmp_path: Path) -> None:
    walk = a_walk(tmp_path)
    walk.keys.failure = ConfigurationError("the PIN is refused", hint="write the right one")
    await walk.rotation.turn()
    with pytest.raises(KeyUnavailable, match="the PIN is refused") as caught:
        walk.rotation.signer()
    assert caught.value.hint == "write the right one"


async def test_what_is_mended_is_not_waited_for_where_somebody_says_so(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    walk.keys.failure = KeyUnavailable("Vault is sealed")
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    walk.keys.failure = None
    await walk.live(MINUTE, timedelta(seconds=5))
    assert walk.states == ["signing"]
    looks = walk.site.looks
    walk.rotation.retry_now()
    await walk.rotation.turn()
    assert walk.states == ["signing", "announced"]
    walk.rotation.retry_now()
    await walk.live(MINUTE, timedelta(seconds=5))
    assert walk.site.looks <= looks + 2  # one for each time that somebody says so


async def test_a_move_to_another_custodian_is_a_rotation_like_any_other(tmp_path: Path) -> None:
    hsm = MemoryCustodian("hsm")
    walk = await started(tmp_path, following=hsm)
    first = walk.kid
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.states == ["signing", "announced"]
    assert walk.kid == first
    await walk.live(HOURS[25], timedelta(minutes=10))
    assert walk.states == ["retired", "signing"]
    assert list(hsm.keys) == [f"key-{walk.kid}"]
    moved = await started(tmp_path, hsm, site=walk.site, clock=walk.clock)
    await moved.live(HOURS[30], timedelta(minutes=10))
    assert moved.states == ["signing"]
    assert moved.told(RotationStuck) == []


async def test_a_move_to_keys_that_are_not_ours_to_make_takes_the_one_that_is_named(tmp_path: Path) -> None:
    hsm = MemoryCustodian.with_key("hsm")
    hsm.makes = False
    walk = await started(tmp_path, following=hsm)
    await walk.live(HOURS[26], timedelta(minutes=10))
    assert hsm.keys[hsm.named[0]].public.kid == walk.kid
    assert not any(call.startswith("discard") for call in hsm.called)


async def test_another_key_in_the_place_of_the_one_that_signs_is_not_used(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.rotation.turn()
    name = walk.keys.named[0]
    other = MemoryCustodian.with_key()
    other.keys[name] = other.keys.pop(other.named[0])
    again = a_walk(tmp_path, other, site=walk.site, clock=walk.clock)
    with pytest.raises(KeyUnavailable, match="is not to be had"):
        await again.rotation.start()
    with pytest.raises(KeyUnavailable, match="is not to be had"):
        again.rotation.signer()


async def test_a_device_that_comes_late_is_used_as_soon_as_it_is_there(tmp_path: Path) -> None:
    keys = MemoryCustodian.with_key()
    keys.failure = KeyUnavailable("the device is not there")
    walk = a_walk(tmp_path, keys)
    with pytest.raises(KeyUnavailable, match="not there"):
        await walk.rotation.start()
    await walk.live(timedelta(minutes=5))
    with pytest.raises(KeyUnavailable, match="not there"):
        walk.rotation.signer()
    keys.failure = None
    await walk.live(MINUTE)
    assert walk.kid in keys.named[0]


async def test_a_device_that_vanishes_before_the_new_key_signs_leaves_the_old_one_signing(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[23], timedelta(minutes=10))
    walk.keys.failure = KeyUnavailable("the device is gone")
    await walk.live(HOURS[5], timedelta(minutes=10))
    assert walk.kid == first
    walk.keys.failure = None
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.kid != first


async def test_what_another_process_has_changed_is_noticed(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    stolen = walk.kid
    command = await started(tmp_path, walk.keys, site=walk.site, clock=walk.clock)
    await command.rotation.order("emergency")
    await command.rotation.turn()
    await walk.live(MINUTE)
    assert walk.kid == command.kid != stolen


async def test_a_key_on_its_way_can_be_taken_back_and_one_that_signs_cannot(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.rotation.ring is not None
    announced = walk.rotation.ring.announced
    assert announced is not None
    with pytest.raises(ConfigurationError, match="is the one that signs"):
        await walk.rotation.take_back(walk.kid)
    await walk.rotation.take_back(announced.public.kid)
    await walk.live(HOURS[1], timedelta(minutes=10))
    assert walk.states == ["signing"]
    assert list(walk.site.keys) == [walk.kid]
    assert list(walk.keys.keys) == [f"key-{walk.kid}"]


async def test_without_a_place_for_the_ring_no_rotation_begins(tmp_path: Path) -> None:
    walk = await started(tmp_path, memory=True)
    with pytest.raises(ConfigurationError, match="nowhere to keep"):
        await walk.rotation.order("rotate")
    assert list(tmp_path.iterdir()) == []


async def test_a_ring_that_cannot_be_written_stops_no_signing_and_leaves_no_key_behind(tmp_path: Path) -> None:
    home = tmp_path / "gone"
    home.mkdir()
    walk = await started(home, rules=Rules(every=timedelta(days=1)))
    for path in home.iterdir():
        path.unlink()
    home.rmdir()
    await walk.live(timedelta(days=2), timedelta(minutes=30))
    assert walk.states == ["signing"]
    assert list(walk.keys.keys) == [f"key-{walk.kid}"]
    assert walk.told(RotationStuck)


async def test_a_crowded_issuer_is_told(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    walk.site.keys |= {f"other-{n}": {"kty": "EC", "kid": f"other-{n}"} for n in range(79)}
    await walk.live(HOURS[2], timedelta(minutes=10))
    assert walk.told(IssuerCrowded)[0] == IssuerCrowded("EC", 80)


async def test_what_is_mended_is_seen_to_be_so_before_the_hour_is_over(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    walk.site.keys.clear()
    await walk.live(HOURS[1] + timedelta(minutes=1))
    assert walk.rotation.published == {walk.kid: False}
    await walk.live(timedelta(minutes=11))
    assert walk.rotation.published == {walk.kid: True}


DAY = timedelta(days=1)
LONG = Rules(longest=DAY, keep=DAY + timedelta(hours=6))


def longest_written(home: Path) -> list[timedelta]:
    saved = RingFile(home).read()
    assert saved is not None
    return [member.longest for member in saved.ring.members]


async def test_how_long_tokens_live_is_written_before_the_first_of_them_can_be_signed(tmp_path: Path) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    longer = a_walk(tmp_path, walk.keys, site=walk.site, rules=LONG)
    await longer.rotation.start()
    assert longest_written(tmp_path) == [DAY]


async def test_tokens_that_were_longer_once_are_good_until_they_end(tmp_path: Path) -> None:
    walk = await started(tmp_path, rules=LONG)
    first = walk.kid
    await walk.rotation.order("rotate")
    await walk.live(HOURS[23], timedelta(minutes=10))
    shorter = await started(tmp_path, walk.keys, site=walk.site, clock=walk.clock, rules=Rules(keep=timedelta(hours=4)))
    await shorter.live(HOURS[2], timedelta(minutes=10))
    assert shorter.kid != first
    await shorter.live(HOURS[25], timedelta(minutes=10))
    assert first in shorter.site.keys
    await shorter.live(HOURS[2], timedelta(minutes=10))
    assert list(shorter.site.keys) == [shorter.kid]


async def test_a_new_key_that_signs_in_an_emergency_signs_tokens_as_long(tmp_path: Path) -> None:
    walk = await started(tmp_path, rules=LONG)
    await walk.rotation.order("emergency")
    await walk.rotation.turn()
    assert longest_written(tmp_path) == [DAY]


async def test_a_disk_that_is_full_keeps_nobody_from_signing_and_what_is_to_be_noted_is_noted_later(
    tmp_path: Path,
) -> None:
    walk = await started(tmp_path)
    await walk.rotation.order("rotate")
    disk = Disk(tmp_path)
    disk.full = True
    longer = a_walk(tmp_path, walk.keys, site=walk.site, rules=LONG, clock=walk.clock, disk=disk)
    await longer.rotation.start()
    assert longer.kid == walk.kid
    assert longest_written(tmp_path) == [timedelta(hours=1)]
    disk.full = False
    await longer.live(timedelta(minutes=6))
    assert longest_written(tmp_path)[0] == DAY


class Disk(RingFile):
    """A ring on a disk that may be full."""

    full = False

    def write(self, saved: Saved) -> None:
        if self.full:
            raise KeyUnavailable("the disk is full")
        super().write(saved)
