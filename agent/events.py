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
    """There was no room to make a session of a role: so many are kept on demand, so many of them for this payer."""

    role: str
    payer: str
    kept: int
    mine: int


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


@dataclass(frozen=True, slots=True)
class KeyReady:
    """The key that signs is at hand."""

    kid: str
    algorithm: str


@dataclass(frozen=True, slots=True)
class KeyAnnounced:
    """There is a new key; it signs once the world has seen it for `shown_for`."""

    kid: str
    shown_for: timedelta


@dataclass(frozen=True, slots=True)
class KeyPromoted:
    """A key signs from now on, in place of the one before."""

    kid: str
    before: str


@dataclass(frozen=True, slots=True)
class KeyForgotten:
    """A key is withdrawn from the world."""

    kid: str
    why: Literal["retired", "stolen", "taken back"]


@dataclass(frozen=True, slots=True)
class SitePublished:
    """The issuer's documents are in place: where each is, and whether it is new, changed or unchanged."""

    documents: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class IssuerSeen:
    """The issuer was read through its public URL: whether the key that signs was there, our kids, those seen."""

    signing: bool
    ours: tuple[str, ...]
    seen: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class IssuerCrowded:
    """The issuer shows so many keys of one kind (RSA, EC) that there will soon be no room."""

    kind: str
    count: int


@dataclass(frozen=True, slots=True)
class RotationStuck:
    """A step of the walk from key to key cannot be taken, and will be tried again."""

    step: str
    error: AgentError


@dataclass(frozen=True, slots=True)
class RotationWell:
    """A step that could not be taken can be taken again."""

    step: str


@dataclass(frozen=True, slots=True)
class ClockWentBack:
    """The machine's clock is `behind` what it was when the ring of keys was written; nothing depends on it."""

    behind: timedelta


@dataclass(frozen=True, slots=True)
class CertificateReloaded:
    """The issuer's listener shows this certificate from now on: at its start, and whenever the files have changed."""

    path: str
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CertificateRefused:
    """What now lies at `path` cannot be shown by the issuer's listener, which goes on with the certificate it has."""

    path: str
    error: AgentError


#: What happens to signing keys, and to the issuer that shows them.
KeyEvent = (
    KeyReady
    | KeyAnnounced
    | KeyPromoted
    | KeyForgotten
    | SitePublished
    | IssuerSeen
    | IssuerCrowded
    | RotationStuck
    | RotationWell
    | ClockWentBack
    | CertificateReloaded
    | CertificateRefused
)

Event = (
    SessionRenewed
    | RenewalFailed
    | CredentialsVended
    | VendingDenied
    | RequestRefused
    | RosterFull
    | TokenSigned
    | StsAnswered
    | ClockMeasured
    | CallerTokensChanged
    | CallerTokensUnreadable
    | CallerTokensReadable
    | KeyEvent
)

Report = Callable[[Event], None]
