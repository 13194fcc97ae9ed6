"""One fact of each kind that can happen to signing keys and the issuer."""

from datetime import UTC, datetime, timedelta
from typing import Final

from agent.errors import PublishingFailed
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

_FULL = PublishingFailed("the disk is full", hint="make room")
_NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)

KEY_EVENTS: Final[tuple[KeyEvent, ...]] = (
    KeyReady("kid-1", "ES256"),
    KeyAnnounced("kid-2", timedelta(hours=24)),
    KeyPromoted("kid-2", "kid-1"),
    KeyForgotten("kid-1", "retired"),
    SitePublished((("/srv/www/.well-known/jwks.json", "changed"),)),
    IssuerSeen(signing=True, ours=("kid-1", "kid-2"), seen=("kid-1",)),
    IssuerCrowded("RSA", 83),
    RotationStuck("publishing", _FULL),
    RotationWell("publishing"),
    ClockWentBack(timedelta(days=365)),
    CertificateReloaded("/etc/ssl/fullchain.pem", _NOON),
    CertificateRefused("/etc/ssl/fullchain.pem", _FULL),
)
