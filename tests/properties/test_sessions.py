"""Whatever happens, in whatever order: is nothing stale given out, nothing good dropped, nobody asked twice?"""

import asyncio
import random
from dataclasses import dataclass, field
from datetime import timedelta

from hypothesis import example, given, settings
from hypothesis import strategies as some

from agent.clock import RemoteClock
from agent.credentials import Credentials
from agent.errors import AgentError, CredentialsNotReady, CredentialsRefused, CredentialsUnavailable, TokenUnavailable
from agent.schedule import RefreshPolicy
from agent.sessions import NAP, Keeper, RoleSession
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource, Traffic

MARGIN = 60.0
ROLES = 3
CONCURRENCY = 2

lifetimes = some.sampled_from([-600, 0, 60, 61, 100, 300, 900, 1800, 3600, 43_200])
failures = some.sampled_from([None, CredentialsUnavailable("down"), CredentialsRefused("no"), TokenUnavailable("late")])


@dataclass(frozen=True, slots=True)
class Pass:
    """Time passes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Suspend:
    """The machine sleeps, whatever is under way."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Step:
    """Somebody sets the wall clock."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Pause:
    """The machine is stopped from outside: its steady clock stands still, its wall clock is put right at the end."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Learn:
    """STS tells its time."""


@dataclass(frozen=True, slots=True)
class Answer:
    """From now on one source behaves so."""

    role: int
    failure: AgentError | None
    hangs: bool
    lifetime: float
    answers_in: float
    lies: float


@dataclass(frozen=True, slots=True)
class Ask:
    """Callers come, and some leave again."""

    role: int
    leave: bool


@dataclass(frozen=True, slots=True)
class RetryNow:
    """Somebody says that something was mended."""


happenings = some.one_of(
    some.builds(Pass, some.floats(0.001, 2000)),
    some.builds(Pass, some.floats(0.001, 20)),
    some.builds(Suspend, some.floats(0.1, 20_000)),
    some.builds(Step, some.floats(-1e6, 1e6)),
    some.builds(Pause, some.floats(0.1, 20_000)),
    some.just(Learn()),
    some.builds(
        Answer,
        some.integers(0, ROLES - 1),
        failures,
        some.booleans(),
        lifetimes,
        some.sampled_from([0.0, 0.3, 5.0, 70.0]),
        some.sampled_from([0.0, 0.5, 30.0]),
    ),
    some.builds(Ask, some.integers(0, ROLES - 1), some.booleans()),
    some.just(RetryNow()),
)


@dataclass(slots=True)
class Watch:
    """Looks at one session at every turn, and remembers the best that it was promised."""

    session: RoleSession
    source: FakeSource
    clock: FakeClock
    last: Credentials | None = None
    misled: bool = False  # whether the wall clock looks as if time had passed that has not

    def look(self) -> None:
        held = self.session.usable()
        now = self.clock.steady() + self.clock.paused
        if held is not None:
            assert now < self.source.ends[held.access_key_id] - MARGIN, "stale credentials were handed out"
        if self.last is not None and not self.misled:
            known = int(self.last.access_key_id[4:])
            assert held is None or int(held.access_key_id[4:]) >= known, "an older set came back"
            # It is counted from when it was asked for, which may be that much before it was issued.
            begun = self.source.asked[known - 1]
            if now < begun + self.last.lifetime.total_seconds() - MARGIN - 1e-6:
                assert held is not None, "a good set was dropped"
        self.last = held or self.last
        assert self.source.most <= 1, "two fetches of one role at once"
        assert self.source.traffic.most <= CONCURRENCY, "more fetches at once than allowed"


@dataclass(slots=True)
class World:
    """Some roles, their keeper, and all that can happen to them."""

    chance: random.Random
    clock: FakeClock = field(default_factory=FakeClock)
    asked: list["asyncio.Future[Credentials]"] = field(default_factory=list)

    async def live_through(self, story: list[object]) -> None:
        self.clock.step(self.clock.latest() - self.clock.now())
        remote, traffic = RemoteClock(self.clock), Traffic()
        remote.learn(self.clock.latest())
        watches = []
        for number in range(ROLES):
            source = FakeSource(self.clock, role=f"role{number}", traffic=traffic)
            session = RoleSession(
                source.role, source, RefreshPolicy(), clock=remote, report=Reported(), spread=self.chance.random
            )
            watches.append(Watch(session, source, self.clock))
        keeper = Keeper(
            [watch.session for watch in watches], clock=remote, concurrency=CONCURRENCY, spread=self.chance.random
        )
        keeping = asyncio.ensure_future(keeper.keep_fresh())
        try:
            for happening in story:
                await self.happen(happening, watches, keeper, remote)
                assert not keeping.done(), "the keeper gave up"
            await self.recover(watches)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, *self.asked, return_exceptions=True)
        for caller in self.asked:
            assert caller.cancelled() or isinstance(caller.exception(), AgentError | None)

    async def happen(  # noqa: C901, PLR0912 - one arm for each happening, none of them deep
        self, happening: object, watches: list[Watch], keeper: Keeper, remote: RemoteClock
    ) -> None:
        match happening:
            case Pass(seconds):
                for _ in range(4):
                    await self.clock.advance(timedelta(seconds=seconds / 4))
                    for watch in watches:
                        watch.look()
            case Suspend(seconds):
                self.clock.suspend(timedelta(seconds=seconds))
            case Step(seconds):
                self.clock.step(timedelta(seconds=seconds))
                for watch in watches:
                    watch.misled |= seconds > 0
            case Learn():
                remote.learn(self.clock.latest())
            case Pause(seconds):
                connected = any(watch.source.under_way for watch in watches)  # what is under way would break off
                right = abs(self.clock.now() - self.clock.latest()) < timedelta(seconds=60)  # else nothing can be seen
                if right and not connected:
                    self.clock.pause(timedelta(seconds=seconds))
                    await self.clock.advance(timedelta(seconds=NAP + 0.1))
            case Answer(role, failure, hangs, lifetime, answers_in, lies):
                source = watches[role].source
                source.failure, source.hangs, source.lifetime = failure, hangs, timedelta(seconds=lifetime)
                source.answers_in, source.lies = timedelta(seconds=answers_in), timedelta(seconds=lies)
            case Ask(role, leave):
                caller = asyncio.ensure_future(watches[role].session.current())
                self.asked.append(caller)
                await asyncio.sleep(0)
                if leave:
                    caller.cancel()
            case RetryNow():
                keeper.retry_now()
        for watch in watches:
            watch.look()

    async def recover(self, watches: list[Watch]) -> None:
        """All is well again: within the longest wait there is, every role has credentials."""
        for watch in watches:
            source = watch.source
            source.failure, source.hangs, source.lifetime = None, False, timedelta(hours=1)
            source.answers_in = source.lies = timedelta(0)
        stuck, refused = ROLES * 105, 300
        await self.clock.advance(timedelta(seconds=stuck + refused + 2 * NAP))
        for watch in watches:
            watch.look()
            assert watch.session.usable() is not None, "a role was forgotten"


@settings(max_examples=60, deadline=None)
@given(some.lists(happenings, min_size=1, max_size=14), some.integers(0, 2**32))
@example([Pass(1017), Answer(0, None, hangs=False, lifetime=61, answers_in=0.3, lies=0), Pass(707), Pass(300)], 2)
def test_nothing_stale_nothing_dropped_nobody_twice(story: list[object], seed: int) -> None:
    asyncio.run(World(random.Random(seed)).live_through(story))


@settings(max_examples=25, deadline=None)
@given(
    some.integers(1, 60),
    some.floats(0.01, 3),
    failures,
    some.sets(some.integers(0, 59)),
)
def test_however_many_ask_they_share_one_outcome(
    number: int, answers_in: float, failure: AgentError | None, leaving: set[int]
) -> None:
    async def scene() -> None:
        clock = FakeClock()
        source = FakeSource(clock, failure=failure, answers_in=timedelta(seconds=answers_in))
        session = RoleSession("web", source, RefreshPolicy(), clock=clock, report=Reported(), spread=lambda: 0.999)
        keeping = asyncio.ensure_future(Keeper([session], clock=clock, concurrency=1, spread=lambda: 0.0).keep_fresh())
        asked = [asyncio.ensure_future(session.current()) for _ in range(number)]
        await clock.advance(timedelta(milliseconds=5))
        for index in leaving & set(range(number)):
            asked[index].cancel()
        await clock.advance(timedelta(seconds=0.7))
        stayed = [caller for index, caller in enumerate(asked) if index not in leaving]
        assert all(caller.done() for caller in asked)
        assert len(source.fetches) == 1
        if answers_in > 0.71:
            assert all(isinstance(caller.exception(), CredentialsNotReady) for caller in stayed)
        elif answers_in < 0.69:
            outcomes = {type(caller.exception()) if failure else type(caller.result()) for caller in stayed}
            assert outcomes <= {type(failure) if failure else Credentials}
        keeping.cancel()
        await asyncio.gather(keeping, *asked, return_exceptions=True)

    asyncio.run(scene())
