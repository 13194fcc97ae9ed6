"""A source of credentials that does what a test tells it to."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent.credentials import Credentials
from agent.secret import Secret
from tests.fakes.clock import FakeClock

#: The issuer's clock when the steady clock is at nought; it follows that one, and counts what that one misses.
_EPOCH = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@dataclass(slots=True)
class Traffic:
    """How many fetches are under way now, and were at most, in all the sources that share this."""

    under_way: int = 0
    most: int = 0


@dataclass(slots=True)
class FakeSource:
    """Gives numbered sets (ASIA…0001, …) after `answers_in`, read `lies` later; or fails, or hangs, as told."""

    clock: FakeClock
    role: str = "backup"
    lifetime: timedelta = timedelta(hours=1)
    answers_in: timedelta = timedelta(0)
    lies: timedelta = timedelta(0)
    issuer_ahead: timedelta = timedelta(0)
    failure: Exception | None = None
    hangs: bool = False
    traffic: Traffic = field(default_factory=Traffic)
    fetches: list[float] = field(default_factory=list)  # the steady time at which each began
    asked: list[float] = field(default_factory=list)  # the same, and what that clock had missed by then
    ends: dict[str, float] = field(default_factory=dict)  # when each really ends: in steady time, and what that missed
    under_way: int = 0
    most: int = 0

    async def fetch(self) -> Credentials:
        self.fetches.append(self.clock.steady())
        self.asked.append(self.clock.steady() + self.clock.paused)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        self.traffic.under_way += 1
        self.traffic.most = max(self.traffic.most, self.traffic.under_way)
        try:
            return await self._answer()
        finally:
            self.under_way -= 1
            self.traffic.under_way -= 1

    async def _answer(self) -> Credentials:
        if self.hangs:
            await asyncio.Event().wait()
        if self.answers_in:
            await self.clock.sleep(self.answers_in.total_seconds())
        if self.failure is not None:
            raise self.failure
        given = self._issue(f"ASIA{len(self.fetches):016d}")
        if self.lies:
            await self.clock.sleep(self.lies.total_seconds())
        return given

    def _issue(self, key_id: str) -> Credentials:
        now = self.clock.steady() + self.clock.paused
        self.ends[key_id] = now + self.lifetime.total_seconds()
        obtained = _EPOCH + timedelta(seconds=now) + self.issuer_ahead
        return Credentials(
            access_key_id=key_id,
            secret_access_key=Secret(f"secret-of-{key_id}"),
            session_token=Secret(f"token-of-{key_id}"),
            obtained_at=obtained,
            expires_at=obtained + self.lifetime,
            role_arn=f"arn:aws:iam::123456789012:role/{self.role}",
            account_id="123456789012",
        )
