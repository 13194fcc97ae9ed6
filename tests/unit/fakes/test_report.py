"""Can tests trust the listener they are given?"""

from datetime import timedelta

from agent.events import ClockMeasured, TokenSigned
from tests.fakes.report import Reported


def test_it_remembers_all_in_order_and_can_tell_them_apart() -> None:
    reported = Reported()
    reported(TokenSigned("a"))
    reported(ClockMeasured(timedelta(seconds=3)))
    reported(TokenSigned("b"))
    assert reported == [TokenSigned("a"), ClockMeasured(timedelta(seconds=3)), TokenSigned("b")]
    assert reported.of(TokenSigned) == [TokenSigned("a"), TokenSigned("b")]
