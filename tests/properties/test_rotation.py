"""Whatever happens, in whatever order: does a key sign that the world has not seen, or go while it is needed?"""

import asyncio
import tempfile
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, ParamSpec, TypeVar

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as some

from agent.custody import Custody
from agent.errors import AgentError, ConfigurationError, IssuerUnreadable, KeyUnavailable, PublishingFailed
from agent.keys import Kind, SigningKey
from agent.ledger import Ledger
from agent.publishing import Jwk, Placed, Sighting
from agent.ring import LEAST_ANNOUNCED, LEAST_KEPT, Order, Ring, Rules
from agent.ring_file import RingFile, Saved
from agent.rotation import Rotation, Site
from tests.fakes.custodian import FakeSite, MemoryCustodian
from tests.fakes.memory_key import MemoryKey

T = TypeVar("T")
P = ParamSpec("P")

ANNOUNCE, KEEP = timedelta(hours=3), timedelta(hours=4)
#: How long it may take until the daemon knows what somebody else has written, in a story; it is seconds in life.
LAG = timedelta(seconds=90)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

TROUBLES = (
    "disk full",
    "disk fails at the end",
    "ring unreadable",
    "issuer unreadable",
    "issuer unwritable",
    "custodian away",
    "open fails",
    "make fails",
    "discard fails",
)


@dataclass(frozen=True, slots=True)
class Live:
    """Time passes, with a turn after each step."""

    steps: int
    step: timedelta


@dataclass(frozen=True, slots=True)
class Idle:
    """Time passes without any turn: the process is stopped, or the machine sleeps."""

    span: timedelta


@dataclass(frozen=True, slots=True)
class Jump:
    """Somebody sets the wall clock."""

    by: timedelta


@dataclass(frozen=True, slots=True)
class Restart:
    """The daemon ends, or the machine does and is off for a while; it starts again."""

    off: timedelta
    reboot: bool


@dataclass(frozen=True, slots=True)
class Kill:
    """The daemon is killed when it has waited so many times within a turn."""

    waits: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """From now on this fails, and nothing else."""

    what: frozenset[str]


@dataclass(frozen=True, slots=True)
class Edit:
    """Somebody lays hands on the site."""

    how: Literal["drop", "mangle", "freeze", "blank", "thaw", "restore"]
    which: int = 0


@dataclass(frozen=True, slots=True)
class Give:
    """Another process gives an order."""

    order: Order


@dataclass(frozen=True, slots=True)
class TakeBack:
    """Another process takes a key back, if it may."""

    which: int


@dataclass(frozen=True, slots=True)
class Move:
    """[key.next] appears, and the daemon is started anew."""


class Inline(ThreadPoolExecutor):
    """Does at once what others would do in a thread, so that a story runs the same each time."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        done: Future[T] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001 - it is whose who waits
            done.set_exception(error)
        return done


class Hands:
    """The clocks of a machine, and the true time, which no process can see."""

    def __init__(self) -> None:
        self.true = timedelta(0)
        self.wall = datetime(2026, 11, 20, tzinfo=UTC)
        self.uptime = 5.0

    def now(self) -> datetime:
        return self.wall

    def steady(self) -> float:
        return self.uptime

    async def sleep(self, _seconds: float) -> None:
        raise AssertionError("no step of a rotation sleeps")

    def pass_by(self, span: timedelta, *, off: bool = False) -> None:
        self.true += span
        self.wall += span
        if not off:
            self.uptime += span.total_seconds()

    def jump(self, by: timedelta) -> None:
        year = self.wall.year + by.days // 365
        if 1980 < year < 2200:
            self.wall += by


class Disk(RingFile):
    """The file of a ring on a disk that may fail; shows what was written to whoever watches."""

    def __init__(self, directory: Path, world: "World") -> None:
        super().__init__(directory)
        self._world = world

    def read(self) -> Saved | None:
        self._world.may("ring unreadable", KeyUnavailable("the disk fails"))
        return super().read()

    def write(self, saved: Saved) -> None:
        self._world.may("disk full", KeyUnavailable("the disk is full"))
        super().write(saved)
        self._world.written(saved.ring)
        self._world.may("disk fails at the end", KeyUnavailable("the disk fails"))


class Device(MemoryCustodian):
    """Keys that outlive the processes; everything takes a while, and may fail."""

    world: "World"

    async def names(self) -> Sequence[str]:
        await self._reached()
        return await super().names()

    async def open(self, name: str) -> SigningKey:
        await self._reached("open fails")
        return await super().open(name)

    async def make(self, kind: Kind) -> str:
        await self._reached("make fails")
        name = await super().make(kind)
        await asyncio.sleep(0)
        return name

    async def discard(self, name: str) -> None:
        await self._reached("discard fails")
        if name in self.keys:
            self.world.discarded(self.keys[name].public.kid)
        await super().discard(name)
        await asyncio.sleep(0)

    def put(self, key: MemoryKey) -> str:
        self.world.publics[key.public.kid] = dict(key.public.jwk)
        return super().put(key)

    async def _reached(self, what: str = "") -> None:
        await asyncio.sleep(0)
        self.world.may("custodian away", KeyUnavailable("the device is away"))
        self.world.may(what, KeyUnavailable("the device fails"))


class Web(FakeSite):
    """The issuer's site; whoever watches knows what was read there, and what was put there."""

    world: "World"

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        await asyncio.sleep(0)
        self.world.may("issuer unwritable", PublishingFailed("the site is full"))
        self.world.publishes({str(key["kid"]) for key in shown}, withdrawn)
        return await super().publish(shown, withdrawn)

    async def look(self) -> Sighting:
        await asyncio.sleep(0)
        self.world.may("issuer unreadable", IssuerUnreadable("the site is away"))
        sighting = await super().look()
        self.world.looked(sighting)
        return sighting


@dataclass
class World:
    """A machine, its daemon and all that can happen; keeps its own account of what is true."""

    home: Path
    rules: Rules
    hands: Hands = field(default_factory=Hands)
    troubles: frozenset[str] = frozenset()
    publics: dict[str, dict[str, str]] = field(default_factory=dict)
    boot: int = 0
    moving: bool = False
    #: By kid, in true time: since when every look has shown it, when it signed last, and when it first might.
    seen_since: dict[str, timedelta] = field(default_factory=dict)
    before_misses: dict[str, timedelta] = field(default_factory=dict)  # as a process that dies now will have left it
    signed: dict[str, timedelta] = field(default_factory=dict)
    may_sign: set[str] = field(default_factory=set)
    stolen: set[str] = field(default_factory=set)
    hurried: set[str] = field(default_factory=set)  # taken back
    restored: set[str] = field(default_factory=set)  # by hand, to the site
    to_replace: dict[str, str] = field(default_factory=dict)  # by kid, the orders given while it signed
    emergency: bool = False
    last: Ring | None = None

    def __post_init__(self) -> None:
        self.device, self.next, self.web = Device("pem"), Device("hsm"), Web()
        self.device.world = self.next.world = self.web.world = self
        self.device.named.append(self.device.put(MemoryKey()))
        self.founder = next(iter(self.publics))
        self.may_sign.add(self.founder)
        self.backup: dict[str, Jwk] = {}
        self.daemon = self.process()

    def process(self) -> Rotation:
        return Rotation(
            Custody(self.device, self.next if self.moving else None),
            Site(self.web, self.web, check=10 * MINUTE),
            self.rules,
            ledger=Ledger(Disk(self.home, self), clock=self.hands, boot=f"boot-{self.boot}", report=lambda _: None),
            clock=self.hands,
            report=lambda _: None,
        )

    # --- what is seen from outside

    def may(self, trouble: str, error: AgentError) -> None:
        if trouble in self.troubles:
            raise error

    def looked(self, sighting: Sighting) -> None:
        there = {
            kid
            for kid, jwk in self.publics.items()
            if all(sighting.keys.get(kid, {}).get(name) == value for name, value in jwk.items())
        }
        self.seen_since = {kid: self.seen_since.get(kid, self.hands.true) for kid in there}
        self.sign()

    def sign(self) -> None:
        """Have a token signed."""
        with suppress(KeyUnavailable):
            kid = self.daemon.signer().public.kid
            assert kid in self.may_sign, "a key has signed that was not due"
            assert kid not in self.stolen or self.last is None or self.lagging, "a stolen key signs on"
            self.signed[kid] = self.hands.true

    lagging = False

    def needed(self) -> set[str]:
        """The keys of which some token may be believed somewhere."""
        now = self.hands.true
        return {
            kid
            for kid, last in self.signed.items()
            if kid not in self.stolen and now - last < (LEAST_KEPT if kid in self.hurried else KEEP) - LAG
        }

    def written(self, ring: Ring) -> None:
        kid, before = ring.signing.public.kid, self.last
        if before is not None and kid != (left := before.signing.public.kid):
            if self.emergency and left not in kids(ring):
                self.stolen.add(left)
                self.emergency = False
            else:
                assert kid in self.seen_since, "a key came to sign that the world did not see"
                span = self.hands.true - self.seen_since[kid]
                assert span >= ANNOUNCE >= LEAST_ANNOUNCED, f"a key came to sign that was seen for {span}"
            self.may_sign.add(kid)
        self.last = ring
        self.before_misses = dict(self.seen_since)
        assert self.needed() <= kids(ring), "a key has left the ring that tokens need"

    def publishes(self, shown: Collection[str], withdrawn: Collection[str]) -> None:
        self.sign()
        assert self.needed() <= set(shown), "a key is not shown that tokens need"
        assert not self.needed() & set(withdrawn), "a key is withdrawn that tokens need"

    def discarded(self, kid: str) -> None:
        assert kid not in self.needed(), "a private key was destroyed that tokens need"
        assert self.last is None or kid not in kids(self.last), "a private key was destroyed that is shown"

    # --- what happens

    async def turn(self) -> None:
        """Take a turn, one more after the pause of a step that failed, and one that notices what that has written.

        Tokens are signed all the while.
        """
        for _ in range(3):
            await self.daemon.turn()
            self.sign()
            self.hands.pass_by(timedelta(seconds=20))
        self.lagging = bool(self.troubles)
        with suppress(KeyUnavailable):
            signer, there = self.daemon.signer().public.kid, RingFile(self.home).read()
            if there is not None and "ring unreadable" not in self.troubles:
                assert signer == there.ring.signing.public.kid, "another key signs than that of the ring"

    def die(self) -> None:
        # What it saw missing, and could not write down, nobody knows any more.
        self.seen_since = {**self.before_misses, **self.seen_since}
        self.daemon = self.process()

    async def start(self) -> None:
        with suppress(KeyUnavailable):
            await self.daemon.start()
        self.sign()

    async def live_through(self, happening: object) -> None:  # noqa: C901, PLR0912 - a table, one line or two each
        match happening:
            case Live(steps, step):
                for _ in range(steps):
                    self.hands.pass_by(step)
                    await self.turn()
            case Idle(span):
                self.hands.pass_by(span)
            case Jump(by):
                self.hands.jump(by)
            case Restart(off, reboot):
                self.hands.pass_by(off, off=reboot)
                if reboot:
                    self.boot, self.hands.uptime = self.boot + 1, 4.0
                self.die()
                await self.start()
            case Kill(waits):
                task = asyncio.ensure_future(self.daemon.turn())
                for _ in range(waits):
                    await asyncio.sleep(0)
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
                self.die()
                await self.start()
            case Trouble(what):
                self.troubles = what
                self.lagging = self.lagging or bool(what)
            case Edit(how, which):
                self.edit(how, which)
            case Give(order):
                await self.give(order)
            case TakeBack(which):
                await self.take_back(which)
            case Move():
                self.moving = True
                self.die()
                await self.start()

    def edit(self, how: str, which: int) -> None:
        keys = self.web.keys
        kid = sorted(keys)[which % len(keys)] if keys else ""
        if how == "drop":
            self.backup = dict(keys)
            keys.pop(kid, None)
        elif how == "mangle" and keys:
            keys[kid] = {**keys[kid], "x": "A" * 43}
        elif how == "freeze":
            self.web.shown = dict(keys)
        elif how == "blank":
            self.web.shown = {}
        elif how == "thaw":
            self.web.shown = None
        elif how == "restore":
            self.restored |= self.backup.keys()
            keys |= self.backup

    async def command(self) -> Rotation | None:
        """Another process on this machine, once it has read the ring."""
        command = self.process()
        with suppress(KeyUnavailable):
            await command.start()
        return None if command.ring is None else command

    async def give(self, order: Order) -> None:
        command = await self.command()
        if command is None:
            return
        assert command.ring is not None
        signing = command.ring.signing.public.kid
        self.emergency = self.emergency or order == "emergency"
        was = self.last.ordered if self.last is not None else None
        try:
            await command.order(order)
        except AgentError:
            there = RingFile(self.home).read()
            self.emergency = there is not None and there.ring.ordered == "emergency"
        else:
            self.lagging = True
            if was != "emergency":
                self.to_replace[signing] = order

    async def take_back(self, which: int) -> None:
        command = await self.command()
        if command is None:
            return
        assert command.ring is not None
        members = command.ring.members
        kid, state = (members[which % len(members)].public.kid, members[which % len(members)].state)
        self.hurried.add(kid)
        try:
            await command.take_back(kid)
        except ConfigurationError:
            self.hurried.discard(kid)
        except KeyUnavailable:
            pass
        if state == "announced":
            self.to_replace = {kid: order for kid, order in self.to_replace.items() if order == "emergency"}

    async def end_well(self) -> None:
        """Let all troubles end, and see that nothing is left undone."""
        self.troubles, self.web.shown = frozenset(), None
        for _ in range(4 * 24):
            self.hands.pass_by(15 * MINUTE)
            await self.turn()
            ring = self.daemon.ring
            if ring is not None and self.is_done(ring):
                break
        else:
            pytest.fail(f"the walk does not end: {ring}")
        for kid, order in self.to_replace.items():
            assert ring.signing.public.kid != kid, f"an order was lost: {order}"
            assert order == "rotate" or kid in self.stolen, "an order was lost: a stolen key was only retired"
        assert not self.emergency, "an emergency was lost"
        kid = ring.signing.public.kid
        assert kid in {key.public.kid for key in (*self.device.keys.values(), *self.next.keys.values())}
        assert not self.moving or ring.signing.held.custodian == "hsm", "the move was lost"

    def is_done(self, ring: Ring) -> bool:
        kid = ring.signing.public.kid
        is_shown = kid in set(self.web.keys) <= {kid} | self.restored
        return len(ring.members) == 1 and not ring.forgotten and ring.ordered is None and is_shown


def kids(ring: Ring) -> set[str]:
    return {key.kid for key in ring.shown}


SPANS = [timedelta(seconds=5), MINUTE, 10 * MINUTE, HOUR, 5 * HOUR, 3 * DAY, 20 * DAY]
lives = some.builds(Live, some.integers(1, 12), some.sampled_from([MINUTE, 11 * MINUTE, 20 * MINUTE, HOUR, 5 * HOUR]))
happenings = some.one_of(
    lives,
    lives,
    lives,
    some.builds(Idle, some.sampled_from(SPANS)),
    some.builds(Jump, some.sampled_from([-DAY * 365, -HOUR, HOUR, DAY, DAY * 365 * 5])),
    some.builds(Restart, some.sampled_from(SPANS), some.booleans()),
    some.builds(Kill, some.integers(0, 40)),
    some.builds(Trouble, some.sets(some.sampled_from(TROUBLES), max_size=2).map(frozenset)),
    some.just(Trouble(frozenset())),
    some.builds(
        Edit, some.sampled_from(["drop", "mangle", "freeze", "blank", "thaw", "thaw", "restore"]), some.integers(0, 3)
    ),
    some.builds(Give, some.sampled_from(["rotate", "rotate", "emergency"])),
    some.builds(TakeBack, some.integers(0, 3)),
    some.just(Move()),
)

ROTATE, EMERGENCY, CALM = Give("rotate"), Give("emergency"), Trouble(frozenset())


def trouble(*what: str) -> Trouble:
    assert set(what) <= set(TROUBLES)
    return Trouble(frozenset(what))


STEP, FULL = 20 * MINUTE, trouble("disk full")
LONG = [Live(12, STEP), Live(12, STEP)]


async def _live_through(story: Sequence[object], every: timedelta | None) -> None:
    asyncio.get_running_loop().set_default_executor(Inline())
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as home:
        world = World(Path(home), Rules(every, ANNOUNCE, KEEP))
        await world.start()
        for happening in story:
            await world.live_through(happening)
        await world.end_well()


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(some.lists(happenings, min_size=3, max_size=40), some.sampled_from([None, 7 * DAY]))
# A look that misses the key, also one that cannot be written down.
@example([ROTATE, Live(8, STEP), Edit("blank"), Live(1, STEP), Edit("thaw"), Live(6, STEP)], None)
@example([ROTATE, Live(7, STEP), FULL, Edit("blank"), Live(1, STEP), Edit("thaw"), CALM, Live(5, STEP), *LONG], None)
# The key is there under its name, with other numbers.
@example([ROTATE, Live(1, MINUTE), trouble("issuer unwritable"), Edit("mangle"), Edit("mangle", 1), *LONG], None)
# An emergency, while a key is taken back; while nothing can be published; and a site that is put back by hand.
@example([ROTATE, Live(12, STEP), Live(8, STEP), EMERGENCY, TakeBack(0)], None)
@example([Live(1, MINUTE), trouble("issuer unwritable"), Edit("blank"), EMERGENCY, *LONG, CALM, Edit("thaw")], None)
@example(
    [
        Live(1, MINUTE),
        Edit("drop"),
        Live(2, HOUR),
        EMERGENCY,
        trouble("issuer unreadable"),
        Live(2, STEP),
        Edit("restore"),
    ],
    None,
)
# A clock that is set while a key waits to be seen, and while another is kept.
@example([ROTATE, Live(7, STEP), Jump(365 * DAY), Live(4, STEP), Jump(365 * DAY), *LONG], None)
# What cannot be written has not happened.
@example([ROTATE, Live(9, STEP), trouble("open fails"), Live(1, STEP), FULL, *LONG], None)
@example([ROTATE, Live(1, STEP), trouble("disk fails at the end"), *LONG], None)
def test_no_key_signs_unseen_none_goes_while_needed_and_every_walk_ends(
    story: list[object], every: timedelta | None
) -> None:
    asyncio.run(_live_through(story, every))
