"""How many requests were answered, how, and how long did they take?

Plain numbers, added to on the way of every request and read when somebody looks.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import accumulate

#: Upper bounds of the duration buckets, in seconds: from an answer that was ready to one that somebody gave up on.
BOUNDS = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class _Durations:
    """A histogram; the last count is of what lies beyond all bounds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0


class RequestStats:
    """What was answered since the start. Labels are as many as outputs times roles times statuses, and no more."""

    def __init__(self) -> None:
        """Start from nothing."""
        self._requests: dict[tuple[str, str, int], int] = {}
        self._durations: dict[str, _Durations] = {}

    def count(self, key: tuple[str, str, int], seconds: float) -> None:
        """Add one answer: (output, role or "", status), and what it took."""
        requests = self._requests
        requests[key] = requests.get(key, 0) + 1
        durations = self._durations.get(key[0])
        if durations is None:
            durations = self._durations[key[0]] = _Durations()
        durations.counts[0 if seconds <= BOUNDS[0] else bisect_left(BOUNDS, seconds)] += 1
        durations.total += seconds

    def requests(self) -> Mapping[tuple[str, str, int], int]:
        """Answers given, by (output, role, status)."""
        return dict(self._requests)

    def durations(self, output: str) -> tuple[Sequence[float], Sequence[int], float]:
        """(bucket bounds in s, counts up to each bound and then of all, sum in s) of one output's answers."""
        found = self._durations.get(output) or _Durations()
        return BOUNDS, tuple(accumulate(found.counts)), found.total
