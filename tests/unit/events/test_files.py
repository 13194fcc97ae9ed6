from datetime import UTC, datetime

from agent.events import FileEvent, FileWritten
from tests.fakes.caller_events import FILE_EVENTS
from tests.unit.events.plain import check_kinds, check_plain


def test_each_kind_says_what_happened_and_has_no_room_for_a_secret() -> None:
    check_kinds(FileEvent, FILE_EVENTS)


def test_what_happened_stays_what_happened() -> None:
    check_plain(FILE_EVENTS)


def test_a_file_that_was_written_at_once_had_no_failures() -> None:
    assert FileWritten("/a", "credentials", "web", datetime(2026, 11, 20, tzinfo=UTC)).failures == 0
