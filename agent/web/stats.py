"""How many requests were answered, how, and how long did they take?

Plain numbers, added to on the way of every request and read when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

#: Upper bounds of the duration buckets, in seconds: from an answer that was ready to one that somebody gave up on.
BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class Durations:
    """How long some things took: counts between bounds, the last beyond all of them, and the sum; in seconds."""

    __slots__ = ("_bounds", "_counts", "_first", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Nothing has happened yet; `bounds` are ascending."""
        self._bounds = bounds
        self._first = bounds[0]
        self._counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Add one; the first bound is looked at first, because on the hot path nearly everything lies below it."""
        self._counts[0 if seconds <= self._first else bisect_left(self._bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> Sequence[int]:
        """How many took no longer than each bound, and then how many there were."""
        return tuple(accumulate(self._counts))


class RequestStats:
    """What was answered since the start. Labels are as many as outputs times roles times statuses, and no more."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, Durations] = {}

    def count(self, key: tuple[str, str, int], seconds: float) -> None:
        """Add one answer: (output, role or "", status), and what it took."""
        requests = self._requests
        requests[key] = requests.get(key, 0) + 1
        durations = self._durations.get(key[0])
        if durations is None:
            durations = self._durations[key[0]] = Durations(BOUNDS)
        durations.add(seconds)

    def requests(self) -> Mapping[tuple[str, str, int], int]:
        """Answers given, by (output, role, status)."""
        return dict(self._requests)

    def durations(self, output: str) -> tuple[Sequence[float], Sequence[int], float]:
        """(bucket bounds in s, counts up to each bound and then of all, sum in s) of one output's answers."""
        found = self._durations.get(output) or Durations(BOUNDS)
        return BOUNDS, found.cumulative(), found.total
