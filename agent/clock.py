"""What time is it: here, and where our credentials are issued?

The only module that reads a clock. Everything else is handed a `Clock`.
"""

import asyncio
import time
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, TypeVar

T = TypeVar("T")

#: By how much the wall clock may run ahead of the steady clock without anybody having to wonder why.
DRIFT = timedelta(seconds=60)


_INSTANT: Final = "%Y-%m-%dT%H:%M:%SZ"


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """Tell the time, in UTC; it may be wrong, and may jump."""
        ...

    def steady(self) -> float:
        """Seconds since some moment; never jumps, and counts the time a machine is suspended."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a suspended machine may wait longer."""
        ...


class IssuerClock(Clock, Protocol):
    """A clock by which credentials end: that of whoever issued them."""

    def latest(self) -> datetime:
        """The latest that it can be: `now()`, unless this machine may have stood still without counting."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """Tell the time, as this machine believes it to be."""
        return datetime.now(UTC)

    def steady(self) -> float:
        """Seconds since boot, suspended time included (asyncio's own clock leaves that out)."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    async def sleep(self, seconds: float) -> None:
        """Wait, leaving the loop to others."""
        await asyncio.sleep(seconds)


class RemoteClock:
    """The time as a remote service tells it.

    The service that checks our tokens and sets the expiry of our credentials has the only opinion on time
    that counts. Until it has been heard, this is the machine's own clock; from then on it is what the service
    said, carried forward by the steady clock, so that a wrong, stepped or drifting wall clock changes nothing.
    """

    def __init__(self, base: Clock) -> None:
        """Follow `base` until something better is learnt."""
        self._base = base
        self._started = base.now().timestamp() - base.steady()
        self._ahead_of_steady: float | None = None
        self._wall_ahead_of_steady = self._started

    def now(self) -> datetime:
        """Tell the time, as the service would."""
        if self._ahead_of_steady is None:
            return self._base.now()
        return datetime.fromtimestamp(self._base.steady() + self._ahead_of_steady, UTC)

    def steady(self) -> float:
        """Seconds, as the machine's steady clock counts them."""
        return self._base.steady()

    async def sleep(self, seconds: float) -> None:
        """Wait, by the machine's own clock."""
        await self._base.sleep(seconds)

    def latest(self) -> datetime:
        """The latest that it can be.

        Steady clocks stand still with a virtual machine that is paused, or saved and restored; the wall clock is
        put right afterwards. So what the wall clock has gained on the steady clock since the service was heard
        counts as time that has passed, unless the wall clock has only come nearer to what the service said: then
        it was wrong, and has been set. Until the service has been heard, there is no telling one from the other.
        """
        steady = self._base.steady()
        ahead = self._started if self._ahead_of_steady is None else self._ahead_of_steady
        latest = datetime.fromtimestamp(steady + ahead, UTC)
        if self._ahead_of_steady is None:
            return latest
        wall = self._base.now()
        gained = timedelta(seconds=wall.timestamp() - steady - self._wall_ahead_of_steady)
        return latest + gained if gained > DRIFT and wall - latest > DRIFT else latest

    def learn(self, told: datetime) -> None:
        """Take the time that the service has just told us."""
        steady = self._base.steady()
        self._ahead_of_steady = told.timestamp() - steady
        self._wall_ahead_of_steady = self._base.now().timestamp() - steady

    @property
    def offset(self) -> timedelta | None:
        """How far the service is ahead of this machine's wall clock now; None until it has been heard."""
        if self._ahead_of_steady is None:
            return None
        return self.now() - self._base.now()


class WorldClock:
    """The time of the world outside, as well as it is known here: an `IssuerClock` for what we sign ourselves.

    Who takes our tokens judges them by the right time, whatever the time was here when they were signed, and by that
    we judge those of others. So whatever sets our time right counts here, forward or back: the service that was heard;
    a pause that the wall clock alone shows; and, where no service was heard, the wall clock, however it is set.
    """

    def __init__(self, remote: RemoteClock) -> None:
        """Follow what is known of a service's time."""
        self._remote = remote

    def now(self) -> datetime:
        """Tell the time, as others will."""
        return self._remote.now() if self._remote.offset is None else self._remote.latest()

    def latest(self) -> datetime:
        """The same: there is no better word on it."""
        return self.now()

    def steady(self) -> float:
        """Seconds, as the machine's steady clock counts them."""
        return self._remote.steady()

    async def sleep(self, seconds: float) -> None:
        """Wait, by the machine's own clock."""
        await self._remote.sleep(seconds)


def instant(moment: datetime) -> str:
    """The moment, to the second, as AWS and all that we serve write it: 2026-11-20T12:00:00Z."""
    return moment.astimezone(UTC).strftime(_INSTANT)


def parse_instant(text: str) -> datetime:
    """The moment that is written so. Raises ValueError for whatever `instant` would not have written."""
    moment = datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
    if instant(moment) != text:  # strptime also takes single digits
        raise ValueError("an instant in another spelling")
    return moment


async def within(clock: Clock, seconds: float, awaitable: Awaitable[T]) -> T:
    """Await for at most so many seconds of this clock; then cancel, and wait for that to be heeded.

    Raises TimeoutError. Whatever comes back, and whoever cancels us, nothing is left running.
    """
    awaited = asyncio.ensure_future(awaitable)
    alarm = asyncio.ensure_future(clock.sleep(seconds))
    in_time = False
    try:
        await asyncio.wait((awaited, alarm), return_when=asyncio.FIRST_COMPLETED)
        in_time = awaited.done()
    finally:
        alarm.cancel()
        awaited.cancel()
        await asyncio.wait((awaited, alarm))
    if awaited.cancelled() and not in_time:
        raise TimeoutError
    return awaited.result()
