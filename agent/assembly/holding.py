"""What is held for callers, who keeps it fresh, and who may have it?"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.assembly.callers import grants, token_grants
from agent.assembly.credentials import OpenedSts
from agent.assembly.issuing import Issuing, issuing, subject_of
from agent.assembly.recognition import Recognition, recognition
from agent.assembly.sessions import kept, session_maker
from agent.assembly.tokens import SharedTokens
from agent.clock import RemoteClock
from agent.events import Event, KeyForgotten, KeyReady, Report, SignedIn
from agent.narrowing import WHOLE
from agent.roster import RoleRoster
from agent.service import Job
from agent.sessions import Keeper, RoleSession
from agent.settings import Settings
from agent.tokens.self_signed import Signer
from agent.vending import RoleVendor, TokenVendor
from agent.wording import TokenGrant

if TYPE_CHECKING:
    from agent.assembly.identity_center import IdentityCenter


@dataclass(frozen=True, slots=True)
class Issuers:
    """Who gives us tokens: our own key; one source for all roles; the sign-in of a person. Each where there is one."""

    signer: Signer | None = None
    shared: SharedTokens | None = None
    center: "IdentityCenter | None" = None


@dataclass(frozen=True, slots=True)
class Holding:
    """Credentials of roles, tokens for others, and who gives them to whom.

    `remote` is what callers inside AWS may have, who come by a listener of their own.
    """

    roster: RoleRoster
    keeper: Keeper
    vendor: RoleVendor
    issuing: Issuing
    tokens: TokenVendor
    seeing: Recognition
    remote: Sequence[TokenGrant]

    @property
    def keepers(self) -> Sequence[Keeper]:
        """All who keep something fresh."""
        return self.keeper, self.issuing.keeper

    @property
    def jobs(self) -> Sequence[Job]:
        """What runs for as long as it is held."""
        return [
            *(one.keep_fresh for one in self.keepers),
            self.roster.keep_tidy,
            self.issuing.roster.keep_tidy,
            *self.seeing.jobs,
        ]

    @property
    def whole(self) -> dict[str, RoleSession]:
        """The sessions of roles as a whole that are there from the start, by the role."""
        return {one.name: one.session for one in self.roster.kept() if one.extent == WHOLE}

    def heard(self, event: Event) -> None:
        """Try again what failed for want of the key or of a person; sign anew what a stolen key has signed."""
        match event:
            case KeyReady() | SignedIn():
                for keeper in self.keepers:
                    keeper.retry_now()
            case KeyForgotten(why="stolen"):
                self.issuing.keeper.renew_all()

    async def tried(self) -> None:
        """Return when all that was there from the start has had its first attempt, successful or not."""
        for keeper in self.keepers:
            await keeper.tried()


def holding(
    settings: Settings, issuers: Issuers, sts: OpenedSts, *, clock: RemoteClock, report: Report, chance: random.Random
) -> Holding:
    """Put it together; nothing is fetched yet. Raises ConfigurationError."""
    granted, ours = grants(settings.grants), subject_of(settings)
    local, remote = token_grants(settings.grants, ours), _remote(settings)
    make = session_maker(
        settings,
        issuers.signer,
        sts,
        clock=clock,
        report=report,
        chance=chance,
        shared=issuers.shared,
        center=issuers.center,
    )
    roster, keeper = kept(settings, granted, make, clock=clock, report=report, chance=chance)
    tokens = issuing(settings, [*local, *remote], issuers.signer, clock=clock, report=report, chance=chance)
    seeing = recognition(settings, [*granted, *local], clock=clock, report=report)
    vendor = RoleVendor(roster, seeing.attestors, granted, report)
    return Holding(roster, keeper, vendor, tokens, tokens.vendor(local, seeing.attestors), seeing, remote)


def _remote(settings: Settings) -> Sequence[TokenGrant]:
    """What callers inside AWS may have."""
    if settings.aws_callers is None:
        return ()
    from agent.assembly.aws_callers import SUBJECT, aws_grants

    return aws_grants(token_grants(settings.grants, SUBJECT, aws=True))
