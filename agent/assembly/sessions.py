"""Which sessions does the configuration call for, and how is one made?"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from uuid import UUID

from agent.assembly.credentials import OpenedSts, credential_source, role_of
from agent.assembly.tokens import check_identity, token_source
from agent.callers import Grant
from agent.clock import RemoteClock
from agent.errors import AgentError
from agent.events import Report
from agent.narrowing import VARIABLES, WHOLE, Narrowing
from agent.roster import Making, Roster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, RoleSession
from agent.settings import S3, Settings
from agent.tokens.self_signed import Signer

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
) -> Make:
    """Makes the session of a role and a narrowing, with nothing in it; it raises ConfigurationError."""

    def token_id() -> str:
        return str(UUID(int=chance.getrandbits(128), version=4))

    def make(name: str, narrowing: Narrowing) -> RoleSession:
        role = settings.roles[name]
        tokens = token_source(
            settings, role, signer, clock=clock, token_id=token_id, report=report, narrowing=narrowing
        )
        asked = role_of(name, role, narrowing)
        source = credential_source(asked, sts, tokens, clock=clock, report=report)
        return RoleSession(
            name,
            role.arn,
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
) -> tuple[Roster, Keeper]:
    """All sessions, and who keeps them fresh. Raises ConfigurationError."""
    first = {(role, narrowing): make(role, narrowing) for role, narrowing in at_hand(settings, grants)}
    keeper = Keeper(first.values(), clock=clock, concurrency=settings.sts.concurrency, spread=chance.random)
    arns = {name: role.arn for name, role in settings.roles.items()}
    return Roster(first, arns, Making(make, keeper, clock, report)), keeper


def at_hand(settings: Settings, grants: Sequence[Grant]) -> Collection[tuple[str, Narrowing]]:
    """What is fetched before anybody asks: all that does not depend on who does.

    A role as a whole is among it only if somebody may have it so: a grant, we ourselves, or, by a grant yet to be
    written, anybody.
    """
    granted = {grant.role for grant in grants}
    whole = {name for name in settings.roles if name not in granted} | _ours(settings)
    found: dict[tuple[str, Narrowing], None] = {}
    for name in settings.roles:
        if name in whole or any(grant.role == name and grant.narrowing == WHOLE for grant in grants):
            found[name, WHOLE] = None
        for grant in grants:
            if grant.role == name and not grant.narrowing.variables:
                found.setdefault((name, replace(grant.narrowing, about=grant.setting)))
    return found.keys()


def refused(settings: Settings, grants: Sequence[Grant]) -> Sequence[tuple[str, AgentError]]:
    """Which grants could never be given, and why, each by its setting: AWS would not take what comes of them."""
    found: dict[str, AgentError] = {}
    for grant in grants:
        role = settings.roles.get(grant.role)
        if role is None or grant.narrowing == WHOLE:
            continue
        narrowing = grant.narrowing.filled(_SOMEBODY)
        try:
            role_of(grant.role, role, narrowing)
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
