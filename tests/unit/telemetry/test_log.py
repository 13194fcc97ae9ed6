"""Does the log say what somebody must know, once, and never more than it should?"""

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import IO, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, KeyUnavailable
from agent.events import (
    CallerTokensChanged,
    CallerTokensReadable,
    CallerTokensUnreadable,
    ClockMeasured,
    CredentialsVended,
    Event,
    RenewalFailed,
    RequestRefused,
    RosterFull,
    SessionRenewed,
    StsAnswered,
    TokenSigned,
    VendingDenied,
)
from agent.telemetry.audit import Audit
from agent.telemetry.log import AUDIT, LOGGER, Format, Level, LineFormatter, Log, configure, to_journal, write
from tests.fakes.caller_events import CALLER_EVENTS, FILE_EVENTS
from tests.fakes.clock import FakeClock
from tests.fakes.key_events import KEY_EVENTS
from tests.fakes.provider_events import PROVIDER_EVENTS
from tests.fakes.token_events import SIGNING_IN_EVENTS, TOKEN_EVENTS, VERIFYING_EVENTS

DOWN = CredentialsUnavailable("STS does not answer.", hint="Is the network up?")
REFUSED = CredentialsRefused("STS refuses: AccessDenied.", hint="Compare the trust policy.")
OTHERS = (
    "botocore.endpoint",
    "aiobotocore.client",
    "aiohttp.access",
    "urllib3.connectionpool",
    "asyncio",
    "never.heard.of",
)


OPENED: list[IO[str]] = []


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """`configure` is for a whole process; this one goes on to other tests."""
    root, raises = logging.getLogger(), logging.raiseExceptions
    names = (LOGGER, AUDIT, "botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")
    before = [(logging.getLogger(name), logging.getLogger(name).level) for name in names]
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], logging.raiseExceptions = handlers, raises
    root.setLevel(level)
    for logger, was in before:
        logger.setLevel(was)
    while OPENED:
        OPENED.pop().close()


class Written:
    """A log in a file, and the clock it tells by."""

    def __init__(self, level: Level = "info", layout: Format = "json", *, journal: bool = False) -> None:
        self.stream = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - the fixture closes it
        OPENED.append(self.stream)
        self.logger = configure(level, layout, self.stream, journal=journal)
        self.clock = FakeClock()
        self.log = Log(self.logger, self.clock)

    def lines(self) -> list[str]:
        logging.getLogger().handlers[0].flush()
        return os.pread(self.stream.fileno(), 1 << 20, 0).decode().splitlines()

    def facts(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.lines()]


def failed(error: AgentError, failures: int = 1, *, left: timedelta | None = timedelta(minutes=30)) -> RenewalFailed:
    until = None if left is None else FakeClock().now() + left
    return RenewalFailed("backup", error, failures, timedelta(seconds=2), timedelta(seconds=9), until)


def renewed() -> SessionRenewed:
    ends = FakeClock().now() + timedelta(hours=1)
    return SessionRenewed("backup", "ASIAABCDEFGHIJKLWXYZ", ends, timedelta(milliseconds=234), timedelta(minutes=28.5))


def test_a_renewal_is_one_line_with_four_characters_of_its_key_id() -> None:
    written = Written(layout="text")
    written.log(renewed())
    [line] = written.lines()
    assert re.sub(r"^time=\S+ ", "", line) == (
        "level=info event=session_renewed role=backup key_id=WXYZ "
        "expires=2026-11-20T13:00:00Z took=0.234s renew_in=1710s"
    )


def test_the_same_line_as_json() -> None:
    written = Written()
    written.log(renewed())
    [fact] = written.facts()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(fact.pop("time")))
    assert fact == {
        "level": "info",
        "event": "session_renewed",
        "role": "backup",
        "key_id": "WXYZ",
        "expires": "2026-11-20T13:00:00Z",
        "took": "0.234s",
        "renew_in": "1710s",
    }


def test_auto_is_text_on_a_terminal_and_json_anywhere_else(tmp_path: Path) -> None:
    read, terminal = os.openpty()
    with os.fdopen(terminal, "w") as stream:
        write(configure("info", "auto", stream, journal=False), logging.INFO, "something_happened")
        assert os.read(read, 100).startswith(b"time=")
    os.close(read)
    with (tmp_path / "log").open("w") as stream:
        write(configure("info", "auto", stream, journal=False), logging.INFO, "something_happened")
        logging.getLogger().handlers[0].flush()
        assert (tmp_path / "log").read_text().startswith("{")


def test_the_journal_is_told_how_serious_each_line_is() -> None:
    written = Written("debug", journal=True)
    for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL):
        write(written.logger, level, "something_happened")
    assert [line[:4] for line in written.lines()] == ["<7>{", "<6>{", "<4>{", "<3>{", "<2>{"]


@pytest.mark.parametrize(("declared", "is_it"), [("8:4711", True), ("8:471", False), ("", False), (None, False)])
def test_the_journal_is_known_by_device_and_inode(declared: str | None, *, is_it: bool) -> None:
    assert to_journal(declared, 8, 4711) is is_it


@pytest.mark.parametrize("name", OTHERS)
def test_what_others_would_tell_when_debugging_is_never_asked_for(name: str) -> None:
    written = Written("debug")
    logging.getLogger(name).debug("Authorization: secret-canary")
    logging.getLogger(name).info("secret-canary")
    assert written.lines() == []
    logging.getLogger(name).warning("the connection was lost: %s", "reset")
    [fact] = written.facts()
    assert (fact["event"], fact["logger"], fact["message"]) == ("message", name, "the connection was lost: reset")


@pytest.mark.parametrize("name", OTHERS)
def test_at_level_error_warnings_are_left_out_ours_and_theirs(name: str) -> None:
    written = Written("error")
    logging.getLogger(name).warning("hm")
    written.log(failed(DOWN))
    assert written.lines() == []


def test_the_audit_is_written_at_every_level() -> None:
    written = Written("error")
    write(logging.getLogger(AUDIT), logging.INFO, "credentials_served")
    assert [fact["event"] for fact in written.facts()] == ["credentials_served"]


def test_configuring_again_replaces_what_was_configured() -> None:
    first, second = Written(), Written()
    second.log(renewed())
    assert (len(first.lines()), len(second.lines())) == (0, 1)


def test_a_bug_is_told_with_its_traceback_in_one_line() -> None:
    written = Written(layout="text")
    try:
        _ = 1 // int("0")
    except ZeroDivisionError:
        logging.getLogger("aiohttp.server").exception("Error handling request")
    [line] = written.lines()
    assert "ZeroDivisionError" in line
    assert 'traceback="Traceback' in line


def test_a_stream_that_is_gone_harms_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    written = Written()
    written.stream.close()
    written.log(renewed())
    assert capsys.readouterr().err == ""


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_no_value_can_make_a_second_line_or_a_second_field(value: str) -> None:
    for text in (True, False):
        record = logging.LogRecord(LOGGER, logging.INFO, "", 0, "it_happened", None, None)
        record.fields = {"caller": value, "role": "backup"}
        line = LineFormatter(text=text, journal=False).format(record)
        assert len(line.splitlines()) == 1
        assert all(letter.isprintable() for letter in line)
        if text:
            field = r'(?:[^\s"=]+|"(?:[^"\\]|\\.)*")'
            assert re.fullmatch(rf"time={field} level=info event=it_happened caller={field} role=backup", line)
        else:
            assert json.loads(line)["caller"] == value


def test_a_terminal_that_is_shown_json_gets_no_control_character_either() -> None:
    written = Written()
    write(written.logger, logging.INFO, "it_happened", caller="a\x7f\x9b2J\u202e")
    [line] = written.lines()
    assert line.endswith(r'"caller": "a\u007f\u009b2J\u202e"}')


def test_text_that_would_forge_a_line_or_steer_a_terminal_is_shown_as_what_it_is() -> None:
    written = Written(layout="text")
    write(written.logger, logging.INFO, "it_happened", caller='a" role=root\nlevel=error \x1b[2J\u202e\x7f')
    [line] = written.lines()
    assert line.endswith(r'caller="a\" role=root\nlevel=error \u001b[2J\u202e\u007f"')


def test_the_first_failure_is_told_with_what_to_do() -> None:
    written = Written()
    written.log(failed(DOWN))
    [fact] = written.facts()
    expected = {
        "level": "warning",
        "event": "renewal_failed",
        "role": "backup",
        "kind": "CredentialsUnavailable",
        "error": DOWN.what,
        "hint": DOWN.hint,
        "failures": 1,
        "took": "2s",
        "retry_in": "9s",
        "held_until": "2026-11-20T12:30:00Z",
        "held": "good",
    }
    assert {name: fact[name] for name in expected} == expected


async def test_an_outage_of_a_day_is_a_hundred_lines_not_thousands() -> None:
    written = Written()
    for number in range(1, 24 * 60 + 1):
        written.log(failed(DOWN, number, left=None))
        await written.clock.advance(timedelta(minutes=1))
    facts = written.facts()
    assert len(facts) == 24 * 4
    assert [fact["failures"] for fact in facts[:3]] == [1, 16, 31]


@pytest.mark.parametrize("left", [timedelta(minutes=14), None])
def test_failing_with_the_end_near_or_past_is_an_error_and_told_at_once(left: timedelta | None) -> None:
    written = Written()
    written.log(failed(DOWN, 1))
    written.log(failed(DOWN, 2))
    written.log(failed(DOWN, 3, left=left))
    written.log(failed(DOWN, 4, left=left))
    assert [(fact["level"], fact["failures"]) for fact in written.facts()] == [("warning", 1), ("error", 3)]


@pytest.mark.parametrize("error", [REFUSED, KeyUnavailable("The key is gone.", hint="Put it back.")])
def test_what_somebody_must_mend_is_an_error_each_time(error: AgentError) -> None:
    written = Written()
    for number in (1, 2, 3):
        written.log(failed(error, number))
    assert [fact["level"] for fact in written.facts()] == ["error"] * 3


def test_another_kind_of_failure_is_told_at_once() -> None:
    written = Written()
    written.log(failed(DOWN, 1))
    written.log(failed(REFUSED, 2))
    written.log(failed(DOWN, 3))
    assert [fact["kind"] for fact in written.facts()] == [
        "CredentialsUnavailable",
        "CredentialsRefused",
        "CredentialsUnavailable",
    ]


def test_the_renewal_after_failures_says_how_many_there_were_and_the_next_failure_is_a_first_again() -> None:
    written = Written()
    for event in (failed(DOWN, 1), failed(DOWN, 2), renewed(), renewed(), failed(DOWN, 1)):
        written.log(event)
    facts = written.facts()
    assert [fact["event"] for fact in facts] == [
        "renewal_failed",
        "session_renewed",
        "session_renewed",
        "renewal_failed",
    ]
    assert [fact.get("after_failures") for fact in facts[1:3]] == [2, None]


async def test_a_wrong_clock_is_told_when_it_starts_then_hourly_and_when_it_is_right_again() -> None:
    written = Written()
    for _ in range(150):
        written.log(ClockMeasured(timedelta(seconds=-61)))
        await written.clock.advance(timedelta(minutes=1))
    for _ in range(2):
        written.log(ClockMeasured(timedelta(seconds=60)))
    facts = written.facts()
    assert [(fact["level"], fact["event"]) for fact in facts] == [
        ("warning", "clock_off"),
        ("warning", "clock_off"),
        ("warning", "clock_off"),
        ("info", "clock_right_again"),
    ]
    assert facts[0]["offset"] == "-61s"


@pytest.mark.parametrize(
    ("event", "level", "name"),
    [
        (TokenSigned("kid"), "debug", "token_signed"),
        (StsAnswered("Success"), "debug", "sts_answered"),
        (CallerTokensChanged("/etc/rolecall/tokens/web", timedelta(hours=1)), "info", "caller_tokens_changed"),
        (
            CallerTokensUnreadable("/etc/rolecall/tokens/web", DOWN, timedelta(0)),
            "error",
            "caller_tokens_unreadable",
        ),
        (CallerTokensReadable("/etc/rolecall/tokens/web"), "info", "caller_tokens_readable"),
    ],
)
def test_other_facts_have_a_line_each(event: Event, level: str, name: str) -> None:
    written = Written("debug")
    written.log(event)
    assert [(fact["level"], fact["event"]) for fact in written.facts()] == [(level, name)]


def test_who_reads_of_a_file_of_tokens_that_cannot_be_read_reads_until_when_old_ones_are_good() -> None:
    written = Written("info")
    for good_for in (timedelta(0), timedelta(hours=1)):
        written.log(CallerTokensUnreadable("/etc/rolecall/tokens/web", DOWN, good_for))
    exposed, missing = written.facts()
    assert (exposed["callers"], exposed.get("old_good_until")) == ("unknown", None)
    assert (missing["callers"], missing["old_good_until"]) == ("known_until_old_tokens_end", "2026-11-20T13:00:00Z")


@pytest.mark.parametrize("layout", ["text", "json"])
def test_of_every_fact_there_is_no_line_holds_more_than_four_characters_of_a_key_id(layout: Format) -> None:
    written = Written("debug", layout)
    key_id, when = "ASIACANARYCANARYWXYZ", FakeClock().now()
    refused = CredentialsRefused("No.", hint="Ask.")
    every = (
        SessionRenewed("backup", key_id, when, timedelta(0), timedelta(0)),
        RenewalFailed("backup", refused, 1, timedelta(0), timedelta(0), when),
        CredentialsVended("backup", "web", key_id, when),
        VendingDenied("backup", "web", "not_granted", refused),
        RequestRefused("127.0.0.1", "refused_host"),
        RosterFull("backup", "uid 1000", 10, 5),
        TokenSigned("kid"),
        StsAnswered("Success"),
        ClockMeasured(timedelta(hours=1)),
        *CALLER_EVENTS,
        *FILE_EVENTS,
        *KEY_EVENTS,
        *PROVIDER_EVENTS,
        *TOKEN_EVENTS,
        *SIGNING_IN_EVENTS,
        *VERIFYING_EVENTS,
    )
    assert {type(event) for event in every} == set(get_args(Event))
    audit = Audit(written.logger, written.clock)
    for event in every:
        written.log(event)
        audit(event)
    assert len(written.lines()) == len(every)
    assert [line for line in written.lines() if "WXYZ" in line]
    assert not [line for line in written.lines() if "CANARY" in line]


async def test_a_roster_that_is_full_is_told_of_now_and_again() -> None:
    written = Written("info")
    for _ in range(100):
        written.log(RosterFull("backup", "uid 1000", 10, 5))
    await written.clock.advance(timedelta(minutes=15))
    written.log(RosterFull("backup", "uid 1001", 10, 5))
    assert [(fact["event"], fact["payer"]) for fact in written.facts()] == [
        ("sessions_full", "uid 1000"),
        ("sessions_full", "uid 1001"),
    ]


def test_who_was_given_what_is_left_to_the_audit() -> None:
    written = Written("debug")
    written.log(CredentialsVended("backup", "web", "ASIAABCDEFGHIJKLWXYZ", FakeClock().now()))
    written.log(VendingDenied("backup", "web", "not_granted", DOWN))
    written.log(RequestRefused("127.0.0.1", "refused_host"))
    assert written.lines() == []
