"""What happened, as facts; who listens is not our business here.

An event is reported once, where it happens. Log lines, metrics and audit records are three readers of the
same facts, in `agent.telemetry`.
"""

from collections.abc import Callable

from agent.events.callers import (
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
    ListenerOpened,
    ListenerWaiting,
    NoToken,
    UnitTokenEnding,
    UnitTokenIssued,
    UnitTokenRefused,
    UnitTokensRotated,
    UnitTokensUnwritable,
)
from agent.events.cognito import RefreshTokenUnsaved
from agent.events.files import (
    FileEmptied,
    FileEvent,
    FileStuck,
    FileWritten,
)
from agent.events.keys import (
    CertificateRefused,
    CertificateReloaded,
    ClockWentBack,
    IssuerCrowded,
    IssuerSeen,
    KeyAnnounced,
    KeyEvent,
    KeyForgotten,
    KeyPromoted,
    KeyReady,
    RotationStuck,
    RotationWell,
    SitePublished,
)
from agent.events.providers import ProviderAnswered, ProviderEvent, ProviderFailed
from agent.events.signing_in import SignedIn, SignInDue, SigningInEvent, SignInOver
from agent.events.tokens import TokenDenied, TokenEvent, TokenRenewalFailed, TokenRenewed, TokenVended
from agent.events.vending import (
    ClockMeasured,
    CredentialsVended,
    Denial,
    Refusal,
    RenewalFailed,
    RequestRefused,
    RosterFull,
    SessionRenewed,
    StsAnswered,
    TokenSigned,
    VendingDenied,
    VendingEvent,
)
from agent.events.verifying import BearerRefused, IssuerKeysFetched, IssuerKeysStuck, ProofRefused, VerifyingEvent

__all__ = [
    "AccountMissing", "AccountsHeard", "AccountsSilent", "BearerRefused", "CallerEvent", "CallerTokensChanged",
    "CallerTokensReadable", "CallerTokensUnreadable", "CallersSeen", "CallersUnseen", "CertificateRefused",
    "CertificateReloaded", "ClockMeasured", "ClockWentBack", "ContainersSeen", "ContainersUnseen",
    "CredentialsVended", "Denial", "Event", "FileEmptied", "FileEvent", "FileStuck", "FileWritten", "IssuerCrowded",
    "IssuerKeysFetched", "IssuerKeysStuck", "IssuerSeen", "KeyAnnounced", "KeyEvent", "KeyForgotten", "KeyPromoted",
    "KeyReady", "ListenerOpened", "ListenerWaiting", "NoToken", "ProofRefused", "ProviderAnswered", "ProviderEvent",
    "ProviderFailed", "RefreshTokenUnsaved", "Refusal", "RenewalFailed", "Report", "RequestRefused", "RosterFull",
    "RotationStuck", "RotationWell", "SessionRenewed", "SignInDue", "SignInOver", "SignedIn", "SigningInEvent",
    "SitePublished", "StsAnswered", "TokenDenied", "TokenEvent", "TokenRenewalFailed", "TokenRenewed",
    "TokenSigned", "TokenVended", "UnitTokenEnding", "UnitTokenIssued", "UnitTokenRefused", "UnitTokensRotated",
    "UnitTokensUnwritable", "VendingDenied", "VendingEvent", "VerifyingEvent",
]  # fmt: skip

Event = VendingEvent | CallerEvent | FileEvent | KeyEvent | ProviderEvent | SigningInEvent | TokenEvent | VerifyingEvent

Report = Callable[[Event], None]
