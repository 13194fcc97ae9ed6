from agent.events import SigningInEvent
from tests.fakes.token_events import SIGNING_IN_EVENTS
from tests.unit.events.plain import check_kinds, check_plain


def test_each_kind_says_what_happened_and_has_no_room_for_a_secret() -> None:
    check_kinds(SigningInEvent, SIGNING_IN_EVENTS)


def test_what_happened_stays_what_happened() -> None:
    check_plain(SIGNING_IN_EVENTS)
