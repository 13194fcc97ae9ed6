"""What happens to sessions, and to those who ask for them?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class SessionRenewed:
    """A role has new credentials; `about` says which of its sessions, where it has several."""

    role: str
    access_key_id: str
    expires_at: datetime
    took: timedelta
    renew_in: timedelta
    about: str = ""


@dataclass(frozen=True, slots=True)
class RenewalFailed:
    """A role could not be given new credentials; what it holds stays what it holds until `held_until`."""

    role: str
    error: AgentError
    failures: int
    took: timedelta
    retry_in: timedelta
    held_until: datetime | None
    about: str = ""


@dataclass(frozen=True, slots=True)
class CredentialsVended:
    """A caller was given a role's credentials. `facts` are all that is known of it, as in `agent.callers`."""

    role: str
    caller: str
    access_key_id: str
    expires_at: datetime
    facts: frozenset[tuple[str, str]] = frozenset()


#: Why a caller that asked for credentials was given none; the list is closed, as each is a series of its own.
Denial = Literal["unknown_caller", "not_granted", "unknown_role", "ambiguous", "not_ready", "unavailable"]


#: Why a request was not even looked at: a browser or a proxy may have sent it, or its caller asks too often.
Refusal = Literal["refused_host", "refused_origin", "throttled"]


@dataclass(frozen=True, slots=True)
class VendingDenied:
    """A caller was given nothing; `reason` is one word of a short list, `error` the whole story.

    `role` is a configured one, or empty; `facts` are all that is known of the caller.
    """

    role: str
    caller: str
    reason: Denial
    error: AgentError
    facts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class RequestRefused:
    """A request was refused for what it is, or for how many there are of it, before it was asked what it wants.

    `facts` are what the kernel says of the caller: nothing that it presented was looked at.
    """

    caller: str
    reason: Refusal
    facts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class RosterFull:
    """There was no room to make a session: so many are kept on demand, so many of them for this payer.

    `name` is that of the role, or of whatever else sessions are kept `by`.
    """

    name: str
    payer: str
    kept: int
    mine: int
    by: str = "role"


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


#: What happens to sessions, and to those who ask for them.
VendingEvent = (
    SessionRenewed
    | RenewalFailed
    | CredentialsVended
    | VendingDenied
    | RequestRefused
    | RosterFull
    | TokenSigned
    | StsAnswered
    | ClockMeasured
)
