import logging
from datetime import UTC, datetime, timedelta

import pytest

from agent.clock import SystemClock
from agent.errors import ConfigurationError
from agent.events import (
    AccountMissing,
    CallerEvent,
    CallersUnseen,
    FileEvent,
    FileStuck,
    FileWritten,
    UnitTokenEnding,
    UnitTokenRefused,
)
from agent.telemetry.caller_lines import (
    Reaching,
    Seeing,
    UnitTokenEvent,
    lines_of_files,
    lines_of_reaching,
    lines_of_seeing,
    lines_of_unit_tokens,
)
from agent.telemetry.key_lines import Line
from agent.telemetry.log import Log
from tests.fakes.caller_events import CALLER_EVENTS, FILE_EVENTS

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
WRONG = ConfigurationError("it is wrong", hint="mend it")

#: What each fact is called in the log, and how loud it is.
CALLED = {
    "AccountMissing": ("account_missing", logging.WARNING),
    "AccountsHeard": ("accounts_heard", logging.INFO),
    "AccountsSilent": ("accounts_silent", logging.ERROR),
    "CallerTokensChanged": ("caller_tokens_changed", logging.INFO),
    "CallerTokensReadable": ("caller_tokens_readable", logging.INFO),
    "CallerTokensUnreadable": ("caller_tokens_unreadable", logging.ERROR),
    "CallersSeen": ("callers_seen", logging.INFO),
    "CallersUnseen": ("callers_unseen", logging.ERROR),
    "ContainersSeen": ("containers_seen", logging.INFO),
    "ContainersUnseen": ("containers_unseen", logging.ERROR),
    "FileEmptied": ("file_emptied", logging.WARNING),
    "FileStuck": ("file_stuck", logging.ERROR),
    "FileWritten": ("file_written", logging.INFO),
    "ListenerOpened": ("listener_opened", logging.INFO),
    "ListenerWaiting": ("listener_waiting", logging.WARNING),
    "UnitTokenEnding": ("unit_token_ending", logging.WARNING),
    "UnitTokenIssued": ("unit_token_issued", logging.INFO),
    "UnitTokenRefused": ("unit_token_refused", logging.WARNING),
    "UnitTokensRotated": ("unit_tokens_rotated", logging.INFO),
    "UnitTokensUnwritable": ("unit_tokens_unwritable", logging.ERROR),
}


def only(event: CallerEvent | FileEvent) -> Line:
    """The one line of a fact."""
    if isinstance(event, FileEvent):
        (line,) = lines_of_files(event)
    elif isinstance(event, UnitTokenEvent):
        (line,) = lines_of_unit_tokens(event)
    elif isinstance(event, Reaching):
        (line,) = lines_of_reaching(event)
    else:
        assert isinstance(event, Seeing)
        (line,) = lines_of_seeing(event)
    return line


def logged(event: CallerEvent | FileEvent, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The one record that the log writes of a fact."""
    logger = logging.getLogger("tests.caller_lines")
    logger.setLevel(logging.DEBUG)
    caplog.clear()
    Log(logger, SystemClock())(event)
    (record,) = caplog.records
    return record


@pytest.mark.parametrize("event", [*CALLER_EVENTS, *FILE_EVENTS], ids=lambda event: type(event).__name__)
def test_every_fact_has_its_word_in_the_log_and_is_as_loud_as_it_matters(
    event: CallerEvent | FileEvent, caplog: pytest.LogCaptureFixture
) -> None:
    record = logged(event, caplog)
    assert (record.msg, record.levelno) == CALLED[type(event).__name__]


@pytest.mark.parametrize(
    "event",
    [event for event in (*CALLER_EVENTS, *FILE_EVENTS) if CALLED[type(event).__name__][1] > logging.INFO],
    ids=lambda event: type(event).__name__,
)
def test_whatever_somebody_may_have_to_mend_says_how_or_whose_doing_it_is(
    event: CallerEvent | FileEvent, caplog: pytest.LogCaptureFixture
) -> None:
    fields = logged(event, caplog).__dict__["fields"]
    assert fields.get("hint") or {"uid", "pid"} <= fields.keys()


def test_what_cannot_be_seen_is_told_as_it_was_found_out() -> None:
    line = only(CallersUnseen(WRONG))
    assert line.fields == {"error": "it is wrong", "hint": "mend it"}


@pytest.mark.parametrize("kind", ["user", "group"])
def test_a_missing_account_is_named_with_what_it_is(kind: str) -> None:
    line = only(AccountMissing(kind, "alice"))  # type: ignore[arg-type]  # one of the two
    assert (line.fields["kind"], line.fields["name"]) == (kind, "alice")
    assert f"make that {kind}" in str(line.fields["hint"])


def test_the_command_that_gives_a_unit_its_new_token_can_be_pasted() -> None:
    line = only(UnitTokenEnding("backup@daily.service", NOON))
    assert str(line.fields["hint"]).endswith(": systemctl restart backup@daily.service")
    assert line.fields["ends"] == NOON


def test_who_was_refused_a_units_token_is_named_and_counted() -> None:
    line = only(UnitTokenRefused(1000, 4711, "not_systemd", 3))
    assert line.fields == {"uid": 1000, "pid": 4711, "reason": "not_systemd", "count": 3}


@pytest.mark.parametrize(("failures", "shown"), [(0, None), (3, 3)])
def test_a_file_that_went_wrong_before_says_so_when_it_is_written(failures: int, shown: int | None) -> None:
    line = only(FileWritten("/a", "credentials", "web", NOON, failures))
    assert line.fields["after_failures"] == shown


def test_a_file_that_is_stuck_says_until_when_what_it_holds_is_good() -> None:
    line = only(FileStuck("/a", "credentials", "web", WRONG, timedelta(seconds=5), NOON))
    assert line.fields["good_until"] == NOON
    assert (line.fields["error"], line.fields["hint"]) == ("it is wrong", "mend it")


def test_what_is_in_a_file_for_others_is_called_by_its_audience() -> None:
    for event in (
        FileWritten("/run/vault.jwt", "token", "vault", NOON),
        FileStuck("/run/vault.jwt", "token", "vault", WRONG, timedelta(seconds=1), None),
    ):
        fields = only(event).fields
        assert (fields["what"], fields["audience"]) == ("token", "vault")
        assert "role" not in fields
