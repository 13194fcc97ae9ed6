"""What happened, as facts; who listens is not our business here.

An event is reported once, where it happens. Log lines, metrics and audit records are three readers of the
same facts, in `agent.telemetry`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """A role has new credentials."""

    role: str
    access_key_id: str
    expires_at: datetime
    took: timedelta
    renew_in: timedelta


@dataclass(frozen=True, slots=True)
class RenewalFailed:
    """A role could not be given new credentials; what it holds stays what it holds until `held_until`."""

    role: str
    error: AgentError
    failures: int
    took: timedelta
    retry_in: timedelta
    held_until: datetime | None


@dataclass(frozen=True, slots=True)
class CredentialsVended:
    """A caller was given a role's credentials."""

    role: str
    caller: str
    access_key_id: str
    expires_at: datetime


#: Why a caller that asked for credentials was given none; the list is closed, as each is a series of its own.
Denial = Literal["unknown_caller", "not_granted", "unknown_role", "ambiguous", "not_ready", "unavailable"]

#: Why a request was not even looked at: a page in a browser, or a proxy, may have sent it.
Refusal = Literal["refused_host", "refused_origin"]


@dataclass(frozen=True, slots=True)
class VendingDenied:
    """A caller was given nothing; `reason` is one word of a short list, `error` the whole story.

    `role` is a configured one, or empty.
    """

    role: str
    caller: str
    reason: Denial
    error: AgentError


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request from `address` was refused for what it is, whoever sent it."""

    address: str
    reason: Refusal


@dataclass(frozen=True, slots=True)
class TokenSigned:
    """The key signed an identity token."""

    kid: str


@dataclass(frozen=True, slots=True)
class StsAnswered:
    """STS gave an answer: `Success`, an error code of its own, or `Unreachable`."""

    code: str


@dataclass(frozen=True, slots=True)
class ClockMeasured:
    """STS told its time; it is `offset` ahead of this machine's clock."""

    offset: timedelta


@dataclass(frozen=True, slots=True)
class CallerTokensChanged:
    """Callers' tokens have left their file, replaced or not; they are good until `overlap` has passed."""

    path: str
    overlap: timedelta


@dataclass(frozen=True, slots=True)
class CallerTokensUnreadable:
    """A file of callers' tokens cannot be read, or is open to everybody: what it held is good for `good_for` more."""

    path: str
    error: AgentError
    good_for: timedelta


@dataclass(frozen=True, slots=True)
class CallerTokensReadable:
    """A file of callers' tokens that could not be read, or was open to everybody, is well again."""

    path: str


Event = (
    SessionRenewed
    | RenewalFailed
    | CredentialsVended
    | VendingDenied
    | RequestRefused
    | TokenSigned
    | StsAnswered
    | ClockMeasured
    | CallerTokensChanged
    | CallerTokensUnreadable
    | CallerTokensReadable
)

Report = Callable[[Event], None]
