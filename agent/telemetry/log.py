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
from agent.errors import AgentError
from agent.events import (
    CallerTokensUnreadable,
    ClockMeasured,
    CredentialsVended,
    Event,
    FileEvent,
    KeyEvent,
    RenewalFailed,
    RequestRefused,
    RosterFull,
    SessionRenewed,
    StsAnswered,
    TokenSigned,
    VendingDenied,
)
from agent.status.snapshot import READY_FOR, last_four
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
from agent.telemetry.stream import Outlet

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

#: How long a failure that will pass by itself is not told again: a day's outage is a hundred lines a role.
_AGAIN: Final = timedelta(minutes=15)

#: A clock that is off by more is told of; AWS takes tokens up to 5 minutes off, other parties often fewer.
_CLOCK_OFF: Final = timedelta(seconds=60)
_CLOCK_AGAIN: Final = timedelta(hours=1)

#: So many sessions that fail are told apart.
_MOST: Final = 4096

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


def _lines_of(event: KeyEvent | FileEvent | Seeing | Reaching | UnitTokenEvent) -> Iterator[Line]:
    if isinstance(event, FileEvent):
        yield from lines_of_files(event)
    elif isinstance(event, UnitTokenEvent):
        yield from lines_of_unit_tokens(event)
    elif isinstance(event, Reaching):
        yield from lines_of_reaching(event)
    elif isinstance(event, Seeing):
        yield from lines_of_seeing(event)
    else:
        yield from key_lines(event)


class Log:
    """Writes a line for each fact that somebody may want to read; who was given what is for `audit`."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        """Write to `logger`. `clock` is the one by which credentials end."""
        self._logger = logger
        self._clock = clock
        # Of each session that fails, by its role and what it is about: how often, and when and how loud it was told.
        self._told: dict[tuple[str, str], tuple[float, int, type[AgentError]]] = {}
        self._failures: dict[tuple[str, str], int] = {}
        self._full_told: dict[str, float] = {}
        self._clock_told: float | None = None

    def __call__(self, event: Event) -> None:
        """Write the line of this fact, if it is due one."""
        match event:
            case SessionRenewed():
                self._renewed(event)
            case RenewalFailed():
                self._failed(event)
            case TokenSigned():
                write(self._logger, logging.DEBUG, "token_signed", kid=event.kid)
            case StsAnswered():
                write(self._logger, logging.DEBUG, "sts_answered", code=event.code)
            case ClockMeasured():
                self._measured(event.offset)
            case CallerTokensUnreadable():
                self._unreadable(event)
            case CredentialsVended() | VendingDenied() | RequestRefused():
                return  # who was given what is for `audit`
            case RosterFull():
                self._full(event)
            case _:
                self._lines(event)

    def _lines(self, event: KeyEvent | FileEvent | Seeing | Reaching | UnitTokenEvent) -> None:
        for line in _lines_of(event):
            write(self._logger, line.level, line.event, **line.fields)

    def _renewed(self, event: SessionRenewed) -> None:
        which = (event.role, event.about)
        self._told.pop(which, None)
        write(
            self._logger,
            logging.INFO,
            "session_renewed",
            role=event.role,
            about=event.about or None,
            key_id=last_four(event.access_key_id),
            expires=event.expires_at,
            took=event.took,
            renew_in=event.renew_in,
            after_failures=self._failures.pop(which, None),
        )

    def _failed(self, event: RenewalFailed) -> None:
        which = (event.role, event.about)
        if which not in self._failures and len(self._failures) >= _MOST:  # sessions come and go
            oldest = next(iter(self._failures))
            del self._failures[oldest]
            self._told.pop(oldest, None)
        self._failures[which] = event.failures
        left = None if event.held_until is None else event.held_until - self._clock.now()
        near = left is None or left < READY_FOR
        level = logging.ERROR if near or not event.error.retryable else logging.WARNING
        if not self._due(event, level):
            return
        self._told[which] = (self._clock.steady(), level, type(event.error))
        write(
            self._logger,
            level,
            "renewal_failed",
            role=event.role,
            about=event.about or None,
            kind=type(event.error).__name__,
            error=event.error.what,
            hint=event.error.hint or None,
            failures=event.failures,
            took=event.took,
            retry_in=event.retry_in,
            held_until=event.held_until,
            held="none" if left is None else "ending" if near else "good",
        )

    def _due(self, event: RenewalFailed, level: int) -> bool:
        """Whether to tell: what somebody must mend, always; what will pass, when it starts, worsens or has lasted."""
        told = self._told.get((event.role, event.about))
        if told is None or not event.error.retryable:
            return True
        at, loudness, kind = told
        again = self._clock.steady() - at >= _AGAIN.total_seconds()
        return again or level > loudness or kind is not type(event.error)

    def _full(self, event: RosterFull) -> None:
        """Told again when it has lasted: whoever makes up names tries without end."""
        now, told = self._clock.steady(), self._full_told.get(event.role)
        if told is not None and now - told < _AGAIN.total_seconds():
            return
        self._full_told[event.role] = now
        write(
            self._logger,
            logging.WARNING,
            "sessions_full",
            role=event.role,
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
