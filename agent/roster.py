"""Which sessions are there?

Those that do not depend on who asks are there from the start. Those that are filled in from the facts about a caller
are made when it first asks, kept fresh while they are used, and dropped when nobody can hold a set of theirs any more.
Callers can make up names of units, so there is room for so many; and whoever has most of it is refused first.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, Generic, NoReturn, Protocol

from agent.callers import Facts
from agent.clock import Clock
from agent.credentials import Credentials
from agent.errors import AgentError, CredentialsNotReady, CredentialsUnavailable
from agent.events import Report, RosterFull
from agent.leases import CREDENTIALS, Kind, L, N
from agent.narrowing import WHOLE, Narrowing
from agent.sessions import Session
from agent.tokens import IssuedToken
from agent.wording import Wording

#: How many sessions are kept on demand. Sets of an hour are then renewed by 0.6 calls to STS a second.
ROOM: Final = 1024

#: So many of one payer may be waiting for their first set, so that a herd of them does not hold up others' for longer
#: than a second: each takes STS 0.2 s, and some are fetched at a time.
_AT_ONCE: Final = 32

#: One role or audience may take up to so many times what is free: three quarters of all.
_NAME_WEIGHT: Final = 3

#: How long what never had a set is kept when nobody asks for it.
_FRUITLESS: Final = timedelta(minutes=5)

#: How often is looked for what can go, in seconds.
_LOOK: Final = 60.0

#: The manager of a user's own units, and the slice of everything of a user's, as systemd calls them.
_USER: Final = re.compile(r"user@([0-9]+)\.service|user-([0-9]+)\.slice")


#: From here on user ids come by the block: a user is given 65,536 of them for his containers (subuid(5)).
_BLOCK: Final = 1 << 16


class Keeper(Protocol):
    """Who keeps sessions fresh."""

    def add(self, session: Session[Any]) -> None:
        """Begin, at once."""
        ...

    def drop(self, session: Session[Any]) -> None:
        """Stop."""
        ...


@dataclass(frozen=True, slots=True)
class Making(Generic[N, L]):
    """How sessions come to be that nobody has asked for yet.

    Attributes:
        make: gives a new session; it raises ConfigurationError if there cannot be such a one.
        keeper: keeps it fresh from then on.
        room: the most that there are at a time.
    """

    make: Callable[[str, N], Session[L]]
    keeper: Keeper
    clock: Clock
    report: Report
    room: int = ROOM


@dataclass(frozen=True, slots=True)
class Kept(Generic[N, L]):
    """A session that is there; `on_demand` if it was made because somebody asked."""

    name: str
    extent: N
    session: Session[L]
    on_demand: bool


@dataclass(slots=True)
class _Made(Generic[L]):
    """A session that was made on demand: who pays for it, and when it was last asked for, by the steady clock."""

    session: Session[L]
    payer: str
    asked_at: float


class Roster(Generic[N, L]):
    """The sessions of all roles, by role and narrowing; or of all audiences, by audience and what a token says."""

    def __init__(
        self,
        sessions: Mapping[tuple[str, N], Session[L]],
        names: Mapping[str, str] | None = None,
        making: Making[N, L] | None = None,
        kind: Kind = CREDENTIALS,
    ) -> None:
        """Those that are kept at hand from the start, and how others are made.

        `names` are all names that there are, also of those with no session at the start; those of roles with the ARN.
        """
        self._sessions = dict(sessions)
        self._names = dict.fromkeys((name for name, _ in sessions), "") | dict(names or {})
        self._making = making
        self._made: dict[tuple[str, N], _Made[L]] = {}
        self._kind = kind

    @staticmethod
    def whole(sessions: Mapping[str, Session[L]]) -> "Roster[Narrowing, L]":
        """One session for each role, of the role as it is."""
        return Roster({(role, WHOLE): session for role, session in sessions.items()})

    @property
    def names(self) -> Collection[str]:
        """The names of the roles, or the audiences, that are configured, in their order."""
        return self._names.keys()

    def arn(self, role: str) -> str:
        """The ARN of a role. Raises KeyError if there is none of that name."""
        return self._names[role]

    def kept(self) -> Iterator[Kept[N, L]]:
        """All that are there now."""
        for (name, extent), session in self._sessions.items():
            yield Kept(name, extent, session, on_demand=False)
        for (name, extent), made in self._made.items():
            yield Kept(name, extent, made.session, on_demand=True)

    def held(self, name: str, extent: N) -> Session[L] | None:
        """The session, if it is there; it is used from now on."""
        key = (name, extent)
        session = self._sessions.get(key)
        if session is not None or self._making is None:
            return session
        made = self._made.get(key)
        if made is None:
            return None
        made.asked_at = self._making.clock.steady()
        return made.session

    def wake(self, name: str, extent: N, payer: str) -> Session[L]:
        """The session, made now if it is not there, at the cost of `payer`.

        Raises CredentialsUnavailable if there is no room for it, and CredentialsNotReady if too many are being made.
        """
        session = self.held(name, extent)
        if session is not None:
            return session
        if self._making is None:
            raise CredentialsUnavailable(f"{self._kind.by} {name} has no such session")
        return self._make(name, extent, payer, self._making)

    async def keep_tidy(self) -> NoReturn:
        """Drop what nobody uses any more, for ever; for a roster that makes sessions."""
        making = self._making
        assert making is not None
        while True:
            await making.clock.sleep(_LOOK)
            self._tidy(making)

    def _make(self, name: str, extent: N, payer: str, making: Making[N, L]) -> Session[L]:
        self._tidy(making)
        mine = [made for made in self._made.values() if made.payer == payer]
        if sum(not made.session.attempted for made in mine) >= _AT_ONCE:
            raise CredentialsNotReady(
                f"{len(mine)} other sessions for {payer} are on their way first", hint="ask again in a second"
            )
        free = making.room - len(self._made)
        free_for_name = _NAME_WEIGHT * free - sum(known == name for known, _ in self._made)
        if len(mine) >= min(free, free_for_name):  # so there is always some room for who has none yet
            making.report(RosterFull(name, payer, len(self._made), len(mine), self._kind.by))
            raise CredentialsUnavailable(
                f"there is no room for another session of {self._kind.by} {name}: {len(self._made)} are kept on "
                f"demand, of which {len(mine)} for {payer}",
                hint="let the grant name something that fewer differ in: ${USER} rather than ${USER_UNIT}",
            )
        try:
            session = making.make(name, extent)
        except AgentError as error:
            what = f"{self._kind.by} {name} cannot be had so: {error.what}"
            raise CredentialsUnavailable(what, hint=error.hint) from error
        self._made[name, extent] = _Made(session, payer, making.clock.steady())
        making.keeper.add(session)
        return session

    def _tidy(self, making: Making[N, L]) -> None:
        """Drop those of which nobody can hold a set any more: who holds one comes back before its end."""
        now = making.clock.steady()
        for key, made in list(self._made.items()):
            if now - made.asked_at > max(made.session.longest, _FRUITLESS).total_seconds():
                del self._made[key]
                making.keeper.drop(made.session)


#: The sessions of roles, and those of tokens for other relying parties.
RoleRoster = Roster[Narrowing, Credentials]
TokenRoster = Roster[Wording, IssuedToken]


def payer(facts: Facts, address: str) -> str:
    """Who answers for what a caller makes us do, of whom this is known.

    All of a user's is his, whatever uids he has in a namespace of his own and whatever units and containers he makes
    up; root's services are told apart by their unit.
    """
    known = dict(facts)
    slices = [value for name, value in facts if name == "systemd.slice"]
    for place in (known.get("systemd.unit", ""), *sorted(slices)):
        if (user := _USER.fullmatch(place)) is not None:
            return f"user {user[1] or user[2]}"
    for fact, kind in (("aws.principal", "aws"), ("container.id", "container")):
        if fact in known:
            return f"{kind} {known[fact]}"
    uid = known.get("unix.uid")
    if uid is None:
        return f"at {address}"
    if uid == "0":
        return f"root in {known.get('systemd.unit', '')}"
    if not (slices or "systemd.unit" in known) and int(uid) >= _BLOCK:
        return f"uids from {int(uid) // _BLOCK * _BLOCK}"  # whose place is not known, since he has taken it away
    return f"uid {uid}"
