"""How are we, in facts that anybody may see?

Pure values, read from the parts that know at the moment of asking. No secret and no whole access key id is in
them, so whatever shows them (a page, JSON, metrics, the command line) has none to lose.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, Protocol

from agent.narrowing import Narrowing
from agent.sessions import SessionSnapshot
from agent.status.rules import RuleStatus
from agent.status.sign_ins import SignInStatus
from agent.status.tokens import TokenStatus

#: What a role must still be good for to count as ready: the longest that SDKs trust what they hold unasked.
READY_FOR = timedelta(minutes=15)

KeyState = Literal["announced", "signing", "retired"]
SessionState = Literal["starting", "good", "failing", "ending", "bare"]
#: `idle` is a role of which nobody has asked for anything, and that nobody could have fetched anything of before.
RoleState = Literal["idle", "starting", "good", "failing", "ending", "bare"]

#: From what one would rather not see to what is as it should be.
_WORST_FIRST: Final[Sequence[RoleState]] = ("bare", "ending", "failing", "starting", "good", "idle")


class Session(Protocol):
    """What is asked of a session here."""

    def snapshot(self) -> SessionSnapshot:
        """Tell how it stands, without secrets."""
        ...


class KeptSession(Protocol):
    """A session, whose it is, how much of the role it is, and whether it is there because somebody asked."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as above
    @property
    def extent(self) -> Narrowing: ...  # noqa: D102
    @property
    def session(self) -> Session: ...  # noqa: D102
    @property
    def on_demand(self) -> bool: ...  # noqa: D102


class Sessions(Protocol):
    """What is asked of whoever has all sessions."""

    @property
    def names(self) -> Collection[str]:
        """The configured roles, in the order of the configuration."""
        ...

    def arn(self, role: str) -> str:
        """The ARN of a role. Raises KeyError if there is none of that name."""
        ...

    def kept(self) -> Iterable[KeptSession]:
        """All that are there now."""
        ...


class AgreedClock(Protocol):
    """What is asked of the clock here: the time as AWS tells it, and how far this machine is from it."""

    def now(self) -> datetime:
        """Tell the time, as AWS would."""
        ...

    def steady(self) -> float:
        """Seconds since some moment; never jumps."""
        ...

    @property
    def offset(self) -> timedelta | None:
        """How far AWS is ahead of this machine; None until it has been heard."""
        ...


@dataclass(frozen=True, slots=True)
class SessionStatus:
    """How one session of a role stands.

    Attributes:
        about: which of the role's it is; empty for the role as a whole.
        on_demand: whether it is there because somebody asked.
        key_id: the last four characters of the access key id held; empty if there is none.
        usable: whether what is held is being handed out.
        left: until the end of what is held; None if nothing is held, negative if its end has passed.
        lifetime: what the set held was good for when it was obtained.
        problem: why the latest attempt failed; empty if it did not.
        hint: what to do about that.
        failures: how many attempts in a row have failed.
        next_attempt_in: None until the first attempt is over.
        callers: those who were given what is held, by name.
    """

    role: str
    about: str
    on_demand: bool
    key_id: str
    usable: bool
    expires_at: datetime | None
    left: timedelta | None
    lifetime: timedelta | None
    last_success: datetime | None
    problem: str
    hint: str
    failures: int
    next_attempt_in: timedelta | None
    callers: tuple[str, ...]

    @property
    def age(self) -> timedelta | None:
        """How long ago the latest set was obtained; None if there never was one."""
        return None if self.lifetime is None or self.left is None else self.lifetime - self.left

    @property
    def ready(self) -> bool:
        """Whether it is good for `READY_FOR` more; a set that lives under three times that: for a third of its life."""
        return self.unready == ""

    @property
    def unready(self) -> str:
        """Why it is not ready, in a sentence; empty if it is."""
        if self.ready_for is None:
            if self.problem:
                return f"nothing is held: {self.problem}"
            return "the first credentials are still on their way"
        if self.left is None or self.left < self.ready_for or not self.usable:
            left = max(self.left or timedelta(0), timedelta(0)).total_seconds()
            wanted = self.ready_for.total_seconds()
            because = f"; the latest attempt failed: {self.problem}" if self.problem else ""
            return f"the credentials are good for {left:.0f} s only, wanted are {wanted:.0f} s{because}"
        return ""

    @property
    def ready_for(self) -> timedelta | None:
        """What must be left of the set held; None if nothing is held."""
        return None if self.lifetime is None else min(READY_FOR, self.lifetime / 3)

    @property
    def state(self) -> SessionState:
        """One word for it. `failing` still has enough left, `ending` has not, `bare` has nothing usable."""
        if not self.usable:
            return "bare" if self.failures else "starting"
        if not self.failures:
            return "good"
        return "failing" if self.ready else "ending"


@dataclass(frozen=True, slots=True)
class RoleStatus:
    """How one role stands: as the worst of its sessions."""

    role: str
    arn: str
    sessions: tuple[SessionStatus, ...]

    @property
    def counted(self) -> tuple[SessionStatus, ...]:
        """The sessions that say how the role stands: all but those that somebody has just asked for the first time."""
        return tuple(one for one in self.sessions if not (one.on_demand and one.state == "starting"))

    @property
    def worst(self) -> SessionStatus | None:
        """The session that one would rather not see; of several, the one that ends first. None if none counts."""
        return min(self.counted, key=_badness, default=None)

    @property
    def state(self) -> RoleState:
        """One word for it."""
        return "idle" if self.worst is None else self.worst.state

    @property
    def ready(self) -> bool:
        """Whether all that it has is."""
        return self.unready == ""

    @property
    def unready(self) -> str:
        """Why it is not ready, in a sentence; empty if it is."""
        said = ((one.about, one.unready) for one in sorted(self.counted, key=_badness) if one.unready)
        return next((f"{about}: {why}" if about else why for about, why in said), "")

    @property
    def usable(self) -> bool:
        """Whether all that it has is being handed out, and there is something."""
        return bool(self.counted) and all(one.usable for one in self.counted)

    @property
    def expires_at(self) -> datetime | None:
        """When the first of the sets held ends; None if one of the sessions never had any."""
        return _first(one.expires_at for one in self.counted)

    @property
    def last_success(self) -> datetime | None:
        """When the oldest of the sets held was obtained; None if one of the sessions never had any."""
        return _first(one.last_success for one in self.counted)

    @property
    def failures(self) -> int:
        """How many attempts in a row have failed, of the session that has had the most of them."""
        return max((one.failures for one in self.counted), default=0)

    @property
    def next_attempt_in(self) -> timedelta | None:
        """When the next attempt for any of them is due; None if none is."""
        return min((one.next_attempt_in for one in self.counted if one.next_attempt_in is not None), default=None)

    @property
    def callers(self) -> tuple[str, ...]:
        """Those who were given what is held, by name."""
        return tuple(sorted({name for one in self.sessions for name in one.callers}))


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One signing key, as the world may know it.

    Attributes:
        since: when it came to its state; None where nobody has noted it.
        published: whether the latest look at the issuer showed it; None where there was no look.
        next: what is next for it, in words.
        next_in: in how long; None where that does not depend on time alone.
    """

    kid: str
    algorithm: str
    state: KeyState
    custodian: str = ""
    since: datetime | None = None
    published: bool | None = None
    next: str = ""
    next_in: timedelta | None = None


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The signing keys; `looked_at` is when the issuer was last read through its public URL."""

    keys: tuple[KeyStatus, ...] = ()
    looked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListenerStatus:
    """Where we listen, and for what: `http://127.0.0.1:9170`, `credentials`."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class StatusSnapshot:
    """How everything stands at `taken_at`, by AWS's clock; `offset` is how far that is ahead of this machine's."""

    version: str
    taken_at: datetime
    started_at: datetime
    running_for: timedelta
    offset: timedelta | None
    roles: tuple[RoleStatus, ...]
    ring: KeyRing
    listeners: tuple[ListenerStatus, ...]
    sign_ins: tuple[SignInStatus, ...] = ()
    tokens: tuple[TokenStatus, ...] = ()
    rules: tuple[RuleStatus, ...] = ()

    @property
    def keys(self) -> tuple[KeyStatus, ...]:
        """The signing keys, in the order in which they came."""
        return self.ring.keys

    @property
    def ready(self) -> bool:
        """Whether every role is ready."""
        return all(role.ready for role in self.roles)


@dataclass(frozen=True, slots=True)
class Beside:
    """What there may be beside roles. All is asked each time, and must not wait."""

    sign_ins: Callable[[], Sequence[SignInStatus]] = tuple
    tokens: Callable[[], Sequence[TokenStatus]] = tuple
    rules: Callable[[], Sequence[RuleStatus]] = tuple


class Overview:
    """Looks at the parts and says how they stand; keeps nothing but the time it was made."""

    def __init__(
        self,
        sessions: Sessions,
        *,
        clock: AgreedClock,
        version: str,
        keys: Callable[[], KeyRing],
        listeners: Callable[[], Sequence[ListenerStatus]],
        callers: Callable[[str, Narrowing], Sequence[str]],
        beside: Beside = Beside(),
    ) -> None:
        """Look at `sessions`. All is asked each time, and must not wait; `callers` is asked for each session."""
        self._sessions = sessions
        self._clock = clock
        self._version = version
        self._keys = keys
        self._listeners = listeners
        self._callers = callers
        self._beside = beside
        self._started_at = clock.now()
        self._started = clock.steady()

    @property
    def roles(self) -> tuple[str, ...]:
        """The configured roles, in the order of the configuration."""
        return tuple(self._sessions.names)

    def role(self, name: str) -> RoleStatus:
        """How one role stands. Raises KeyError if there is none of that name."""
        return RoleStatus(name, self._sessions.arn(name), tuple(self._told(name)))

    def snapshot(self) -> StatusSnapshot:
        """How everything stands now."""
        told: dict[str, list[SessionStatus]] = {name: [] for name in self._sessions.names}
        for one in self._told():
            told[one.role].append(one)
        return StatusSnapshot(
            version=self._version,
            taken_at=self._clock.now(),
            started_at=self._started_at,
            running_for=timedelta(seconds=self._clock.steady() - self._started),
            offset=self._clock.offset,
            roles=tuple(RoleStatus(name, self._sessions.arn(name), tuple(ones)) for name, ones in told.items()),
            ring=self._keys(),
            listeners=tuple(self._listeners()),
            sign_ins=tuple(self._beside.sign_ins()),
            tokens=tuple(self._beside.tokens()),
            rules=tuple(self._beside.rules()),
        )

    def _told(self, role: str = "") -> Iterator[SessionStatus]:
        """Every session, or those of one role."""
        for one in self._sessions.kept():
            if not role or one.name == role:
                yield session_status(one, self._callers(one.name, one.extent))


def session_status(one: KeptSession, callers: Sequence[str]) -> SessionStatus:
    """What may be shown of a session, and of those who were given what it holds."""
    held = one.session.snapshot()
    lifetime = held.expires_at - held.last_success if held.expires_at and held.last_success else None
    return SessionStatus(
        role=held.name,
        about=held.about,
        on_demand=one.on_demand,
        key_id=last_four(held.id or ""),
        usable=held.usable,
        expires_at=held.expires_at,
        left=held.left,
        lifetime=lifetime,
        last_success=held.last_success,
        problem=held.problem.what if held.problem else "",
        hint=held.problem.hint if held.problem else "",
        failures=held.failures,
        next_attempt_in=held.next_attempt_in,
        callers=tuple(callers),
    )


def last_four(access_key_id: str) -> str:
    """As much of an access key id as is shown: enough to find it in CloudTrail, too little to be it."""
    return access_key_id[-4:] if len(access_key_id) >= 16 else ""


def _badness(one: SessionStatus) -> tuple[int, timedelta]:
    return _WORST_FIRST.index(one.state), one.left or timedelta(0)


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    """The earliest; None if one is missing, or there are none."""
    known = list(moments)
    there = [moment for moment in known if moment is not None]
    return min(there) if there and len(there) == len(known) else None
