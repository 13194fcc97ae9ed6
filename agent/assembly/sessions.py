"""Which sessions does the configuration call for, and how is one made?"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, assert_never

from agent.assembly.cognito import Cognito
from agent.assembly.credentials import OpenedSts, credential_source, role_of
from agent.assembly.tokens import check_identity, token_ids, token_source
from agent.callers import Grant
from agent.clock import RemoteClock
from agent.credentials import CredentialSource
from agent.errors import AgentError
from agent.events import Report
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Making, RoleRoster, Roster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, RoleSession
from agent.settings import S3, IdentityCenterRole, IdentityPoolRole, Role, Settings, StsRole
from agent.templates import VARIABLES
from agent.tokens import TokenSource
from agent.tokens.self_signed import Signer

if TYPE_CHECKING:
    from agent.assembly.identity_center import IdentityCenter

Make = Callable[[str, Narrowing], RoleSession]

#: Somebody of whom everything is known, to try a grant's templates with.
_SOMEBODY = frozenset((fact, "somebody") for fact in VARIABLES.values())


def session_maker(
    settings: Settings,
    signer: Signer | None,
    sts: OpenedSts,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
    center: "IdentityCenter | None" = None,
    shared: TokenSource | None = None,
) -> Make:
    """Makes the session of a role and a narrowing, with nothing in it; it raises ConfigurationError.

    `center` is there if a role is had by the sign-in of a person, `shared` if somebody else makes the tokens.
    """
    token_id = token_ids(chance)

    def source_of(name: str, role: Role, narrowing: Narrowing) -> CredentialSource:
        match role:
            case StsRole():
                tokens = token_source(
                    settings,
                    role,
                    signer,
                    clock=clock,
                    token_id=token_id,
                    report=report,
                    narrowing=narrowing,
                    shared=shared,
                )
                asked = role_of(name, role, narrowing)
                return credential_source(asked, sts, tokens, clock=clock, report=report)
            case IdentityCenterRole():
                assert center is not None  # the settings saw to it
                return center.source(name, role)
            case IdentityPoolRole():
                assert isinstance(shared, Cognito)  # the settings saw to it
                return shared.pooled(name, role, settings.sts)
            case _:
                assert_never(role)

    def make(name: str, narrowing: Narrowing) -> RoleSession:
        role = settings.roles[name]
        source = source_of(name, role, narrowing)
        return RoleSession(
            name,
            source,
            RefreshPolicy(),
            clock=clock,
            report=report,
            spread=chance.random,
            about=narrowing.about,
        )

    return make


def kept(
    settings: Settings,
    grants: Sequence[Grant],
    make: Make,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
) -> tuple[RoleRoster, Keeper]:
    """All sessions, and who keeps them fresh. Raises ConfigurationError."""
    first = {(role, narrowing): make(role, narrowing) for role, narrowing in at_hand(settings, grants)}
    keeper = Keeper(first.values(), clock=clock, concurrency=settings.sts.concurrency, spread=chance.random)
    arns = {name: role.identity for name, role in settings.roles.items()}
    return Roster(first, arns, Making(make, keeper, clock, report)), keeper


def at_hand(settings: Settings, grants: Sequence[Grant]) -> Collection[tuple[str, Narrowing]]:
    """What is fetched before anybody asks: all that does not depend on who does.

    A role as a whole is among it only if somebody may have it so: a grant, we ourselves, or, by a grant yet to be
    written, anybody.
    """
    granted = {grant.name for grant in grants}
    whole = {name for name in settings.roles if name not in granted} | _ours(settings)
    found: dict[tuple[str, Narrowing], None] = {}
    for name in settings.roles:
        if name in whole or any(grant.name == name and grant.extent == WHOLE for grant in grants):
            found[name, WHOLE] = None
        for grant in grants:
            if grant.name == name and not grant.extent.variables:
                found.setdefault((name, replace(grant.extent, about=grant.setting)))
    return found.keys()


def refused(settings: Settings, grants: Sequence[Grant]) -> Sequence[tuple[str, AgentError]]:
    """Which grants could never be given, and why, each by its setting: AWS would not take what comes of them."""
    found: dict[str, AgentError] = {}
    for grant in grants:
        role = settings.roles.get(grant.name)
        if not isinstance(role, StsRole) or grant.extent == WHOLE:
            continue  # of one that nothing can narrow the settings have said so
        narrowing = grant.extent.filled(_SOMEBODY)
        try:
            role_of(grant.name, role, narrowing)
            check_identity(settings, role, narrowing)
        except AgentError as error:
            found.setdefault(grant.setting, error)
    return [*found.items()]


def _ours(settings: Settings) -> set[str]:
    """Roles that we use ourselves: to publish with, and to keep files with."""
    ours = {file.role for file in settings.files if file.kind == "credentials"}
    if isinstance(settings.publishing, S3):
        kind, _, name = settings.publishing.credentials.partition(":")
        ours |= {name} if kind == "role" else set()
    return ours
