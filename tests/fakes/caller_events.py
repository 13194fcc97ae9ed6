"""One fact of each kind that can happen in recognising callers, and to files that are kept fresh."""

from datetime import UTC, datetime, timedelta
from typing import Final

from agent.errors import ConfigurationError, ListenerUnavailable
from agent.events import (
    AccountMissing,
    AccountsHeard,
    AccountsSilent,
    CallerEvent,
    CallersSeen,
    CallersUnseen,
    CallerTokensChanged,
    CallerTokensReadable,
    CallerTokensUnreadable,
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

_WRONG = ConfigurationError("it is wrong", hint="mend it")
_NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_HOUR = timedelta(hours=1)

CALLER_EVENTS: Final[tuple[CallerEvent, ...]] = (
    CallerTokensChanged("/etc/rolecall/tokens/web", _HOUR),
    CallerTokensUnreadable("/etc/rolecall/tokens/web", _WRONG, _HOUR),
    CallerTokensReadable("/etc/rolecall/tokens/web"),
    CallersSeen("callers are recognised by user and unit"),
    CallersUnseen(_WRONG),
    AccountMissing("user", "alice"),
    AccountsSilent(_WRONG, 300.0),
    AccountsHeard(),
    ContainersUnseen(_WRONG),
    ContainersSeen(),
    UnitTokenEnding("backup.service", _NOON),
    UnitTokensRotated(_HOUR),
    UnitTokensUnwritable(_WRONG),
    UnitTokenIssued("backup.service", "rolecall"),
    UnitTokenRefused(1000, 4711, "not_root", 3),
    ListenerWaiting("169.254.170.2:80", ListenerUnavailable("no such address", hint="make it")),
    ListenerOpened("169.254.170.2:80"),
)

FILE_EVENTS: Final[tuple[FileEvent, ...]] = (
    FileWritten("/home/alice/.aws/credentials", "credentials", "web", _NOON, 2),
    FileEmptied("/home/alice/.aws/credentials", "web"),
    FileStuck("/run/web.jwt", "web_identity_token", "web", _WRONG, _HOUR, None),
)
