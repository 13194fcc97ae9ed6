"""What does the operator read?

One line a fact, in stable words: `event=session_renewed role=backup …`. What strangers may have chosen (a name,
a path, somebody else's message) is escaped, so that nobody can forge a line or steer a terminal.
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, TextIO

from agent.clock import Clock, instant
from agent.events import (
    CallerTokensUnreadable,
    ClockMeasured,
    CredentialsVended,
    Event,
    FileEvent,
    KeyEvent,
    ProviderEvent,
    RenewalFailed,
    RequestRefused,
    RosterFull,
    SessionRenewed,
    SigningInEvent,
    StsAnswered,
    TokenDenied,
    TokenRenewalFailed,
    TokenRenewed,
    TokenSigned,
    TokenVended,
    VendingDenied,
    VerifyingEvent,
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
from agent.telemetry.key_lines import Field, Line, key_lines
from agent.telemetry.provider_lines import lines_of_providers
from agent.telemetry.renewal_lines import RenewalLines
from agent.telemetry.signing_in_lines import lines_of_signing_in
from agent.telemetry.stream import Outlet
from agent.telemetry.verifying_lines import lines_of_verifying

Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "text", "json"]

#: The logger of everything that is ours.
LOGGER: Final = "rolecall"

#: The logger of the audit lines, a child of ours; they are written whatever the level.
AUDIT: Final = "rolecall.audit"

#: These tell what they send and get when asked to debug, tokens and secret keys included; they are never asked.
_TALKATIVE: Final = ("botocore", "aiobotocore", "aiohttp", "urllib3", "asyncio")

#: syslog's priorities (sd-daemon(3)), for systemd's journal.
_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_LEVELS: Final = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}

#: How long what lasts is not told again.
_AGAIN: Final = timedelta(minutes=15)

#: A clock that is off by more is told of; AWS takes tokens up to 5 minutes off, other parties often fewer.
_CLOCK_OFF: Final = timedelta(seconds=60)
_CLOCK_AGAIN: Final = timedelta(hours=1)

_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:/@+,%*~-]+")
_ESCAPES: Final = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def configure(level: Level, layout: Format, stream: TextIO, *, journal: bool) -> logging.Logger:
    """Let all logging of this process go to `stream`, ours from `level`, other people's from warnings; give our logger.

    `auto` is text on a terminal and JSON anywhere else. `journal` puts a priority before each line. A `stream` that
    nobody reads holds nobody up.
    """
    text = layout == "text" or (layout == "auto" and stream.isatty())
    written = Outlet(stream.fileno())
    written.setFormatter(LineFormatter(text=text, journal=journal))
    root = logging.getLogger()
    root.handlers[:] = [written]
    quiet = max(_LEVELS[level], logging.WARNING)
    root.setLevel(quiet)
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(quiet)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to print what was to be in it
    logging.getLogger(AUDIT).setLevel(logging.INFO)
    ours = logging.getLogger(LOGGER)
    ours.setLevel(_LEVELS[level])
    return ours


def to_journal(journal_stream: str | None, device: int, inode: int) -> bool:
    """Whether the stream with this device and inode is the one that $JOURNAL_STREAM names (systemd.exec(5))."""
    return journal_stream == f"{device}:{inode}"


def write(logger: logging.Logger, level: int, event: str, **fields: Field) -> None:
    """Write one fact as one line; fields that are None are left out."""
    if logger.isEnabledFor(level):
        logger.log(level, event, extra={"fields": {name: value for name, value in fields.items() if value is not None}})


class LineFormatter(logging.Formatter):
    """One record, one line: key=value or a JSON object, with no way to make it two."""

    def __init__(self, *, text: bool, journal: bool) -> None:
        super().__init__()
        self._text = text
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        fields = self._fields(record)
        line = _as_text(fields) if self._text else _as_json(fields)
        return f"<{_PRIORITIES.get(record.levelno, 5)}>{line}" if self._journal else line

    def _fields(self, record: logging.LogRecord) -> dict[str, Field]:
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Field] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
        }
        facts: Mapping[str, Field] | None = getattr(record, "fields", None)
        if facts is not None:
            fields |= {"event": record.msg, **facts}
        else:  # somebody else's line
            fields |= {"event": "message", "logger": record.name, "message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields


def _as_text(fields: Mapping[str, Field]) -> str:
    return " ".join(f"{name}={_quoted(_shown(value))}" for name, value in fields.items())


def _as_json(fields: Mapping[str, Field]) -> str:
    ready = {name: value if isinstance(value, int | float) else _shown(value) for name, value in fields.items()}
    return json.dumps(ready)  # in ASCII, so that nothing in it steers a terminal


def _shown(value: Field) -> str:
    match value:
        case datetime():
            return instant(value)
        case timedelta():
            return f"{value.total_seconds():.3f}".rstrip("0").rstrip(".") + "s"
        case _:
            return str(value)


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    return '"' + "".join(_ESCAPES.get(letter) or _visible(letter) for letter in value) + '"'


def _visible(letter: str) -> str:
    """The letter, or its number if it would not be seen: controls, line separators, what turns writing round."""
    return letter if letter.isprintable() else f"\\u{ord(letter):04x}"


#: Facts whose lines depend on nothing but themselves.
_Simple = KeyEvent | FileEvent | Seeing | Reaching | UnitTokenEvent | ProviderEvent | SigningInEvent | VerifyingEvent


def _lines_of(event: _Simple) -> Iterator[Line]:
    if isinstance(event, FileEvent):
        yield from lines_of_files(event)
    elif isinstance(event, UnitTokenEvent):
        yield from lines_of_unit_tokens(event)
    elif isinstance(event, Reaching):
        yield from lines_of_reaching(event)
    elif isinstance(event, Seeing):
        yield from lines_of_seeing(event)
    elif isinstance(event, ProviderEvent):
        yield from lines_of_providers(event)
    elif isinstance(event, SigningInEvent):
        yield from lines_of_signing_in(event)
    elif isinstance(event, VerifyingEvent):
        yield from lines_of_verifying(event)
    else:
        yield from key_lines(event)


class Log:
    """Writes a line for each fact that somebody may want to read; who was given what is for `audit`."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        """Write to `logger`. `clock` is the one by which credentials end."""
        self._logger = logger
        self._clock = clock
        self._renewals = RenewalLines(clock)
        self._full_told: dict[str, float] = {}
        self._clock_told: float | None = None

    def __call__(self, event: Event) -> None:
        """Write the line of this fact, if it is due one."""
        match event:
            case SessionRenewed() | RenewalFailed() | TokenRenewed() | TokenRenewalFailed():
                if line := self._renewals.line(event):
                    self._write(line)
            case TokenSigned():
                write(self._logger, logging.DEBUG, "token_signed", kid=event.kid)
            case StsAnswered():
                write(self._logger, logging.DEBUG, "sts_answered", code=event.code)
            case ClockMeasured():
                self._measured(event.offset)
            case CallerTokensUnreadable():
                self._unreadable(event)
            case CredentialsVended() | VendingDenied() | TokenVended() | TokenDenied() | RequestRefused():
                return  # who was given what is for `audit`
            case RosterFull():
                self._full(event)
            case _:
                self._lines(event)

    def _lines(self, event: _Simple) -> None:
        for line in _lines_of(event):
            self._write(line)

    def _write(self, line: Line) -> None:
        write(self._logger, line.level, line.event, **line.fields)

    def _full(self, event: RosterFull) -> None:
        """Told again when it has lasted: whoever makes up names tries without end."""
        now, told = self._clock.steady(), self._full_told.get(event.name)
        if told is not None and now - told < _AGAIN.total_seconds():
            return
        self._full_told[event.name] = now
        write(
            self._logger,
            logging.WARNING,
            "sessions_full",
            **{event.by: event.name},
            payer=event.payer,
            kept=event.kept,
            for_payer=event.mine,
            hint="let the grant name something that fewer callers differ in, such as ${USER} instead of ${USER_UNIT}",
        )

    def _unreadable(self, event: CallerTokensUnreadable) -> None:
        until = self._clock.now() + event.good_for if event.good_for else None
        write(
            self._logger,
            logging.ERROR,
            "caller_tokens_unreadable",
            path=event.path,
            error=event.error.what,
            hint=event.error.hint,
            callers="unknown" if until is None else "known_until_old_tokens_end",
            old_good_until=until,
        )

    def _measured(self, offset: timedelta) -> None:
        now = self._clock.steady()
        if abs(offset) <= _CLOCK_OFF:
            if self._clock_told is not None:
                self._clock_told = None
                write(self._logger, logging.INFO, "clock_right_again", offset=offset)
            return
        if self._clock_told is not None and now - self._clock_told < _CLOCK_AGAIN.total_seconds():
            return
        self._clock_told = now
        write(
            self._logger,
            logging.WARNING,
            "clock_off",
            offset=offset,
            hint="AWS's clock is used for tokens meanwhile; set this machine's: is its time service running?",
        )
