"""Which identity token does a role show?"""

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from agent.clock import Clock, RemoteClock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.keys import SigningKey
from agent.narrowing import WHOLE, Narrowing
from agent.settings import Settings
from agent.settings.cognito import Cognito
from agent.settings.credentials import StsRole
from agent.settings.oauth2 import OAuth2
from agent.settings.tokens import FromFile, SelfSigned
from agent.tokens import Token, TokenSource
from agent.tokens.file import TokenFile
from agent.tokens.self_signed import Identity, Signer
from agent.tokens.self_signed import SelfSigned as SelfSignedTokens


def token_ids(chance: random.Random) -> Callable[[], str]:
    """Gives a jti that was never given before."""
    return lambda: str(UUID(int=chance.getrandbits(128), version=4))


def token_source(
    settings: Settings,
    role: StsRole,
    signer: Signer | None,
    *,
    clock: RemoteClock,
    token_id: Callable[[], str],
    report: Report,
    narrowing: Narrowing = WHOLE,
    shared: TokenSource | None = None,
) -> TokenSource:
    """The token source of one role, or of so much of it: each has its own, since a token names what it is for.

    `shared` is that of `shared_tokens`, where there is one. Raises ConfigurationError.
    """
    match settings.identity:
        case SelfSigned():
            if signer is None or settings.issuer is None:
                raise ConfigurationError("tokens are to be self-signed, and there is no key or issuer to do it with")
            identity = _identity(settings, settings.identity, settings.issuer.url, role, narrowing)
            return SelfSignedTokens(signer, identity, clock, token_id=token_id, report=report)
        case FromFile():
            _refuse_claims(narrowing)
            return TokenFile(settings.identity.file, clock)
        case OAuth2() | Cognito():
            assert shared is not None  # nobody makes tokens of another's for one role
            _refuse_claims(narrowing)
            return shared


class SharedTokens(TokenSource, Protocol):
    """One source for all roles, which remembers what it was given."""

    def retry_now(self) -> None:
        """Ask again at once when a token is next wanted: somebody has mended something."""
        ...


def shared_tokens(
    settings: Settings,
    signer: Signer | None,
    credentials_directory: Path | None = None,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
) -> SharedTokens | None:
    """The one source for all roles, where somebody else makes the tokens and is asked for them; None elsewhere.

    Raises ConfigurationError.
    """
    if isinstance(settings.identity, Cognito):
        from agent.assembly.cognito import Cognito as SignedIn

        return SignedIn(settings.identity, credentials_directory, clock=clock, report=report)
    if not isinstance(settings.identity, OAuth2):
        return None
    from agent.assembly.oauth2 import oauth2_tokens

    return oauth2_tokens(
        settings.identity,
        signer,
        credentials_directory,
        clock=clock,
        token_id=token_ids(chance),
        report=report,
        spread=chance.random,
    )


def check_identity(settings: Settings, role: StsRole, narrowing: Narrowing = WHOLE) -> None:
    """Say whether AWS would take the tokens of this role, or of so much of it. Raises ConfigurationError."""
    if isinstance(settings.identity, FromFile | OAuth2 | Cognito):
        _refuse_claims(narrowing)
    elif settings.issuer is not None:
        _identity(settings, settings.identity, settings.issuer.url, role, narrowing)


async def mint(
    settings: Settings,
    key: SigningKey,
    role: StsRole | None,
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


def _identity(
    settings: Settings, words: SelfSigned, issuer: str, role: StsRole | None, narrowing: Narrowing = WHOLE
) -> Identity:
    roles = settings.token_roles.values() if role is None else [role]
    tags = {**words.tags, **(role.tags if role else {})}
    return Identity(
        issuer=issuer,
        subject=words.subject,
        audience=words.audience,
        lifetime=words.lifetime,
        roles=tuple(role.arn for role in roles) if words.pin_roles else (),
        tags={**_unchanged(tags, narrowing), **dict(narrowing.tags)},
        transitive_tags=words.transitive_tags,
        source_identity=narrowing.source_identity or words.source_identity,
    )


def _unchanged(tags: Mapping[str, str], narrowing: Narrowing) -> Mapping[str, str]:
    """The tags that a grant adds to, none of which it may change: what a policy reads in them opens doors."""
    taken = {name.lower(): name for name in tags}
    for name, _ in narrowing.tags:
        if name.lower() in taken:
            raise ConfigurationError(
                f"a grant sets the session tag {name!r}, which the role or [identity] sets already",
                hint="choose another name in the grant, or leave the tag to it",
            )
    return tags


def _refuse_claims(narrowing: Narrowing) -> None:
    """Tags and source identity are claims of a token, and this one is made by somebody else."""
    if narrowing.tags or narrowing.source_identity is not None:
        raise ConfigurationError(
            "a grant sets session tags or a source identity, which are part of a token that we do not make",
            hint='leave them out, or let tokens be ours: source = "self_signed" in [identity]',
        )
