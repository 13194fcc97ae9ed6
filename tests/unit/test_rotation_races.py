"""The walk from one key to the next, while others act in the middle of a step and disks fail at the end of one."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from agent.custody import Custody
from agent.errors import KeyUnavailable, PublishingFailed
from agent.events import Event, RotationStuck
from agent.keys import SigningKey
from agent.ledger import Ledger
from agent.publishing import Sighting
from agent.ring import Ring, Rules
from agent.ring_file import RingFile, Saved
from agent.rotation import Rotation, Site
from tests.fakes.clock import FakeClock
from tests.fakes.custodian import FakeSite, MemoryCustodian

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
TENTH = 10 * MINUTE


class Disk(RingFile):
    """Writes as told: not at all, or but for the last of it."""

    full = False
    fails_at_the_end = False

    def write(self, saved: Saved) -> None:
        if self.full:
            raise KeyUnavailable("the disk is full")
        super().write(saved)
        if self.fails_at_the_end:
            raise KeyUnavailable("the disk fails")


@dataclass
class Device(MemoryCustodian):
    """Somebody does something else while it opens a key."""

    meanwhile: Callable[[], Awaitable[None]] | None = None

    async def open(self, name: str) -> SigningKey:
        key = await super().open(name)
        if self.meanwhile is not None:
            act, self.meanwhile = self.meanwhile, None
            await act()
        return key


@dataclass
class SlowSite(FakeSite):
    """It takes a while until what was read there is here."""

    clock: FakeClock = field(default_factory=FakeClock)
    takes: timedelta = timedelta(0)

    async def look(self) -> Sighting:
        sighting = await super().look()
        await self.clock.advance(self.takes)
        return sighting


class Host:
    """A host whose rules never make a key by themselves."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock()
        self.site = SlowSite(clock=self.clock)
        self.keys = Device()
        self.keys.named.append(self.keys.put(MemoryCustodian.with_key().keys.popitem()[1]))
        self.disk = Disk(home)
        self.events: list[Event] = []
        self.daemon = self.process()

    def process(self) -> Rotation:
        return Rotation(
            Custody(self.keys),
            Site(self.site, self.site),
            Rules(every=None),
            ledger=Ledger(self.disk, clock=self.clock, boot="boot-1", report=self.events.append),
            clock=self.clock,
            report=self.events.append,
        )

    async def command(self) -> Rotation:
        command = self.process()
        await command.start()
        return command

    async def started(self, *, rotating: bool = True) -> "Host":
        await self.daemon.start()
        await self.daemon.turn()
        if rotating:
            await self.daemon.order("rotate")
            await self.daemon.turn()
        return self

    async def live(self, span: timedelta, step: timedelta = TENTH) -> None:
        for _ in range(span // step):
            await self.clock.advance(step)
            await self.daemon.turn()

    @property
    def ring(self) -> Ring:
        assert self.daemon.ring is not None
        return self.daemon.ring

    @property
    def announced(self) -> str:
        assert self.ring.announced is not None
        return self.ring.announced.public.kid

    @property
    def kid(self) -> str:
        return self.daemon.signer().public.kid


async def test_an_emergency_that_is_ordered_in_the_moment_of_a_promotion_is_not_lost(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    stolen, after = host.kid, host.announced
    await host.live(24 * HOUR)

    async def order() -> None:
        await (await host.command()).order("emergency")

    host.keys.meanwhile = order
    await host.live(2 * TENTH)
    assert host.keys.meanwhile is None
    assert host.kid == after
    assert [key.kid for key in host.ring.shown] == [after]
    assert f"key-{stolen}" not in host.keys.keys


async def test_in_an_emergency_a_key_that_is_taken_back_just_now_does_not_sign(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    stolen, taken = host.kid, host.announced
    await host.daemon.order("emergency")

    async def take_back() -> None:
        await (await host.command()).take_back(taken)

    host.keys.meanwhile = take_back
    await host.daemon.turn()
    assert host.kid == stolen
    await host.live(6 * MINUTE, MINUTE)
    assert host.kid == host.ring.signing.public.kid
    assert host.kid not in {stolen, taken}
    assert list(host.site.keys) == [host.kid]


async def test_a_look_that_missed_the_key_counts_though_it_could_not_be_written_down(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    first = host.kid
    await host.live(23 * HOUR)
    host.disk.full = True
    host.site.shown = {}
    await host.live(HOUR / 2)
    host.disk.full = False
    host.site.shown = None
    await host.live(23 * HOUR)
    assert host.kid == first
    await host.live(2 * HOUR)
    assert host.kid != first


async def test_only_time_between_looks_counts_and_none_that_a_look_took(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    await host.live(HOUR)
    assert host.ring.announced is not None
    before = host.ring.announced.counted
    host.site.takes = 2 * HOUR  # the machine sleeps in the middle of it
    await host.live(TENTH)
    host.site.takes = timedelta(0)
    assert host.ring.announced.counted == before + TENTH
    await host.live(TENTH)
    assert host.ring.announced.counted == before + 2 * TENTH


async def test_looks_of_two_processes_do_not_count_the_same_time_twice(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    await host.live(HOUR)
    other = await host.command()
    assert host.ring.announced is not None
    before = host.ring.announced.counted
    look = host.site.look

    async def while_the_other_looks() -> Sighting:
        host.site.look = look  # type: ignore[method-assign]  # once
        sighting = await look()
        await other.turn()
        return sighting

    await host.clock.advance(TENTH)
    host.site.look = while_the_other_looks  # type: ignore[method-assign]  # once
    await host.daemon.turn()
    assert host.ring.announced.counted == before + TENTH


async def test_a_key_that_was_seen_long_ago_is_looked_at_again_before_it_signs(tmp_path: Path) -> None:
    host = await Host(tmp_path).started()
    first = host.kid
    host.keys.meanwhile = None
    await host.live(24 * HOUR - TENTH)
    held = {name: host.keys.keys.pop(name) for name in list(host.keys.keys) if host.announced in name}
    await host.live(2 * TENTH)
    assert host.ring.ripe(Rules()) is not None
    await host.clock.advance(30 * 24 * HOUR)
    host.keys.keys |= held
    host.site.shown = {}  # in the meantime it was taken away
    await host.live(TENTH)
    assert host.kid == first


async def test_where_the_ring_cannot_be_written_no_key_is_made(tmp_path: Path) -> None:
    host = await Host(tmp_path).started(rotating=False)
    await host.daemon.order("rotate")
    host.disk.full = True
    await host.live(3 * HOUR)
    assert not any(call.startswith("make") for call in host.keys.called)
    assert any(isinstance(event, RotationStuck) and event.step == "successor" for event in host.events)
    host.disk.full = False
    await host.live(TENTH)
    assert host.announced


async def test_a_key_that_is_in_the_ring_after_all_is_not_destroyed(tmp_path: Path) -> None:
    host = await Host(tmp_path).started(rotating=False)
    first = host.kid
    await host.daemon.order("rotate")

    async def fail() -> None:
        host.disk.fails_at_the_end = True

    host.keys.meanwhile = fail  # once the new key is opened, and before it is written down
    await host.daemon.turn()
    host.disk.fails_at_the_end = False
    await host.live(26 * HOUR)
    assert host.kid != first


async def test_a_stolen_key_is_taken_from_the_site_though_nobody_sees_it_there(tmp_path: Path) -> None:
    host = await Host(tmp_path).started(rotating=False)
    stolen = host.kid
    host.site.publishing_failure = PublishingFailed("the site is full")
    host.site.shown = {}  # what the world reads is an old copy
    await host.daemon.order("emergency")
    await host.live(2 * HOUR)
    assert host.kid != stolen
    assert stolen in host.site.keys
    host.site.publishing_failure = None
    await host.live(2 * HOUR)
    assert list(host.site.keys) == [host.kid]


async def test_a_withdrawn_key_that_comes_back_at_once_is_withdrawn_again(tmp_path: Path) -> None:
    host = await Host(tmp_path).started(rotating=False)
    stolen = dict(host.site.keys)
    publish = host.site.publish

    async def undone(*what: object) -> object:
        host.site.publish = publish  # type: ignore[method-assign]  # once
        placed = await publish(*what)  # type: ignore[arg-type]  # as they came
        host.site.keys |= stolen  # a backup is put back
        return placed

    await host.daemon.order("emergency")
    host.site.publish = undone  # type: ignore[method-assign,assignment]  # once
    await host.live(4 * HOUR)
    assert list(host.site.keys) == [host.kid]
    assert host.ring.forgotten == ()
