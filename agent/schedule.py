"""When are credentials renewed, and how long is waited after a failure?

Pure: every instant, and every bit of chance (`spread`, from 0 up to but not including 1), is an argument.
"""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True)
class RefreshPolicy:
    """The times that rule one role's refreshes.

    Attributes:
        reserve: a set is renewed before it has less than this left. 25 minutes keep every SDK content: the
            most anxious of them (s3fs-fuse) asks again for each request once fewer than 20 remain.
        shortest: the least time, jitter aside, between two renewals that both succeed, or half the life if that
            is less, so that a role whose sessions are shorter than the reserve is not renewed without end.
        margin: what is left of a set when it stops being handed out.
        jitter: by how much of its waiting time a renewal may come early, so that a fleet spreads.
        retry_first: the ceiling of the first wait after a failure that will pass by itself.
        retry_held: the highest ceiling of those waits while usable credentials are held.
        retry_bare: the same while there are none, or soon will be: somebody is waiting for us.
        refused_first: the first wait after a failure that somebody has to mend.
        refused_most: the longest of those.
    """

    reserve: timedelta = timedelta(minutes=25)
    shortest: timedelta = timedelta(minutes=5)
    margin: timedelta = timedelta(seconds=60)
    jitter: float = 0.1
    retry_first: timedelta = timedelta(seconds=1)
    retry_held: timedelta = timedelta(seconds=60)
    retry_bare: timedelta = timedelta(seconds=6)
    refused_first: timedelta = timedelta(seconds=20)
    refused_most: timedelta = timedelta(minutes=5)

    def renew_after(self, lifetime: timedelta, spread: float) -> timedelta:
        """How long after they were obtained credentials are renewed: at half their life, or earlier."""
        half = lifetime / 2
        wanted = min(half, lifetime - self.reserve)
        floor = min(half, self.shortest)
        return max(wanted, floor) * (1 - self.jitter * spread)

    def retry_after(self, failures: int, spread: float, *, bare: bool) -> timedelta:
        """How long to wait after the latest of `failures` failures in a row that will pass by themselves.

        Exponential with full jitter: anything from nothing to the ceiling, so that a fleet that lost STS at
        one moment does not come back at one moment.
        """
        ceiling = _doubled(self.retry_first, failures, self.retry_bare if bare else self.retry_held)
        return ceiling * spread

    def refused_after(self, failures: int, spread: float) -> timedelta:
        """How long to wait after the latest of `failures` failures in a row that somebody has to mend."""
        ceiling = _doubled(self.refused_first, failures, self.refused_most)
        return ceiling * (0.5 + spread / 2)


def _doubled(first: timedelta, failures: int, most: timedelta) -> timedelta:
    doublings = min(max(failures, 1) - 1, 32)  # 2**32 times `first` is past any `most`, and timedelta overflows later
    return min(first * (1 << doublings), most)


def splay(roles: int, spread: float) -> timedelta:
    """How long after the start a role is first fetched: nothing for one role, up to 30 s for 600 and more."""
    return min(timedelta(milliseconds=50) * (roles - 1), timedelta(seconds=30)) * spread
