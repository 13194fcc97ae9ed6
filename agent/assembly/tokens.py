"""Which identity token does a role show?"""

from collections.abc import Callable

from agent.clock import Clock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.keys import SigningKey
from agent.settings import Settings
from agent.settings.credentials import Role
from agent.settings.tokens import FromFile, SelfSigned
from agent.tokens import TokenSource
from agent.tokens.file import TokenFile
from agent.tokens.self_signed import Identity
from agent.tokens.self_signed import SelfSigned as SelfSignedTokens


def token_source(
    settings: Settings,
    role: Role,
    key: SigningKey | None,
    *,
    clock: Clock,
    token_id: Callable[[], str],
    report: Report,
) -> TokenSource:
    """The token source of one role: each has its own, since a token names the role that it is for."""
    match settings.identity:
        case SelfSigned():
            if key is None or settings.issuer is None:
                raise ConfigurationError("tokens are to be self-signed, and there is no key or issuer to do it with")
            identity = Identity(
                issuer=settings.issuer.url,
                subject=settings.identity.subject,
                audience=settings.identity.audience,
                lifetime=settings.identity.lifetime,
                roles=(role.arn,) if settings.identity.pin_roles else (),
                tags={**settings.identity.tags, **role.tags},
                transitive_tags=settings.identity.transitive_tags,
                source_identity=settings.identity.source_identity,
            )
            return SelfSignedTokens(key, identity, clock, token_id=token_id, report=report)
        case FromFile():
            return TokenFile(settings.identity.file, clock)
