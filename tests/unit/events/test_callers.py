from agent.events import CallerEvent
from tests.fakes.caller_events import CALLER_EVENTS
from tests.unit.events.plain import check_kinds, check_plain


def test_each_kind_says_what_happened_and_has_no_room_for_a_secret() -> None:
    check_kinds(CallerEvent, CALLER_EVENTS)


def test_what_happened_stays_what_happened() -> None:
    check_plain(CALLER_EVENTS)
