"""What is allowed, but probably not meant, or not known to be risky?"""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

from agent.settings import Settings
from agent.settings.spelling import spell_duration
from agent.settings.tokens import FromFile, SelfSigned

#: Sessions shorter than this cannot be renewed with 25 minutes left and still be worth their calls.
_SHORT_SESSION = timedelta(minutes=30)
_LONG_TOKEN = timedelta(minutes=15)


def warnings(settings: Settings) -> list[str]:
    """Say what the operator may want to look at, one sentence each, with the setting's path before it."""
    return [*_tokens(settings), *_roles(settings), *_grants(settings), *_listeners(settings)]


def _tokens(settings: Settings) -> Iterator[str]:
    match settings.identity:
        case FromFile():
            unused = [name for name in ("issuer", "key") if getattr(settings, name) is not None]
            if settings.publishing is None:
                yield from (f'{name}: is not used, since identity.source is "file"' for name in unused)
        case SelfSigned(lifetime=lifetime, pin_roles=pin_roles):
            if lifetime > _LONG_TOKEN:
                said = "a token is used within seconds, and whoever steals it can use it as long"
                yield f"identity.lifetime: {spell_duration(lifetime)} is long; {said}"
            if not pin_roles:
                yield "identity.pin_roles: is off; one stolen token opens every role that trusts its subject"
    if settings.issuer is not None:
        host = urlsplit(settings.issuer.url).netloc
        if host != host.lower():
            yield f'issuer.url: has capitals in its host name; AWS compares byte for byte, "{host.lower()}" is safer'
        if host == "localhost" or "." not in host:
            yield f"issuer.url: AWS must be able to fetch documents from {host}, which is no public name"


def _roles(settings: Settings) -> Iterator[str]:
    granted = {name for grant in settings.grants for name in grant.roles}
    for name, role in settings.roles.items():
        if name not in granted:
            yield f"roles.{name}: is granted to nobody; add [[grants]] with it, or take it out"
        if role.duration < _SHORT_SESSION:
            yield (
                f"roles.{name}.duration: {spell_duration(role.duration)} is short; callers will see credentials with "
                "less than 20 minutes left, for which some SDKs ask again at every request; 1h is usual"
            )


def _grants(settings: Settings) -> Iterator[str]:
    for number, grant in enumerate(settings.grants, start=1):
        if grant.anyone:
            who = "every process that can connect"
            yield f"grants#{number}.anyone: {who} to {settings.listen.credentials} gets {', '.join(grant.roles)}"


def _listeners(settings: Settings) -> Iterator[str]:
    if not settings.listen.admin.is_loopback:
        who = "other machines can read metrics and status there; it serves no secret, but names roles and callers"
        yield f"listen.admin: {settings.listen.admin} is not a loopback address: {who}"
    for word in ("credentials", "admin"):
        if getattr(settings.listen, word).port == 0:
            yield f"listen.{word}: with port 0 the address is another one after each start"
