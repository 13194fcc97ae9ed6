"""What do we promise to have at hand, and who keeps it fresh?

`Session` is the only memory of credentials, and of tokens for others, and their only writer; `Keeper` is the one
scheduler of all sessions. Time is measured here by the steady clock: how long a set has to live is the difference of
two instants told by its issuer at once. Only where there is evidence that the steady clock has stood still (a virtual
machine that was paused) does another take part, and then only to end a set earlier.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, NoReturn

from agent.clock import DRIFT, IssuerClock, within
from agent.credentials import Credentials
from agent.errors import AgentError, CredentialsNotReady, CredentialsUnavailable
from agent.events import Report
from agent.leases import CREDENTIALS, Kind, L, Source
from agent.schedule import RefreshPolicy, splay

#: The longest that a caller is kept waiting for a fetch under way: several SDKs give up after 1 s in all.
PATIENCE = 0.7

#: The longest nap between two looks at the clock: a suspended machine wakes with its timers late by that much.
NAP = 10.0

#: By so much a clock may be set before what is dated by it is made anew, in seconds: by so much tokens are backdated.
_SET = 10.0

#: By so much a later set may seem to end before the one that is held, in seconds: ends are told in whole ones.
_ROUNDED = 1.0

#: How long a source may take, in seconds. Sources have time limits of their own, so this ends only what is stuck:
#: without it a role whose source hangs would never be asked for again, and nobody would be told.
STUCK = 120.0


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is remembered of a set when it has ended and its secrets are gone."""

    id: str
    obtained_at: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class SessionSnapshot:
    """What there is to tell of a session; no secret in it.

    `problem` is why the latest attempt failed, if it did; `about` says which of those with its name it is, and `id`
    what the latest set may be called in public.
    """

    name: str
    usable: bool
    id: str | None
    expires_at: datetime | None
    left: timedelta | None
    last_success: datetime | None
    problem: AgentError | None
    failures: int
    next_attempt_in: timedelta | None
    about: str = ""


class Session(Generic[L]):
    """The credentials of one role or of a part of it, or the token for one audience of one caller or of several alike.

    What is held stays until its own end, whatever fails.
    """

    def __init__(
        self,
        name: str,
        source: Source[L],
        policy: RefreshPolicy,
        *,
        clock: IssuerClock,
        report: Report,
        spread: Callable[[], float],
        about: str = "",
        kind: Kind = CREDENTIALS,
    ) -> None:
        """Hold nothing yet. `spread` gives a number from 0 up to but not including 1 each time it is called.

        `name` is that of the role, or the audience; `about` tells this session from others of it, to people.
        """
        self.name = name
        self.about = about
        self._kind = kind
        self._source = source
        self._policy = policy
        self._clock = clock
        self._report = report
        self._spread = spread
        self._held: L | None = None
        self._facts: _Facts | None = None
        self._ends = 0.0  # steady time at which what is held stops being handed out
        self._ends_at_most = 0.0  # the same, if the steady clock has missed nothing
        self._asked_at = clock.latest()  # when what is held was asked for, by the issuer's clock
        self._lasts = timedelta(0)  # for how long from then it is handed out
        self._longest = timedelta(0)
        self._problem: AgentError | None = None
        self._failures = 0
        self._alike = 0  # how many of those, up to the latest, were of its kind: passing by themselves, or not
        self._attempts = 0
        self._due: float | None = None
        self._attempt: asyncio.Future[None] | None = None

    def usable(self) -> L | None:
        """What is held, if it is still good; costs next to nothing."""
        if self._clock.steady() < self._ends:
            return self._held
        self._forget()
        return None

    async def current(self, patience: float = PATIENCE) -> L:
        """One that works now; starts nothing, and waits at most so many seconds for a fetch under way.

        Raises CredentialsNotReady, or the latest failure anew: CredentialsUnavailable, CredentialsRefused, …
        """
        held = self.usable()
        if held is None and (self._attempt is not None or not self._attempts):
            await self._outcome(patience)
            held = self.usable()
        if held is not None:
            return held
        if self._problem is not None:
            raise _anew(self._problem)
        raise CredentialsNotReady(
            f"the {self._kind.of(self.name)} are still on their way", hint="ask again in a second"
        )

    def recheck(self) -> bool:
        """Count the life of what is held by the issuer's clock as well; whether that one says that much less is left.

        If it does, its word counts until it says otherwise or there is another set.
        """
        if self._held is None:
            return False
        left = self._asked_at + self._lasts - self._clock.latest()
        ends = self._clock.steady() + left.total_seconds()
        doubtful = self._ends_at_most - ends > DRIFT.total_seconds()
        self._ends = min(ends, self._ends_at_most)
        return doubtful

    async def renew(self) -> timedelta:
        """Ask the source once; tell how long to wait before the next time. Raises nothing that can be survived.

        One at a time: `Keeper` plans the next only when this has returned.
        """
        if self._attempt is None:
            self._attempt = asyncio.get_running_loop().create_future()
        started = self._clock.steady()
        try:
            fresh = await self._fetch()
            took = self._since(started)
            self._refuse_the_useless(fresh, took)
        except AgentError as error:
            wait = self._failed(error, self._since(started))
        else:
            wait = self._renewed(fresh, took)
        finally:
            self._attempts += 1
            self._attempt.set_result(None)
            self._attempt = None
        self._due = self._clock.steady() + wait.total_seconds()
        return wait

    @property
    def attempted(self) -> bool:
        """Whether there has been an attempt at all, successful or not."""
        return self._attempts > 0

    @property
    def longest(self) -> timedelta:
        """The longest life of any set that there was; nothing if there was none."""
        return self._longest

    @property
    def failing(self) -> bool:
        """Whether the latest attempt failed."""
        return self._failures > 0

    def snapshot(self) -> SessionSnapshot:
        """Tell how it stands, without secrets."""
        known, now = self._facts, self._clock.steady()
        usable = self.usable() is not None
        return SessionSnapshot(
            name=self.name,
            usable=usable,
            id=known.id if known else None,
            expires_at=known.expires_at if known else None,
            left=timedelta(seconds=self._ends - now) + self._policy.margin if known else None,
            last_success=known.obtained_at if known else None,
            problem=self._problem,
            failures=self._failures,
            next_attempt_in=None if self._due is None else timedelta(seconds=max(0.0, self._due - now)),
            about=self.about,
        )

    def _forget(self) -> None:
        """Let go of the secrets of a set that has ended, whatever any clock may say later."""
        if self._held is not None and self._clock.steady() >= self._ends_at_most:
            self._held = None

    async def _outcome(self, patience: float) -> None:
        if self._attempt is None:
            self._attempt = asyncio.get_running_loop().create_future()
        try:
            await within(self._clock, patience, asyncio.shield(self._attempt))
        except TimeoutError:
            return

    async def _fetch(self) -> L:
        try:
            return await within(self._clock, STUCK, self._source.fetch())
        except TimeoutError as error:
            raise CredentialsUnavailable(
                f"asking for {self._kind.of(self.name)} came to nothing in {STUCK:.0f} s",
                hint="look for what hangs: the network, a proxy, the device that holds the key, a file system",
            ) from error

    def _since(self, moment: float) -> timedelta:
        return timedelta(seconds=self._clock.steady() - moment)

    def _refuse_the_useless(self, fresh: L, took: timedelta) -> None:
        left = fresh.lifetime - took  # at least: they were issued at some moment since we asked
        if left <= self._policy.margin:
            raise CredentialsUnavailable(
                f"the new {self._kind.of(self.name)} are good for {left.total_seconds():.0f} s only",
                hint="how long does whoever gives them take? Does something else answer, or with an old answer?",
            )
        if self._clock.steady() + (left - self._policy.margin).total_seconds() + _ROUNDED < self._ends:
            raise CredentialsUnavailable(
                f"the new {self._kind.of(self.name)} would end before those that are held",
                hint="these stay in use. What makes whoever gives them, or answers instead, give shorter ones now?",
            )

    def _renewed(self, fresh: L, took: timedelta) -> timedelta:
        # Counted from when we asked: the answer may have lain in a socket while the machine was suspended.
        left = fresh.lifetime - took
        self._held, self._problem, self._failures = fresh, None, 0
        self._facts = _Facts(fresh.id, fresh.obtained_at, fresh.expires_at)
        self._ends = self._ends_at_most = self._clock.steady() + (left - self._policy.margin).total_seconds()
        self._asked_at, self._lasts = self._clock.latest() - took, fresh.lifetime - self._policy.margin
        wait = max(self._policy.renew_after(fresh.lifetime, self._spread()) - took, timedelta(0))
        self._longest = max(self._longest, fresh.lifetime)
        self._report(self._kind.renewed(self.name, fresh.id, fresh.expires_at, took, wait, self.about))
        return wait

    def _failed(self, error: AgentError, took: timedelta) -> timedelta:
        alike = self._problem is not None and self._problem.retryable == error.retryable
        self._failures, self._alike = self._failures + 1, self._alike + 1 if alike else 1
        held = self.usable()
        if error.retryable:
            # In the last minute of what is held, too: a long wait begun then would outlast it.
            bare = self._ends - self._clock.steady() < self._policy.retry_held.total_seconds()
            wait = self._policy.retry_after(self._alike, self._spread(), bare=bare)
        else:
            wait = self._policy.refused_after(self._alike, self._spread())
        until = held.expires_at if held else None
        self._report(self._kind.failed(self.name, error, self._failures, took, wait, until, self.about))
        self._problem = _anew(error)  # without the traceback, whose frames hold what we would rather forget
        return wait


#: One that holds credentials of a role.
RoleSession = Session[Credentials]


def _anew(error: AgentError) -> AgentError:
    return type(error)(error.what, hint=error.hint)


class Keeper:
    """Keeps all sessions fresh: one scheduler, few calls at a time."""

    def __init__(
        self,
        sessions: Iterable[Session[Any]],
        *,
        clock: IssuerClock,
        concurrency: int,
        spread: Callable[[], float],
        dated: bool = False,
    ) -> None:
        """Start nothing. `concurrency` calls are under way at most. `dated`: what is held is dated by this `clock`."""
        self._sessions = dict.fromkeys(sessions)  # a set that keeps its order
        self._untried = set(self._sessions)
        self._again: set[Session[Any]] = set()  # to be renewed once more when what is under way has come to its end
        self._clock = clock
        self._dated = dated
        self._slots = asyncio.Semaphore(concurrency)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Session[Any]]] = []
        self._changed = asyncio.Event()
        self._all_tried = asyncio.Event()
        self._spread = spread
        self._looked = clock.steady()
        self._gained = self._lag()

    def add(self, session: Session[Any]) -> None:
        """Keep this one fresh, too, beginning now; who waits for `tried` does not wait for it."""
        if session not in self._sessions:
            self._sessions[session] = None
            self._plan(session, timedelta(0))

    def drop(self, session: Session[Any]) -> None:
        """Keep this one fresh no longer; a fetch of it under way is let run out."""
        self._sessions.pop(session, None)
        self._again.discard(session)
        self._due = [one for one in self._due if one[2] is not session]
        heapq.heapify(self._due)
        self._tried(session)

    async def keep_fresh(self) -> NoReturn:
        """Renew each session when it is due, for ever."""
        planned = {session for _, _, session in self._due}
        for session in self._sessions:
            if session not in planned:
                self._plan(session, splay(len(self._sessions), self._spread()))
        async with asyncio.TaskGroup() as renewals:
            while True:
                self._changed.clear()
                self._looked = self._clock.steady()
                self._notice_lost_time()
                while self._due and self._due[0][0] <= self._clock.steady():
                    renewals.create_task(self._renew(heapq.heappop(self._due)[2]))
                await self._nap()

    async def tried(self) -> None:
        """Return when every session that was there from the start has had its first attempt, successful or not."""
        if self._untried:
            await self._all_tried.wait()

    def silent_for(self) -> timedelta:
        """How long ago the scheduler last looked round: never much more than `NAP`, as long as it lives."""
        return timedelta(seconds=self._clock.steady() - self._looked)

    def retry_now(self) -> None:
        """Let every session whose latest attempt failed try again at once: somebody has mended something."""
        self._hasten({session for session in self._sessions if session.failing})
        self._changed.set()

    def renew_all(self) -> None:
        """Renew every session now: what they hold, or are just being given, is good for nothing any more."""
        self._again = self._sessions.keys() - {session for _, _, session in self._due}
        self._hasten(set(self._sessions))
        self._changed.set()

    def _lag(self) -> float:
        """How far the issuer's clock is ahead of the steady one, in seconds: it changes when that has stood still."""
        return self._clock.latest().timestamp() - self._clock.steady()

    def _notice_lost_time(self) -> None:
        """Have what is held counted anew, and what turns out to be doubtful renewed, if time seems to be missing."""
        lag = self._lag()
        if abs(lag - self._gained) > (_SET if self._dated else DRIFT.total_seconds() / 2):
            self._gained = lag
            doubtful = {session for session in self._sessions if session.recheck()}
            self.renew_all() if self._dated else self._hasten(doubtful)

    def _hasten(self, sessions: Collection[Session[Any]]) -> None:
        now = self._clock.steady()
        self._due = [(now if session in sessions else due, order, session) for due, order, session in self._due]
        heapq.heapify(self._due)

    async def _renew(self, session: Session[Any]) -> None:
        async with self._slots:
            if session not in self._sessions:  # dropped while it waited for its turn
                return
            self._again.discard(session)
            wait = await session.renew()
        self._tried(session)
        if session in self._sessions:
            self._plan(session, timedelta(0) if session in self._again else wait)

    def _tried(self, session: Session[Any]) -> None:
        self._untried.discard(session)
        if not self._untried:
            self._all_tried.set()

    def _plan(self, session: Session[Any], wait: timedelta) -> None:
        heapq.heappush(self._due, (self._clock.steady() + wait.total_seconds(), next(self._order), session))
        if self._due[0][2] is session:
            self._changed.set()

    async def _nap(self) -> None:
        nap = min(NAP, self._due[0][0] - self._clock.steady()) if self._due else NAP
        try:
            await within(self._clock, max(nap, 0.0), self._changed.wait())
        except TimeoutError:
            return
