"""Which identity token does a role show?"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.clock import Clock, RemoteClock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.keys import SigningKey
from agent.settings import Settings
from agent.settings.credentials import Role
from agent.settings.tokens import FromFile, SelfSigned
from agent.tokens import Token, TokenSource
from agent.tokens.file import TokenFile
from agent.tokens.self_signed import Identity, Signer
from agent.tokens.self_signed import SelfSigned as SelfSignedTokens


def token_source(
    settings: Settings,
    role: Role,
    signer: Signer | None,
    *,
    clock: RemoteClock,
    token_id: Callable[[], str],
    report: Report,
) -> TokenSource:
    """The token source of one role: each has its own, since a token names the role that it is for."""
    match settings.identity:
        case SelfSigned():
            if signer is None or settings.issuer is None:
                raise ConfigurationError("tokens are to be self-signed, and there is no key or issuer to do it with")
            identity = _identity(settings, settings.identity, settings.issuer.url, role)
            return SelfSignedTokens(signer, identity, clock, token_id=token_id, report=report)
        case FromFile():
            return TokenFile(settings.identity.file, clock)


def check_identity(settings: Settings, role: Role) -> None:
    """Say whether AWS would take the tokens of this role. Raises ConfigurationError."""
    if isinstance(settings.identity, SelfSigned) and settings.issuer is not None:
        _identity(settings, settings.identity, settings.issuer.url, role)


async def mint(
    settings: Settings,
    key: SigningKey,
    role: Role | None,
    *,
    clock: Clock,
    token_id: Callable[[], str],
    changes: Mapping[str, Any],
) -> Token:
    """Make one token by hand: for one role, or for all that are configured, with `changes` to the identity.

    Raises ConfigurationError where tokens are not self-signed or no such token can be, and KeyUnavailable.
    """
    if not isinstance(settings.identity, SelfSigned) or settings.issuer is None:
        raise ConfigurationError(
            "this configuration takes its tokens from somebody else, so there are none to mint",
            hint='that would need source = "self_signed" in [identity]',
        )
    identity = replace(_identity(settings, settings.identity, settings.issuer.url, role), **changes)
    return await SelfSignedTokens(lambda: key, identity, clock, token_id=token_id, report=lambda _: None).token()


def _identity(settings: Settings, words: SelfSigned, issuer: str, role: Role | None) -> Identity:
    roles = settings.roles.values() if role is None else [role]
    return Identity(
        issuer=issuer,
        subject=words.subject,
        audience=words.audience,
        lifetime=words.lifetime,
        roles=tuple(role.arn for role in roles) if words.pin_roles else (),
        tags={**words.tags, **(role.tags if role else {})},
        transitive_tags=words.transitive_tags,
        source_identity=words.source_identity,
    )
