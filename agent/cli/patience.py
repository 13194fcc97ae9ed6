"""How long do we wait for somebody else, and what does the person see meanwhile?

The only file of the commands that waits: nothing here needs an event loop, which takes long to load.
"""

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from agent.cli.terminal import Progress
from agent.errors import AgentError

T = TypeVar("T")

#: After how long a person begins to wonder, and how often is tried again; in seconds.
_QUIET, _BETWEEN = 1.0, 0.25


class Pace(Protocol):
    """Where the waiting is done."""

    def steady(self) -> float:
        """Seconds since some moment; never jumps."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class RealPace:
    """The pace of this machine."""

    def steady(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait; Ctrl-C ends it."""
        time.sleep(seconds)


def patiently(
    attempt: Callable[[float], T], seconds: float, whom: str, *, pace: Pace | None = None, line: Progress | None = None
) -> T:
    """Try until it works, for so many seconds at most and at least once; `attempt` is told how many are left.

    Raises the last AgentError when time is up, and one that is not retryable at once. Who waits for longer than a
    second is told for `whom`, and why.
    """
    pace = pace or RealPace()
    started = pace.steady()
    with line or Progress() as progress:
        while True:
            try:
                return attempt(max(0.0, seconds - (pace.steady() - started)))
            except AgentError as error:
                waited = pace.steady() - started
                if not error.retryable or waited >= seconds:
                    raise
                if waited >= _QUIET:
                    progress.show(f"waiting for {whom}, {waited:.0f} s: {error.what}")
            pace.sleep(min(_BETWEEN, seconds - waited))
