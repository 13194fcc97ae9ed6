"""Which tokens for other relying parties are kept at hand, and how is one made?"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import uuid4

from agent.assembly.tokens import token_ids
from agent.callers import Attestor
from agent.clock import Clock, RemoteClock, WorldClock
from agent.errors import ConfigurationError
from agent.events import Report
from agent.keys import SigningKey
from agent.leases import TOKENS
from agent.roster import Making, Roster, TokenRoster
from agent.schedule import RefreshPolicy
from agent.sessions import Keeper, Session
from agent.settings import SelfSigned as SelfSignedSettings
from agent.settings import Settings
from agent.tokens import IssuedToken, Token
from agent.tokens.self_signed import Identity, SelfSigned, Signer
from agent.vending import TokenVendor, Vendor
from agent.wording import TokenGrant, Wording

#: What is left of a token when it stops being handed out: enough to use it, even of one that lives for two minutes.
_MARGIN, _OF_ITS_LIFE = timedelta(seconds=60), 6

#: How many are kept on demand. A caller may have half of them, by asking for some of its scopes: of tokens that live
#: for two minutes that is two signatures a second, which a TPM can bear.
_ROOM = 256

#: So many are signed at once: a custodian has one key, and asks a device or a service that has limits of its own.
_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Issuing:
    """The tokens that are there, who keeps them fresh, and who may say who gets them."""

    roster: TokenRoster
    keeper: Keeper
    report: Report

    def vendor(self, grants: Sequence[TokenGrant], attestors: Sequence[Attestor]) -> TokenVendor:
        """Gives them by these grants, to those of whom these attestors tell."""
        return Vendor(self.roster, attestors, grants, self.report, TOKENS)


def issuing(
    settings: Settings,
    grants: Sequence[TokenGrant],
    signer: Signer | None,
    *,
    clock: RemoteClock,
    report: Report,
    chance: random.Random,
) -> Issuing:
    """Put it together for all `grants`; nothing is signed yet. Raises ConfigurationError where nobody could sign."""
    ids, time = token_ids(chance), WorldClock(clock)

    def make(audience: str, wording: Wording) -> Session[IssuedToken]:
        if signer is None or settings.issuer is None:
            raise ConfigurationError("there is no key or issuer to sign tokens with", hint="add [issuer] and [key]")
        identity = identity_of(settings.issuer.url, audience, wording)
        policy = RefreshPolicy(reserve=timedelta(0), margin=min(_MARGIN, wording.lifetime / _OF_ITS_LIFE))
        return Session(
            audience,
            SelfSigned(signer, identity, time, token_id=ids, report=report),
            policy,
            clock=time,
            report=report,
            spread=chance.random,
            about=wording.about,
            kind=TOKENS,
        )

    # What does not depend on who asks is there before anybody does.
    first = {
        (grant.name, wording): make(grant.name, wording)
        for grant in grants
        if not grant.extent.variables
        for wording in (replace(grant.extent, about=grant.setting),)
    }
    keeper = Keeper(first.values(), clock=time, concurrency=_AT_ONCE, spread=chance.random, dated=True)
    names = {grant.name: "" for grant in grants}
    return Issuing(Roster(first, names, Making(make, keeper, clock, report, _ROOM), TOKENS), keeper, report)


def subject_of(settings: Settings) -> str:
    """Whom tokens speak of, if a grant says nothing else: whom those for STS speak of, where they are ours."""
    return settings.identity.subject if isinstance(settings.identity, SelfSignedSettings) else ""


async def issued(settings: Settings, key: SigningKey, audience: str, wording: Wording, clock: Clock) -> Token:
    """One such token, made by hand. Raises ConfigurationError if it cannot be, and KeyUnavailable."""
    if settings.issuer is None:
        raise ConfigurationError("there is no issuer of such a token", hint="add [issuer] and [key]")
    identity = identity_of(settings.issuer.url, audience, wording)
    return await SelfSigned(lambda: key, identity, clock, token_id=lambda: str(uuid4()), report=lambda _: None).token()


def identity_of(issuer: str, audience: str, wording: Wording) -> Identity:
    """What a token of that wording says; its templates are filled in. Raises ConfigurationError if it cannot be."""
    return Identity(issuer, wording.subject, audience, wording.lifetime, claims=wording.as_claims())
