"""Who believes this configuration's tokens for others, in a sandbox?

Those whom the audiences of its grants and files name, told what `rolecall init --relying-party` would have told them.
An audience of one's own may be anybody's: an API's, or Vault's.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from agent.infrastructure.relying_parties import Side
from agent.infrastructure.relying_parties.vault import role_name
from agent.relying_parties import GOOGLE_PROVIDER, PARTIES, Name, party_of
from agent.sandbox import World
from agent.sandbox.trusting.world import (
    Application,
    FederatedCredential,
    HttpApi,
    JwtAuth,
    JwtRole,
    PoolProvider,
    RelyingParties,
)
from agent.settings import SelfSigned, Settings
from agent.settings.audiences import audiences
from agent.settings.files import TokenFile

#: What things are called whose names somebody else gives in earnest.
NAME: Final = "sandbox"
_NUMBER: Final = "123456789012"


def with_relying_parties(settings: Settings, world: World) -> World:
    """The world with all who believe tokens for others; the same where there are no such tokens."""
    identity, issuer = settings.identity, settings.issuer
    named = tuple(dict.fromkeys(audience for word, audience in audiences(settings) if word != "identity.audience"))
    if not named or not isinstance(identity, SelfSigned) or issuer is None:
        return world
    by_party = {audience: party.name if (party := party_of(audience)) else "" for audience in named}
    own = tuple(audience for audience, party in by_party.items() if party in ("", "apigateway", "vault"))
    subject = "" if _others_speak(settings) else identity.subject
    believing = RelyingParties(
        apis=(HttpApi(NAME, issuer.url, own),) if own else (),
        applications=_applications(
            issuer.url, identity.subject, [one for one, to in by_party.items() if to == "azure"]
        ),
        providers=_providers(issuer.url, subject, [one for one, to in by_party.items() if to == "gcp"]),
        vault=(_auth_method(issuer.url, identity.subject, subject, own),) if own else (),
    )
    return replace(world, relying_parties=believing)


def doors(world: World, endpoint: str) -> Iterator[str]:
    """Where each of them is, for people."""
    parties = world.relying_parties
    for api in parties.apis:
        yield _door("apigateway", f"{endpoint}/apis/{api.api_id}/", f"for {', '.join(api.audiences)}")
    for application in parties.applications:
        where = f"{endpoint}/azure/{application.tenant}/oauth2/v2.0/token"
        yield _door("azure", where, f"client_id {application.client_id}")
    for provider in parties.providers:
        yield _door("gcp", f"{endpoint}/gcp/v1/token", f"audience {provider.name}")
    for auth in parties.vault:
        roles = ", ".join(role.name for role in auth.roles)
        yield _door("vault", f"{endpoint}/vault/v1/auth/{auth.mount}/login", f"role {roles}")


def _door(party: Name, where: str, told: str) -> str:
    return f"  {PARTIES[party].title}: {where}  {told}"


def _others_speak(settings: Settings) -> bool:
    """Whether some tokens are about somebody else than this host."""
    kept = [file.subject for file in settings.files if isinstance(file, TokenFile)]
    return any(kept) or any(grant.subject for grant in settings.grants)


def _applications(issuer: str, subject: str, named: list[str]) -> tuple[Application, ...]:
    credentials = [FederatedCredential(NAME, issuer, subject, (audience,)) for audience in named[:1]]
    return (Application(NAME, NAME, tuple(credentials)),) if credentials else ()


def _providers(issuer: str, subject: str, named: list[str]) -> tuple[PoolProvider, ...]:
    """One for each provider that is named in full, and one for all other audiences."""
    condition = f"assertion.sub == {json.dumps(subject, ensure_ascii=False)}" if subject else ""
    found: dict[str, PoolProvider] = {}
    rest = []
    for audience in named:
        if (usual := GOOGLE_PROVIDER.fullmatch(audience)) is None:
            rest.append(audience)
            continue
        one = PoolProvider(usual[1], usual[2], usual[3], issuer, condition=condition)
        found[one.name] = one
    if rest:
        one = PoolProvider(_NUMBER, "rolecall", "rolecall", issuer, tuple(rest[:10]), condition=condition)
        found[one.name] = one
    return tuple(found.values())


def _auth_method(issuer: str, name: str, subject: str, own: tuple[str, ...]) -> JwtAuth:
    role = JwtRole(role_name(Side(PARTIES["vault"], issuer, own[0], name)), own, subject)
    return JwtAuth(issuer, (role,), bound_issuer=issuer)
