"""How are callers recognised, and what are they granted?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.callers import Grant
from agent.callers.bearer import BearerTokens
from agent.clock import Clock
from agent.errors import AgentError
from agent.events import CallerTokensUnreadable, Event, Report
from agent.settings import aws_callers
from agent.settings.callers import Grant as GrantSettings
from agent.wording import TokenGrant

#: Variables that stand for what is known of the user of a caller.
_OF_USERS: Final = frozenset({"UID", "USER"})

#: The facts of which patterns may stand in grants.
PATTERNED: Final = ("systemd.unit", "systemd.user_unit", "token.unit", "container.name")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What some grant asks of callers, so that nothing else need be found out.

    Attributes:
        users: the names of users; ids need no looking up.
        groups: the names of groups.
        every_user: whether the name of each caller's user is wanted, for a template.
        patterns: those of each fact, by its name, one of PATTERNED; a tuple for each of them, empty or not.
        accounts: whether users or groups are wanted, for a template included, which the kernel alone tells.
        units: whether units or slices are, which it alone tells, too.
        executables: whether programs are.
        containers: whether containers are.
        unit_tokens: whether tokens of units are.
    """

    users: frozenset[str]
    groups: frozenset[str]
    every_user: bool
    patterns: Mapping[str, tuple[str, ...]]
    accounts: bool
    units: bool
    executables: bool
    containers: bool
    unit_tokens: bool

    @property
    def kernel(self) -> bool:
        """Whether anything is wanted that the kernel alone tells."""
        return self.accounts or self.units or self.executables


def wanted(found: Sequence[Grant | TokenGrant]) -> Wanted:
    """What these grants ask for."""
    facts = {fact for grant in found for fact in grant.when}
    named = {name.removesuffix(".like") for name, _ in facts}
    variables = {variable for grant in found for variable in grant.extent.variables}

    def values(name: str) -> list[str]:
        return sorted(value for known, value in facts if known == name)

    return Wanted(
        users=frozenset(values("unix.user")),
        groups=frozenset(values("unix.group")),
        every_user="USER" in variables,
        patterns={name: tuple(values(f"{name}.like")) for name in PATTERNED},
        accounts=any(name.startswith("unix.") for name in named) or bool(variables & _OF_USERS),
        units=any(name.startswith("systemd.") for name in named),
        executables="process.executable" in named,
        containers="container.name" in named,
        unit_tokens="token.unit" in named,
    )


def bearer_tokens(settings: Sequence[GrantSettings], *, clock: Clock, report: Report) -> BearerTokens:
    """One reader for all token files; a file that several grants name keeps old tokens for the shortest overlap."""
    overlaps: dict[Path, timedelta] = {}
    for grant in settings:
        for path in grant.token_file:
            overlaps[path] = min(overlaps.get(path, grant.token_overlap), grant.token_overlap)
    return BearerTokens(overlaps, clock=clock, report=report)


async def unusable_tokens(settings: Sequence[GrantSettings], *, clock: Clock) -> Mapping[Path, AgentError]:
    """What is wrong with each token file that nobody could get anything by, as it stands now."""
    found: dict[Path, AgentError] = {}

    def note(event: Event) -> None:
        if isinstance(event, CallerTokensUnreadable):
            found[Path(event.path)] = event.error

    await bearer_tokens(settings, clock=clock, report=note).read()
    return found


def grants(settings: Sequence[GrantSettings]) -> list[Grant]:
    """One grant for each role and each way to be recognised."""
    return [
        Grant(role, way, grant.narrowing(role), f"grants#{number}")
        for number, grant in enumerate(settings, start=1)
        for role in grant.roles
        for way in grant.ways()
    ]


def token_grants(settings: Sequence[GrantSettings], subject: str, *, aws: bool = False) -> list[TokenGrant]:
    """One grant for each audience and each way to be recognised; `subject` is whom tokens speak of, if nothing is said.

    With `aws`, those of callers inside AWS, who come by a listener of their own; else those of all others.
    """
    return [
        TokenGrant(audience, way, grant.wording(subject), f"grants#{number}")
        for number, grant in enumerate(settings, start=1)
        if aws == any(grant.values(word) for word in aws_callers.WHO)
        for audience in grant.audiences
        for way in grant.ways()
    ]
