"""Who may have which session?

The one place that decides. It recognises a caller, looks for a grant, and takes from the session what is
held; it starts no call to AWS, whoever asks.
"""

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence

from agent.callers import Attestor, Caller, Facts, Grant, Peer
from agent.credentials import Credentials
from agent.errors import AgentError, CallerDenied, CallerUnknown, CredentialsNotReady, RoleAmbiguous, RoleUnknown
from agent.events import CredentialsVended, Denial, Report, VendingDenied
from agent.sessions import RoleSession

#: How many callers are remembered as told of, for each set; beyond that some are told of again.
_REMEMBERED = 10_000

#: How many of them are shown of each role; who wants all reads the audit lines.
_SHOWN = 50

_Fact = tuple[str, str]

#: Where grants are found that ask for no fact.
_ANYONE: _Fact = ("", "")


class Vendor:
    """Gives credentials to those who have a grant for them, and tells of it."""

    def __init__(
        self,
        sessions: Mapping[str, RoleSession],
        attestors: Sequence[Attestor],
        grants: Sequence[Grant],
        report: Report,
    ) -> None:
        """Vend from `sessions`, by role; a caller is what all `attestors` together know of it."""
        self._sessions = sessions
        self._attestors = attestors
        self._roles: defaultdict[_Fact, list[Grant]] = defaultdict(list)
        self._ways: defaultdict[tuple[str, _Fact], list[Facts]] = defaultdict(list)
        for grant in grants:
            key = min(grant.when, default=_ANYONE)  # any one of its facts would do to find it by
            self._roles[key].append(grant)
            self._ways[grant.role, key].append(grant.when)
        self._report = report
        self._told: dict[str, tuple[str, set[str]]] = {}

    async def vend(self, peer: Peer, role: str) -> Credentials:
        """Credentials of `role` for `peer`, after waiting at most 0.7 s for a fetch under way.

        Raises CallerUnknown, CallerDenied, RoleUnknown (this caller may not have them), or why there are
        none: CredentialsNotReady, CredentialsUnavailable, CredentialsRefused, TokenUnavailable, KeyUnavailable.
        """
        caller = self._admit(peer, role)
        try:
            held = await self._sessions[role].credentials()
        except AgentError as error:
            self._told_of(caller, role, error)
            raise
        return self._tell(caller, role, held)

    def vend_held(self, peer: Peer, role: str) -> Credentials | None:
        """The same without waiting: None if nothing usable is held, or if `peer` may not have it (nothing is told)."""
        caller = self._recognise(peer)
        if self._refusal(caller, role) is not None:
            return None
        held = self._sessions[role].usable()
        return held and self._tell(caller, role, held)

    def sole_role(self, peer: Peer) -> str:
        """The one role that `peer` is granted. Raises CallerUnknown, CallerDenied (none), RoleAmbiguous (several)."""
        caller = self._recognise(peer)
        match sorted(self._granted(caller)):
            case [role]:
                return role
            case []:
                raise self._told_of(caller, "", _nobody(caller))
            case several:
                ambiguous = RoleAmbiguous(
                    f"this caller is granted several roles: {', '.join(several)}",
                    hint="ask for one of them by name: /v1/credentials/ROLE",
                )
                raise self._told_of(caller, "", ambiguous)

    def callers(self, role: str) -> Sequence[str]:
        """Those who were given what `role` holds now, or last held, by name."""
        _, told = self._told.get(role, ("", set()))
        return heapq.nsmallest(_SHOWN, told)

    def _admit(self, peer: Peer, role: str) -> Caller:
        caller = self._recognise(peer)
        refusal = self._refusal(caller, role)
        if refusal is not None:
            raise self._told_of(caller, role, refusal)
        return caller

    def _recognise(self, peer: Peer) -> Caller:
        facts: Facts = frozenset()
        for attestor in self._attestors:
            facts |= attestor.attest(peer)
        return Caller(peer, facts)

    def _granted(self, caller: Caller) -> set[str]:
        near = (grant for fact in (_ANYONE, *caller.facts) for grant in self._roles.get(fact, ()))
        return {grant.role for grant in near if grant.covers(caller, grant.role)}

    def _may(self, caller: Caller, role: str) -> bool:
        """Whether it is granted that role. Costs the same however many grants there are of others, or to others."""
        ways = (when for fact in (_ANYONE, *caller.facts) for when in self._ways.get((role, fact), ()))
        return any(when <= caller.facts for when in ways)

    def _refusal(self, caller: Caller, role: str) -> AgentError | None:
        """Why this caller may not have this role. Who is granted nothing cannot tell unknown from forbidden."""
        if role not in self._sessions and self._granted(caller):
            return RoleUnknown("there is no such role here", hint="compare the name with the configuration")
        if role in self._sessions and self._may(caller, role):
            return None
        return _nobody(caller)

    def _told_of(self, caller: Caller, role: str, error: AgentError) -> AgentError:
        known = role if role in self._sessions else ""  # what strangers make up is no name for a log or a metric
        self._report(VendingDenied(known, caller.name, _reason(error), error))
        return error

    def _tell(self, caller: Caller, role: str, held: Credentials) -> Credentials:
        """Report each set once to each caller, however often it is fetched."""
        key_id, told = self._told.get(role, ("", set()))
        name = caller.name
        if key_id == held.access_key_id and name in told:
            return held
        if key_id != held.access_key_id or len(told) >= _REMEMBERED:
            told = set()
            self._told[role] = (held.access_key_id, told)
        told.add(name)
        self._report(CredentialsVended(role, name, held.access_key_id, held.expires_at))
        return held


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


def _nobody(caller: Caller) -> AgentError:
    if caller.facts:
        return CallerDenied(
            "this caller is not granted this role", hint="the administrator of this machine grants roles"
        )
    if caller.peer.presented is None:
        return CallerUnknown(
            "this caller showed no token", hint="set AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE as given"
        )
    return CallerUnknown(
        "the token that this caller showed is not known here", hint="it may have been replaced: read it again"
    )
