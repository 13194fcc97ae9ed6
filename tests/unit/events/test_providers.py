from agent.events import ProviderEvent
from tests.fakes.provider_events import PROVIDER_EVENTS
from tests.unit.events.plain import check_kinds, check_plain


def test_each_kind_says_what_happened_and_has_no_room_for_a_secret() -> None:
    check_kinds(ProviderEvent, PROVIDER_EVENTS)


def test_what_happened_stays_what_happened() -> None:
    check_plain(PROVIDER_EVENTS)
