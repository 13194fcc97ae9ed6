"""A clock that moves only when told to."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta

START = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


class FakeClock:
    """Time stands still until `advance`; sleepers wake in order, and what they start runs before time goes on."""

    def __init__(self, start: datetime = START) -> None:
        self._now = start
        self._steady = 1000.0
        self.paused = 0.0  # the seconds that the steady clock has missed
        self._awake = 0.0  # the part of _steady during which the machine was not suspended: what sleepers count
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now(self) -> datetime:
        return self._now

    def steady(self) -> float:
        return self._steady

    def latest(self) -> datetime:
        """As an issuer would tell it who was just heard."""
        return START + timedelta(seconds=self._steady + self.paused)

    @property
    def sleepers(self) -> int:
        """How many are asleep now."""
        return sum(not future.done() for _, _, future in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._awake + seconds, next(self._order), future))
        await future

    async def advance(self, by: timedelta) -> None:
        """Let time pass, stopping at each sleeper that is due."""
        await settle()
        until = self._awake + by.total_seconds()
        while self._sleepers and self._sleepers[0][0] <= until:
            due, _, future = heapq.heappop(self._sleepers)
            self._move(due - self._awake)
            if not future.done():
                future.set_result(None)
                await settle()
        self._move(until - self._awake)
        await settle()

    def step(self, by: timedelta) -> None:
        """Set the wall clock forward or back; nothing else notices."""
        self._now += by

    def suspend(self, by: timedelta) -> None:
        """Let the machine sleep: wall clock and steady clock go on, sleepers' waits do not."""
        self._now += by
        self._steady += by.total_seconds()

    def pause(self, by: timedelta) -> None:
        """Stop the machine from outside: only the wall clock, put right afterwards, shows that time has passed."""
        self._now += by
        self.paused += by.total_seconds()

    def _move(self, seconds: float) -> None:
        self._awake += seconds
        self._steady += seconds
        self._now += timedelta(seconds=seconds)


async def settle() -> None:
    """Let everything that can run now run; enough turns for tasks that start tasks, no real waiting."""
    for _ in range(50):
        await asyncio.sleep(0)
