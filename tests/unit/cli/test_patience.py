import io

import pytest

from agent.cli.patience import RealPace, patiently
from agent.cli.terminal import Progress
from agent.errors import AgentUnreachable, CallerDenied, CredentialsUnavailable


class Slow:
    """A pace that costs no time, and at which each look at it takes `each` seconds."""

    def __init__(self, each: float = 0.0) -> None:
        self.time = 100.0
        self.slept: list[float] = []
        self._each = each

    def steady(self) -> float:
        self.time += self._each
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_what_works_at_once_is_not_waited_for() -> None:
    pace = Slow()
    assert patiently(lambda _: "there", 30, "it", pace=pace) == "there"
    assert pace.slept == []


def test_it_tries_until_it_works() -> None:
    pace, left = Slow(), []

    def attempt(seconds: float) -> str:
        left.append(seconds)
        if len(left) < 4:
            raise AgentUnreachable("away")
        return "there"

    assert patiently(attempt, 30, "it", pace=pace) == "there"
    assert left == [30, 29.75, 29.5, 29.25]


def test_when_time_is_up_the_last_reason_comes_out() -> None:
    reasons = iter([AgentUnreachable("away"), *(CredentialsUnavailable(f"not yet {n}") for n in range(99))])
    pace = Slow()

    def attempt(_: float) -> None:
        raise next(reasons)

    with pytest.raises(CredentialsUnavailable, match="not yet 3"):
        patiently(attempt, 1.0, "it", pace=pace)
    assert sum(pace.slept) == 1.0


def test_with_no_time_at_all_it_is_still_tried_once() -> None:
    pace, tried = Slow(), []

    def attempt(seconds: float) -> None:
        tried.append(seconds)
        raise AgentUnreachable("away")

    with pytest.raises(AgentUnreachable):
        patiently(attempt, 0, "it", pace=pace)
    assert (tried, pace.slept) == ([0], [])


def test_what_waiting_does_not_change_comes_out_at_once() -> None:
    pace = Slow()

    def attempt(_: float) -> None:
        raise CallerDenied("no grant")

    with pytest.raises(CallerDenied):
        patiently(attempt, 30, "it", pace=pace)
    assert pace.slept == []


@pytest.mark.parametrize(("seconds", "told"), [(0.9, False), (2.0, True)])
def test_who_waits_longer_than_a_second_is_told_for_whom_and_why(
    seconds: float, *, told: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    screen = Screen()

    def attempt(_: float) -> None:
        raise AgentUnreachable("nobody answers")

    with pytest.raises(AgentUnreachable):
        patiently(attempt, seconds, "role backup", pace=Slow(), line=Progress(screen))
    assert ("waiting for role backup, 1 s: nobody answers" in screen.getvalue()) is told
    assert not told or screen.getvalue().endswith("\r\x1b[K")


def test_the_real_pace_is_that_of_the_machine() -> None:
    pace = RealPace()
    before = pace.steady()
    pace.sleep(0.01)
    assert 0.01 <= pace.steady() - before < 5
