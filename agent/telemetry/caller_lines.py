"""What is written of recognising callers, and of files that are kept fresh?"""

import logging
from collections.abc import Iterator
from datetime import timedelta
from typing import assert_never

from agent.events import (
    AccountMissing,
    AccountsHeard,
    AccountsSilent,
    CallersSeen,
    CallersUnseen,
    CallerTokensChanged,
    CallerTokensReadable,
    ContainersSeen,
    ContainersUnseen,
    FileEmptied,
    FileEvent,
    FileStuck,
    FileWritten,
    ListenerOpened,
    ListenerWaiting,
    UnitTokenEnding,
    UnitTokenIssued,
    UnitTokenRefused,
    UnitTokensRotated,
    UnitTokensUnwritable,
)
from agent.telemetry.key_lines import Line

#: What can be told of callers.
Seeing = (
    CallerTokensChanged
    | CallerTokensReadable
    | CallersSeen
    | CallersUnseen
    | AccountMissing
    | AccountsSilent
    | AccountsHeard
)

#: What happens to containers that are to be known, and to listeners that may have to wait.
Reaching = ContainersUnseen | ContainersSeen | ListenerWaiting | ListenerOpened
#: What happens to tokens of units.
UnitTokenEvent = UnitTokenEnding | UnitTokensRotated | UnitTokensUnwritable | UnitTokenIssued | UnitTokenRefused


def lines_of_seeing(event: Seeing) -> Iterator[Line]:
    """The line of a fact about what can be told of callers."""
    match event:
        case CallerTokensChanged():
            yield Line(logging.INFO, "caller_tokens_changed", {"path": event.path, "old_good_for": event.overlap})
        case CallerTokensReadable():
            yield Line(logging.INFO, "caller_tokens_readable", {"path": event.path})
        case CallersSeen():
            yield Line(logging.INFO, "callers_seen", {"what": event.summary})
        case CallersUnseen(error=error):
            yield Line(logging.ERROR, "callers_unseen", {"error": error.what, "hint": error.hint})
        case AccountMissing():
            hint = f"make that {event.kind}, or correct the grant; it counts as soon as it is there"
            yield Line(logging.WARNING, "account_missing", {"kind": event.kind, "name": event.name, "hint": hint})
        case AccountsSilent(error=error):
            old = timedelta(seconds=event.good_for)
            said = {"error": error.what, "hint": error.hint}
            yield Line(logging.ERROR, "accounts_silent", {**said, "known_good_for": old})
        case AccountsHeard():
            yield Line(logging.INFO, "accounts_heard")
        case _:
            assert_never(event)


def lines_of_reaching(event: Reaching) -> Iterator[Line]:
    """The line of a fact about containers, and about listeners that may have to wait."""
    match event:
        case ContainersUnseen(error=error):
            yield Line(logging.ERROR, "containers_unseen", {"error": error.what, "hint": error.hint})
        case ContainersSeen():
            yield Line(logging.INFO, "containers_seen")
        case ListenerWaiting(error=error):
            fields = {"address": event.address, "error": error.what, "hint": error.hint}
            yield Line(logging.WARNING, "listener_waiting", fields)
        case ListenerOpened():
            yield Line(logging.INFO, "listener_opened", {"address": event.address})
        case _:
            assert_never(event)


def lines_of_unit_tokens(event: UnitTokenEvent) -> Iterator[Line]:
    """The line of a fact about tokens of units."""
    match event:
        case UnitTokenEnding():
            hint = f"restart it by then, so that it is given a new one: systemctl restart {event.unit}"
            yield Line(logging.WARNING, "unit_token_ending", {"unit": event.unit, "ends": event.ends, "hint": hint})
        case UnitTokensRotated():
            yield Line(logging.INFO, "unit_tokens_rotated", {"old_good_for": event.overlap})
        case UnitTokensUnwritable(error=error):
            yield Line(logging.ERROR, "unit_tokens_unwritable", {"error": error.what, "hint": error.hint})
        case UnitTokenIssued():
            yield Line(logging.INFO, "unit_token_issued", {"unit": event.unit, "credential": event.credential})
        case UnitTokenRefused():
            who = {"uid": event.uid, "pid": event.pid}
            yield Line(logging.WARNING, "unit_token_refused", {**who, "reason": event.reason, "count": event.count})
        case _:
            assert_never(event)


def lines_of_files(event: FileEvent) -> Iterator[Line]:
    """The line of a fact about a file that is kept fresh."""
    match event:
        case FileWritten():
            what = {"path": event.path, "what": event.what, **_for(event)}
            how = {"expires": event.expires_at, "after_failures": event.failures or None}
            yield Line(logging.INFO, "file_written", {**what, **how})
        case FileEmptied():
            hint = "see why there are no others with: rolecall status"
            yield Line(logging.WARNING, "file_emptied", {"path": event.path, "role": event.role, "hint": hint})
        case FileStuck(error=error):
            what = {"path": event.path, "what": event.what, **_for(event)}
            why = {"error": error.what, "hint": error.hint}
            when = {"retry_in": event.retry_in, "good_until": event.good_until}
            yield Line(logging.ERROR, "file_stuck", {**what, **why, **when})
        case _:
            assert_never(event)


def _for(event: FileWritten | FileStuck) -> dict[str, str]:
    """Whom what is in a file is for."""
    return {"audience" if event.what == "token" else "role": event.role}
