"""Who may have which session?

The one place that decides. It recognises a caller, looks for a grant, and takes from the session what is
held; it starts no call to AWS, whoever asks.
"""

import asyncio
import heapq
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from agent.callers import LEARNING, NOTHING_KNOWN, Attestor, Caller, Facts, Peer
from agent.credentials import Credentials
from agent.errors import AgentError, CallerDenied, CallerUnknown, CredentialsNotReady, RoleAmbiguous, RoleUnknown
from agent.events import Denial, Report
from agent.leases import CREDENTIALS, Kind, L, N
from agent.narrowing import Narrowing
from agent.roster import payer
from agent.sessions import PATIENCE, Session
from agent.templates import Unfillable
from agent.tokens import IssuedToken
from agent.wording import Wording

#: How many callers are remembered as told of, for each set; beyond that some are told of again.
_REMEMBERED = 10_000

#: How many of them are shown of each role; who wants all reads the audit lines.
_SHOWN = 50

_Fact = tuple[str, str]


def _whole(extent: N) -> N:
    return extent


#: Where grants are found that ask for no fact.
_ANYONE: _Fact = ("", "")


_N_co = TypeVar("_N_co", covariant=True)
_N_contra = TypeVar("_N_contra", contravariant=True)


class Granting(Protocol[_N_co]):
    """A grant: callers of whom all of `when` is known may have so much of what has that name."""

    @property
    def name(self) -> str:
        """The name of a role, or an audience."""
        ...

    @property
    def when(self) -> Facts:
        """What has to be known; nothing means anyone."""
        ...

    @property
    def extent(self) -> _N_co:
        """How much of it, in templates."""
        ...

    @property
    def setting(self) -> str:
        """Where the configuration says so, as in "grants#2"."""
        ...


#: A grant, and its place among all.
_Numbered = tuple[int, Granting[N]]


class Sessions(Protocol[_N_contra, L]):
    """The sessions that there are: of each role or audience, one for each extent that somebody is granted."""

    @property
    def names(self) -> Collection[str]:
        """The names of the roles, or the audiences, that are configured."""
        ...

    def held(self, name: str, extent: _N_contra) -> Session[L] | None:
        """The session, if it is there; it is used from now on."""
        ...

    def wake(self, name: str, extent: _N_contra, payer: str) -> Session[L]:
        """The session, made now if it is not there. Raises CredentialsUnavailable if `payer` has no room for it."""
        ...


class Vendor(Generic[N, L]):
    """Gives what sessions hold to those who have a grant for it, and tells of it."""

    def __init__(
        self,
        sessions: Sessions[N, L],
        attestors: Sequence[Attestor],
        grants: Sequence[Granting[N]],
        report: Report,
        kind: Kind = CREDENTIALS,
    ) -> None:
        """Vend from `sessions`; a caller is what its connection and all `attestors` together say of it.

        Where several of the `grants` give one thing to a caller, the first of them says how much of it.
        """
        self._kind = kind
        self._sessions = sessions
        self._attestors = attestors
        self._near: defaultdict[_Fact, list[_Numbered[N]]] = defaultdict(list)
        self._ways: defaultdict[tuple[str, _Fact], list[_Numbered[N]]] = defaultdict(list)
        for number, grant in enumerate(grants):
            if grant.name in sessions.names:  # any one of its facts would do to find it by
                key = min(grant.when, default=_ANYONE)
                self._near[key].append((number, grant))
                self._ways[grant.name, key].append((number, grant))
        self._by_token = any(name.startswith("token.") for grant in grants for name, _ in grant.when)
        self._report = report
        self._told: dict[tuple[str, N], tuple[str, set[str]]] = {}

    async def vend(self, peer: Peer, name: str = "", cut: Callable[[N], N] = _whole) -> tuple[str, L]:
        """What `peer` is granted of that name, or of the one that it is granted; `cut` to so much as it asks for.

        Waits at most 0.7 s for what is on its way, learning who that is (0.5 s at most) included.

        Raises CallerUnknown, CallerDenied, RoleUnknown (this caller may not have it), RoleAmbiguous, or why there
        is none: CredentialsNotReady, CredentialsUnavailable, CredentialsRefused, TokenUnavailable, KeyUnavailable.
        """
        known = self._recognise(peer)
        caller = known or await self._recognised(peer)
        patience = PATIENCE if known else PATIENCE - LEARNING
        try:
            grant = self._grant(caller, name)
            name, extent = grant.name, cut(_filled(grant, caller))
            session = self._sessions.wake(name, extent, payer(caller.facts, peer.address))
            held = await session.current(patience)
        except AgentError as error:
            self._told_of(caller, name, error)
            raise
        return name, self._tell(caller, name, extent, held)

    def vend_held(self, peer: Peer, name: str = "", cut: Callable[[N], N] = _whole) -> tuple[str, L] | None:
        """The same without waiting: None, and nothing is told, if that would have to wait, or raise."""
        caller = self._recognise(peer)
        if caller is None:
            return None
        try:
            grant = self._grant(caller, name)
            extent = cut(_filled(grant, caller))
        except AgentError:
            return None
        session = self._sessions.held(grant.name, extent)
        held = None if session is None else session.usable()
        return None if held is None else (grant.name, self._tell(caller, grant.name, extent, held))

    async def seen(self, peer: Peer) -> tuple[Caller, Sequence[Granting[N]]]:
        """What is known of `peer`, and what it is granted: of each name the grant that counts, in their order."""
        caller = await self._recognised(peer)
        return caller, [grant for _, grant in sorted(self._granted(caller).items())]

    def callers(self, name: str, extent: N) -> Sequence[str]:
        """Those who were given what this session holds now, or last held, by name."""
        _, told = self._told.get((name, extent), ("", ()))
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

    def _grant(self, caller: Caller, name: str) -> Granting[N]:
        """The grant by which this caller may have that, or the one that it may have.

        Raises CallerUnknown, CallerDenied, RoleUnknown, RoleAmbiguous. Who is granted nothing cannot tell unknown
        from forbidden.
        """
        if name in self._sessions.names:
            # Costs the same however many grants there are of others, or to others.
            near = (self._ways.get((name, fact), ()) for fact in (_ANYONE, *caller.facts))
            if found := _covering(caller, near):
                return found[0][1]
            raise self._nobody(caller)
        granted = self._granted(caller)
        if name and granted:
            raise RoleUnknown(f"there is no such {self._kind.by} here", hint="compare the name with the configuration")
        match sorted(granted):
            case [sole]:
                return granted[sole]
            case []:
                raise self._nobody(caller)
            case several:
                raise RoleAmbiguous(
                    f"this caller is granted several {self._kind.by}s: {', '.join(several)}",
                    hint=f"ask for one of them by name: {self._kind.path}",
                )

    def _granted(self, caller: Caller) -> dict[str, Granting[N]]:
        """The first grant of each name that covers this caller, by name."""
        near = (self._near.get(fact, ()) for fact in (_ANYONE, *caller.facts))
        return {grant.name: grant for _, grant in reversed(_covering(caller, near))}

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
            f"this caller is not granted this {self._kind.by}", hint="the administrator of this machine grants it"
        )

    def _told_of(self, caller: Caller, name: str, error: AgentError) -> None:
        known = name if name in self._sessions.names else ""  # what strangers make up is no name for a log or a metric
        self._report(self._kind.denied(known, caller.name, _reason(error), error, caller.facts))

    def _tell(self, caller: Caller, name: str, extent: N, held: L) -> L:
        """Report each set once to each caller, however often it is fetched."""
        known, told = self._told.get((name, extent), ("", set()))
        whose = caller.name
        if known == held.id and whose in told:
            return held
        if known != held.id or len(told) >= _REMEMBERED:
            told = set()
            if (name, extent) not in self._told and len(self._told) >= _REMEMBERED:
                self._told.pop(next(iter(self._told)))
            self._told[name, extent] = (held.id, told)
        told.add(whose)
        self._report(self._kind.vended(name, whose, held.id, held.expires_at, caller.facts))
        return held


#: Who gives credentials of roles, and who gives tokens for other relying parties.
RoleVendor = Vendor[Narrowing, Credentials]
TokenVendor = Vendor[Wording, IssuedToken]


def _covering(caller: Caller, near: Iterable[Iterable[_Numbered[N]]]) -> list[_Numbered[N]]:
    """Those grants that cover the caller, in the order of the configuration."""
    found = (one for some in near for one in some if one[1].when <= caller.facts)
    return sorted(found, key=lambda one: one[0])


def _filled(grant: Granting[N], caller: Caller) -> N:
    """What this caller gets of it. Raises CallerDenied if that depends on what is not known of it."""
    try:
        return grant.extent.filled(caller.facts, grant.setting)
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
