"""What happens to signing keys, and to the issuer that shows them?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from agent.errors import AgentError


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
