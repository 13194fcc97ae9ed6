"""Who may have which session?

The one place that decides. It recognises a caller, looks for a grant, and takes from the session what is
held; it starts no call to AWS, whoever asks.
"""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from agent.callers import LEARNING, NOTHING_KNOWN, Attestor, Caller, Facts, Grant, Peer
from agent.credentials import Credentials
from agent.errors import AgentError, CallerDenied, CallerUnknown, CredentialsNotReady, RoleAmbiguous, RoleUnknown
from agent.events import CredentialsVended, Denial, Report, VendingDenied
from agent.narrowing import Narrowing, Unfillable
from agent.roster import payer
from agent.sessions import PATIENCE, RoleSession

#: How many callers are remembered as told of, for each set; beyond that some are told of again.
_REMEMBERED = 10_000

#: How many of them are shown of each role; who wants all reads the audit lines.
_SHOWN = 50

_Fact = tuple[str, str]

#: A grant, and its place among all.
_Numbered = tuple[int, Grant]

#: Where grants are found that ask for no fact.
_ANYONE: _Fact = ("", "")


class Sessions(Protocol):
    """The sessions that there are: of each role, one for each narrowing that somebody is granted."""

    @property
    def roles(self) -> Collection[str]:
        """The names of the roles that are configured."""
        ...

    def held(self, role: str, narrowing: Narrowing) -> RoleSession | None:
        """The session, if it is there; it is used from now on."""
        ...

    def wake(self, role: str, narrowing: Narrowing, payer: str) -> RoleSession:
        """The session, made now if it is not there. Raises CredentialsUnavailable if `payer` has no room for it."""
        ...


class Vendor:
    """Gives credentials to those who have a grant for them, and tells of it."""

    def __init__(
        self, sessions: Sessions, attestors: Sequence[Attestor], grants: Sequence[Grant], report: Report
    ) -> None:
        """Vend from `sessions`; a caller is what its connection and all `attestors` together say of it.

        Where several of the `grants` give a role to a caller, the first of them says how much of it.
        """
        self._sessions = sessions
        self._attestors = attestors
        self._near: defaultdict[_Fact, list[_Numbered]] = defaultdict(list)
        self._ways: defaultdict[tuple[str, _Fact], list[_Numbered]] = defaultdict(list)
        for number, grant in enumerate(grants):
            if grant.role in sessions.roles:  # any one of its facts would do to find it by
                key = min(grant.when, default=_ANYONE)
                self._near[key].append((number, grant))
                self._ways[grant.role, key].append((number, grant))
        self._by_token = any(name.startswith("token.") for grant in grants for name, _ in grant.when)
        self._report = report
        self._told: dict[tuple[str, Narrowing], tuple[str, set[str]]] = {}

    async def vend(self, peer: Peer, role: str = "") -> tuple[str, Credentials]:
        """Credentials of `role`, or of the one role that it is granted, for `peer`.

        Waits at most 0.7 s for credentials that are on their way, learning who that is (0.5 s at most) included.

        Raises CallerUnknown, CallerDenied, RoleUnknown (this caller may not have them), RoleAmbiguous, or why there
        are none: CredentialsNotReady, CredentialsUnavailable, CredentialsRefused, TokenUnavailable, KeyUnavailable.
        """
        known = self._recognise(peer)
        caller = known or await self._recognised(peer)
        patience = PATIENCE if known else PATIENCE - LEARNING
        try:
            grant = self._grant(caller, role)
            role, narrowing = grant.role, _narrowed(grant, caller)
            session = self._sessions.wake(role, narrowing, payer(caller.facts, peer.address))
            held = await session.credentials(patience)
        except AgentError as error:
            self._told_of(caller, role, error)
            raise
        return role, self._tell(caller, role, narrowing, held)

    def vend_held(self, peer: Peer, role: str = "") -> tuple[str, Credentials] | None:
        """The same without waiting: None, and nothing is told, if that would have to wait, or raise."""
        caller = self._recognise(peer)
        if caller is None:
            return None
        try:
            grant = self._grant(caller, role)
            narrowing = _narrowed(grant, caller)
        except AgentError:
            return None
        session = self._sessions.held(grant.role, narrowing)
        held = None if session is None else session.usable()
        return None if held is None else (grant.role, self._tell(caller, grant.role, narrowing, held))

    async def seen(self, peer: Peer) -> tuple[Caller, Sequence[Grant]]:
        """What is known of `peer`, and what it is granted: of each role the grant that counts, by the roles' names."""
        caller = await self._recognised(peer)
        return caller, [grant for _, grant in sorted(self._granted(caller).items())]

    def callers(self, role: str, narrowing: Narrowing) -> Sequence[str]:
        """Those who were given what this session holds now, or last held, by name."""
        _, told = self._told.get((role, narrowing), ("", ()))
        return heapq.nsmallest(_SHOWN, told)

    async def _recognised(self, peer: Peer) -> Caller:
        caller = self._recognise(peer)
        if caller is not None:
            return caller
        # All at once: SDKs that give up after a second would not wait for one after the other.
        await asyncio.gather(*(one.learn(peer) for one in self._attestors if one.attest(peer) is None))
        known = (attestor.attest(peer) or NOTHING_KNOWN for attestor in self._attestors)
        return Caller(peer, peer.origin.facts.union(*known))

    def _recognise(self, peer: Peer) -> Caller | None:
        """The caller, if all there is to know of it is known."""
        facts: Facts = peer.origin.facts
        for attestor in self._attestors:
            known = attestor.attest(peer)
            if known is None:
                return None
            facts |= known
        return Caller(peer, facts)

    def _grant(self, caller: Caller, role: str) -> Grant:
        """The grant by which this caller may have that role, or the one that it may have.

        Raises CallerUnknown, CallerDenied, RoleUnknown, RoleAmbiguous. Who is granted nothing cannot tell unknown
        from forbidden.
        """
        if role in self._sessions.roles:
            # Costs the same however many grants there are of other roles, or to others.
            near = (self._ways.get((role, fact), ()) for fact in (_ANYONE, *caller.facts))
            if found := _covering(caller, near):
                return found[0][1]
            raise self._nobody(caller)
        granted = self._granted(caller)
        if role and granted:
            raise RoleUnknown("there is no such role here", hint="compare the name with the configuration")
        match sorted(granted):
            case [sole]:
                return granted[sole]
            case []:
                raise self._nobody(caller)
            case several:
                raise RoleAmbiguous(
                    f"this caller is granted several roles: {', '.join(several)}",
                    hint="ask for one of them by name: /v1/credentials/ROLE",
                )

    def _granted(self, caller: Caller) -> dict[str, Grant]:
        """The first grant of each role that covers this caller, by role."""
        near = (self._near.get(fact, ()) for fact in (_ANYONE, *caller.facts))
        return {grant.role: grant for _, grant in reversed(_covering(caller, near))}

    def _nobody(self, caller: Caller) -> AgentError:
        """Why a caller that is granted nothing gets nothing: 401 if showing another token may help, else 403."""
        shown = any(name.startswith("token.") for name, _ in caller.facts)
        if caller.peer.presented is not None and not shown:
            return CallerUnknown(
                "the token that this caller showed is not known here", hint="it may have been replaced: read it again"
            )
        if caller.peer.presented is None and self._by_token:
            return CallerUnknown(
                "this caller showed no token", hint="set AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE as given"
            )
        return CallerDenied(
            "this caller is not granted this role", hint="the administrator of this machine grants roles"
        )

    def _told_of(self, caller: Caller, role: str, error: AgentError) -> None:
        known = role if role in self._sessions.roles else ""  # what strangers make up is no name for a log or a metric
        self._report(VendingDenied(known, caller.name, _reason(error), error, caller.facts))

    def _tell(self, caller: Caller, role: str, narrowing: Narrowing, held: Credentials) -> Credentials:
        """Report each set once to each caller, however often it is fetched."""
        key_id, told = self._told.get((role, narrowing), ("", set()))
        name = caller.name
        if key_id == held.access_key_id and name in told:
            return held
        if key_id != held.access_key_id or len(told) >= _REMEMBERED:
            told = set()
            if (role, narrowing) not in self._told and len(self._told) >= _REMEMBERED:
                self._told.pop(next(iter(self._told)))
            self._told[role, narrowing] = (held.access_key_id, told)
        told.add(name)
        self._report(CredentialsVended(role, name, held.access_key_id, held.expires_at, caller.facts))
        return held


def _covering(caller: Caller, near: Iterable[Iterable[_Numbered]]) -> list[_Numbered]:
    """Those grants that cover the caller, in the order of the configuration."""
    return sorted((one for some in near for one in some if one[1].covers(caller)), key=lambda one: one[0])


def _narrowed(grant: Grant, caller: Caller) -> Narrowing:
    """What this caller gets of the role. Raises CallerDenied if that depends on what is not known of it."""
    try:
        return grant.narrowing.filled(caller.facts, grant.setting)
    except Unfillable as missing:
        what = f"{grant.setting} names ${{{missing}}}, which is not known of this caller"
        raise CallerDenied(what, hint="grant it by what is known of it; see: rolecall who") from missing


_REASONS: Mapping[type[AgentError], Denial] = {
    CallerUnknown: "unknown_caller",
    CallerDenied: "not_granted",
    RoleUnknown: "unknown_role",
    RoleAmbiguous: "ambiguous",
    CredentialsNotReady: "not_ready",
}


def _reason(error: AgentError) -> Denial:
    """All that is not the caller's doing is one reason: why a role has nothing is told where that is found out."""
    return _REASONS.get(type(error), "unavailable")
