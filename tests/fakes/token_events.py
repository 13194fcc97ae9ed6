"""One fact of each kind that can happen to tokens for others, to sign-ins, and in verifying tokens."""

from datetime import UTC, datetime, timedelta
from typing import Final

from agent.errors import CallerDenied, IssuerUnreadable, KeyUnavailable, TokenRejected
from agent.events import (
    BearerRefused,
    IssuerKeysFetched,
    IssuerKeysStuck,
    ProofRefused,
    RefreshTokenUnsaved,
    SignedIn,
    SignInDue,
    SigningInEvent,
    SignInOver,
    TokenDenied,
    TokenEvent,
    TokenRenewalFailed,
    TokenRenewed,
    TokenVended,
    VerifyingEvent,
)

_NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
_SOON = timedelta(seconds=1)
_LOCKED = KeyUnavailable("the token is locked", hint="unlock it")
_GONE = IssuerUnreadable("the issuer does not answer", hint="is the network up?")
_SOMEBODY = frozenset({("unix.uid", "1000")})

TOKEN_EVENTS: Final[tuple[TokenEvent, ...]] = (
    TokenRenewed("vault", "jti-1", _NOON, _SOON, timedelta(minutes=5), "grants#2: unit backup.service"),
    TokenRenewalFailed("vault", _LOCKED, 1, _SOON, _SOON, None),
    TokenVended("vault", "unix.uid=1000", "jti-1", _NOON, _SOMEBODY),
    TokenDenied("vault", "unix.uid=1000", "not_granted", CallerDenied("no", hint="ask"), _SOMEBODY),
)

SIGNING_IN_EVENTS: Final[tuple[SigningInEvent, ...]] = (
    SignInDue("identity_center", _NOON, "rolecall login"),
    SignInOver("identity_center", "rolecall login"),
    SignedIn("identity_center", _NOON),
    RefreshTokenUnsaved("machine in eu-central-1_Ab129faBb", "/var/lib/rolecall/cognito.json", "No space left"),
)

VERIFYING_EVENTS: Final[tuple[VerifyingEvent, ...]] = (
    BearerRefused(
        "web", "expired", TokenRejected("it has expired", hint="get another", reason="expired"), tell=True, untold=4
    ),
    IssuerKeysFetched("https://idp.example.com", 2, ("kid-2",), (), timedelta(hours=1)),
    IssuerKeysStuck("https://idp.example.com", _GONE, None),
    ProofRefused("used_before", "192.0.2.1", TokenRejected("shown before", hint="sign anew", reason="used_before"), 4),
)
