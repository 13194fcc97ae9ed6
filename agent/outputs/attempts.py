"""When is a file tried again that could not be written, and what is told of it?"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, ParamSpec, TypeVar

from agent.clock import Clock, within
from agent.errors import AgentError, ConfigurationError
from agent.events import FileStuck, Report
from agent.schedule import RefreshPolicy
from agent.turns import Turns

T = TypeVar("T")
P = ParamSpec("P")

#: The longest nap between two looks, in seconds: a suspended machine wakes with its timers late by that much, and a
#: file that somebody has changed or taken away is put right that soon.
NAP: Final = 10.0

#: How long a file system may take, in seconds: it waits for other writers for 5 of them.
PATIENCE: Final = 30.0


@dataclass(frozen=True, slots=True)
class Means:
    """What keeping a file takes: the time, by which what is in it ends; whom to tell; chance; and how long to wait."""

    clock: Clock
    report: Report
    spread: Callable[[], float]
    policy: RefreshPolicy = field(default_factory=RefreshPolicy)


class Attempts:
    """The attempts at one file. What hinders them is told once, not each time."""

    def __init__(self, path: str, what: str, role: str, means: Means) -> None:
        """None yet; the first is due."""
        self._path = path
        self._what = what
        self._role = role
        self._means = means
        self._failures = 0
        self._alike = 0
        self._trouble: AgentError | None = None
        self._due = 0.0  # steady time before which there is no other, after a failure
        self._wanted = asyncio.Event()
        self._turns = Turns(means.clock, PATIENCE)

    @property
    def due(self) -> bool:
        """Whether there may be an attempt now."""
        return self._means.clock.steady() >= self._due

    @property
    def trouble(self) -> AgentError | None:
        """Why the latest attempt failed, if it did."""
        return self._trouble

    def hurry(self) -> None:
        """Let there be one at once: something has changed."""
        self._due = 0.0
        self._wanted.set()

    def succeeded(self) -> int:
        """Forget the failures; how many there were in a row."""
        failures, self._failures, self._trouble = self._failures, 0, None
        return failures

    def failed(self, error: AgentError, good_until: datetime | None) -> None:
        """Plan the next attempt; tell of what has not been told of."""
        before, error = self._trouble, type(error)(error.what, hint=error.hint)  # what led to it has seen secrets
        self._trouble = error
        self._alike = self._alike + 1 if before is not None and before.retryable == error.retryable else 1
        self._failures += 1
        policy, spread = self._means.policy, self._means.spread()
        bare = good_until is None or good_until <= self._means.clock.now()
        if error.retryable:
            wait = policy.retry_after(self._alike, spread, bare=bare)
        else:
            wait = policy.refused_after(self._alike, spread)
        self._due = self._means.clock.steady() + wait.total_seconds()
        if before is None or before.what != error.what:
            self._means.report(FileStuck(self._path, self._what, self._role, error, wait, good_until))

    async def blocking(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do what blocks in a thread, one after the other. It may be cut off at our end: files are replaced whole.

        Raises what the work raises, and ConfigurationError if it hangs.
        """
        try:
            return await self._turns.take(work, *args, **kwargs)
        except TimeoutError as error:
            why, hint = f"no answer for {PATIENCE:.0f} s", "see to the file system that it is on"
            raise ConfigurationError(f"{self._path} cannot be replaced: {why}", hint=hint) from error
        except RuntimeError as error:  # the system allows no more threads
            why, hint = "there is no thread to be had", "see what uses them up"
            raise ConfigurationError(f"{self._path} cannot be replaced: {why}", hint=hint) from error

    async def nap(self, seconds: float = NAP) -> None:
        """Wait for so long at most, less if an attempt is due after a failure or somebody is in a hurry."""
        left = self._due - self._means.clock.steady()
        try:
            await within(self._means.clock, min(seconds, NAP, left if left > 0 else NAP), self._wanted.wait())
        except TimeoutError:
            return
        self._wanted.clear()
