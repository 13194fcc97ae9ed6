"""What is written of signing keys, and of the issuer that shows them?"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from agent.errors import AgentError
from agent.events import (
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

#: What a line can say under a name; None says nothing.
Field = str | int | float | datetime | timedelta | None

_SiteEvent = SitePublished | IssuerSeen | IssuerCrowded | CertificateReloaded | CertificateRefused
_WalkEvent = KeyReady | KeyAnnounced | KeyPromoted | KeyForgotten | RotationStuck | RotationWell | ClockWentBack


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log: how loud, of what, and what is said of it."""

    level: int
    event: str
    fields: Mapping[str, Field] = field(default_factory=dict)


def key_lines(event: KeyEvent) -> Iterator[Line]:
    """The lines of one fact."""
    match event:
        case SitePublished() | IssuerSeen() | IssuerCrowded() | CertificateReloaded() | CertificateRefused():
            yield from _of_the_site(event)
        case _:
            yield from _of_the_walk(event)


def _of_the_walk(event: _WalkEvent) -> Iterator[Line]:
    match event:
        case KeyReady():
            yield Line(logging.INFO, "key_ready", {"kid": event.kid, "algorithm": event.algorithm})
        case KeyAnnounced():
            yield Line(logging.INFO, "key_announced", {"kid": event.kid, "signs_once_seen_for": event.shown_for})
        case KeyPromoted():
            yield Line(logging.INFO, "key_promoted", {"kid": event.kid, "before": event.before})
        case KeyForgotten():
            level = logging.WARNING if event.why == "stolen" else logging.INFO
            yield Line(level, "key_forgotten", {"kid": event.kid, "why": event.why})
        case RotationStuck():
            yield Line(logging.WARNING, "rotation_stuck", {"step": event.step, **_why(event.error)})
        case RotationWell():
            yield Line(logging.INFO, "rotation_well", {"step": event.step})
        case ClockWentBack():
            yield Line(logging.WARNING, "clock_went_back", {"behind": event.behind})
        case _:
            assert_never(event)


def _of_the_site(event: _SiteEvent) -> Iterator[Line]:
    match event:
        case SitePublished():
            for where, state in event.documents:
                level = logging.DEBUG if state == "unchanged" else logging.INFO
                yield Line(level, "document_published", {"where": where, "state": state})
        case IssuerSeen():
            level = logging.DEBUG if event.signing else logging.WARNING
            missing = ", ".join(kid for kid in event.ours if kid not in event.seen)
            shown = "yes" if event.signing else "no"
            yield Line(level, "issuer_read", {"signing_key_shown": shown, "missing": missing or None})
        case IssuerCrowded():
            yield Line(logging.WARNING, "issuer_crowded", {"kind": event.kind, "keys": event.count})
        case CertificateReloaded():
            yield Line(logging.INFO, "certificate_reloaded", {"path": event.path, "not_after": event.not_after})
        case CertificateRefused():
            yield Line(logging.ERROR, "certificate_refused", {"path": event.path, **_why(event.error)})
        case _:
            assert_never(event)


def _why(error: AgentError) -> Mapping[str, Field]:
    return {"error": error.what, "hint": error.hint or None}
