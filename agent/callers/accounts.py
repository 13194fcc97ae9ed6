"""What is the user at the other end called, and in which groups is he?

The kernel knows numbers; names and groups are in the account databases (NSS), which may be a directory server that is
slow, or gone. So they are asked in a thread, one at a time, ahead of need where that is possible, and what they said
holds for a while when they say nothing more.

Groups are those of the account, not of the process: what a unit is given by SupplementaryGroups= is not seen.
"""

import asyncio
import contextlib
import grp
import os
import pwd
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal, NoReturn, Protocol

from agent.callers import LEARNING, NOTHING_KNOWN, Facts, Peer
from agent.clock import Clock, within
from agent.errors import ConfigurationError
from agent.events import AccountMissing, AccountsHeard, AccountsSilent, Report
from agent.threads import aside

#: Calls something that may block, away from the event loop.
Apart = Callable[[Callable[[], None]], Awaitable[None]]

#: How old an answer may be to be served as it is, and to be served while it is looked up anew, in seconds. An older
#: one is waited for: who has left a group has lost what it gave within a minute.
_FRESH: Final = 30.0
_OLD: Final = 60.0

#: How long what was known is held to be true while nobody confirms it, in seconds.
_KEPT: Final = 600.0

#: After how many seconds the silence is told of, and the pause after a failure.
_SILENT: Final = 10.0
_BREATHER: Final = 1.0

#: So many users are remembered: whoever may make user namespaces has 65,536 of them to spend.
_MOST: Final = 4096

#: From here on user ids come by the block (subuid(5)): all of one are looked up as if they were one user, who waits for
#: his turn among the others, and of the block that has most the oldest is forgotten.
_BLOCK: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Account:
    """A user: the name, and the numbers of all groups that the account is in."""

    name: str
    groups: frozenset[int]


class Names(Protocol):
    """What is asked of the account databases. Each call may block; None if there is no such thing."""

    def user(self, name: str) -> int | None:
        """The number of a user. Raises OSError."""
        ...

    def group(self, name: str) -> int | None:
        """The number of a group. Raises OSError."""
        ...

    def account(self, uid: int) -> Account | None:
        """The user with this number. Raises OSError."""
        ...


class Nss:
    """The account databases that nsswitch.conf(5) names."""

    def user(self, name: str) -> int | None:
        """See Names."""
        with contextlib.suppress(KeyError, ValueError):
            return pwd.getpwnam(name).pw_uid
        return None

    def group(self, name: str) -> int | None:
        """See Names."""
        with contextlib.suppress(KeyError, ValueError):
            return grp.getgrnam(name).gr_gid
        return None

    def account(self, uid: int) -> Account | None:
        """See Names."""
        try:
            entry = pwd.getpwuid(uid)
        except (KeyError, OverflowError):
            return None
        return Account(entry.pw_name, frozenset(os.getgrouplist(entry.pw_name, entry.pw_gid)))


@dataclass(slots=True, eq=False)
class _User:
    """What is known of one uid. Times are steady ones."""

    facts: Facts = NOTHING_KNOWN
    looked: float | None = None  # when the databases last answered
    confirmed: float = 0.0  # when they last knew the user
    waiting: bool = False  # whether it is to be looked up
    in_vain: bool = False  # whether somebody has waited for that as long as anybody does
    heard: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True, eq=False)
class _Wanted:
    """A name that some grant has: its number when it was last there, and when that was."""

    kind: Literal["user", "group"]
    name: str
    number: int | None = None
    confirmed: float = 0.0
    told: bool = False


@dataclass(slots=True, eq=False)
class _Found:
    """What one look found: a number for each name, and the account; None for what was not asked, or is not there.

    `taken`: numbers of wanted users that are gone, and that are another user's by now.
    """

    numbers: list[int | None] | None = None
    account: Account | None = None
    taken: frozenset[int | None] = frozenset()


class Accounts:
    """Knows users by name and by group: the facts ("unix.user", name) and ("unix.group", name).

    Of groups, only those that are wanted; of names, too, unless `all_names`. A group that is wanted by number is known
    by number: ("unix.group", "1000"). Only `keep_known` asks the databases.

    An account or a name that was there and is not any more is kept for ten minutes, too: that is how a directory server
    that has gone away looks from here. Not so if its number is another user's by now: that user is not the one before.
    """

    def __init__(
        self,
        users: Collection[str],
        groups: Collection[str],
        *,
        clock: Clock,
        report: Report,
        all_names: bool = False,
        names: Names | None = None,
        apart: Apart = aside,
    ) -> None:
        """Ask nothing yet. Users wanted by number are not for us: the kernel knows those."""
        by_name = {group for group in groups if not group.isdecimal()}
        self._numbers = frozenset(int(group) for group in groups if group.isdecimal())
        self._wanted = [_Wanted("user", user) for user in sorted(users) if not user.isdecimal()]
        self._wanted += [_Wanted("group", group) for group in sorted(by_name)]
        self._by_account = all_names or bool(groups)
        self._all_names = all_names
        self._clock = clock
        self._report = report
        self._names: Names = Nss() if names is None else names
        self._apart = apart
        self._users: dict[int, _User] = {}
        self._counts: Counter[int] = Counter()  # how many of them each block has
        self._waiting: dict[int, dict[int, None]] = {}  # by block, in the order in which they are looked up
        self._bell = asyncio.Event()
        self._read: float | None = None  # when the wanted names were last looked up
        self._heard: float | None = None  # when the databases last answered
        self._silent = False

    def attest(self, peer: Peer) -> Facts | None:
        """Name the user and the wanted groups; None for one who has not been looked up, or not for a minute."""
        uid = self._uid(peer)
        if uid is None:
            return NOTHING_KNOWN
        now, user = self._clock.steady(), self._users.get(uid)
        if user is not None and user.looked is not None and now - user.looked <= _FRESH:
            return user.facts
        user = self._ask(uid)
        if user.in_vain or (user.looked is not None and now - user.looked <= _OLD):
            return user.facts if now - user.confirmed <= _KEPT else NOTHING_KNOWN
        return None

    async def learn(self, peer: Peer) -> None:
        """Wait for the databases, for at most half a second; after that, what was known before will do."""
        uid = self._uid(peer)
        if uid is None:
            return
        user = self._ask(uid)
        try:
            await within(self._clock, LEARNING, user.heard.wait())
        except TimeoutError:
            user.in_vain = True

    async def keep_known(self) -> NoReturn:
        """Look up, for ever, what `attest` and `learn` ask for; the wanted names first."""
        if self._wanted:
            await self._look(None)
        while True:
            self._bell.clear()
            while self._waiting:
                block, uids = next(iter(self._waiting.items()))
                uid = next(iter(uids))
                if await self._look(uid):
                    self._wait_no_longer(uid)
                else:
                    await self._clock.sleep(_BREATHER)
                if block in self._waiting:  # it is the others' turn
                    self._waiting[block] = self._waiting.pop(block)
            await self._bell.wait()

    def _uid(self, peer: Peer) -> int | None:
        """The number to look up; None if there is none, or if nothing could come of it."""
        if not self._by_account and not self._wanted:
            return None
        for name, value in peer.origin.facts:
            if name == "unix.uid":
                return int(value)
        return None

    def _ask(self, uid: int) -> _User:
        """Have the user looked up, if that is not going to happen already."""
        user = self._users.get(uid)
        if user is None:
            if len(self._users) >= _MOST:
                self._forget_one()
            user = self._users[uid] = _User()
            self._counts[_block(uid)] += 1
        if not user.waiting:
            user.waiting = True
            user.heard.clear()
            self._waiting.setdefault(_block(uid), {})[uid] = None
            self._bell.set()
        return user

    def _forget_one(self) -> None:
        """Make room, if need be by turning away who waits: more users than that can only be made up."""
        ((most, count),) = self._counts.most_common(1)
        oldest = next(uid for uid in self._users if _block(uid) == most)
        del self._users[oldest]
        self._counts[most] -= 1
        if count == 1:
            del self._counts[most]
        self._wait_no_longer(oldest)

    def _wait_no_longer(self, uid: int) -> None:
        uids = self._waiting.get(_block(uid), {})
        uids.pop(uid, None)
        if not uids:
            self._waiting.pop(_block(uid), None)

    async def _look(self, uid: int | None) -> bool:
        """Look up one user, and the wanted names if that was long ago; whether there was an answer."""
        now = self._clock.steady()
        stale = bool(self._wanted) and (self._read is None or now - self._read > _FRESH)
        found: deque[_Found] = deque()
        work = partial(_find, self._names, self._wanted if stale else (), uid if self._by_account else None, found)
        if stale or self._by_account:
            await self._answered(work)
        else:
            found.append(_Found())
        if not found:
            self._tell_of_silence()
            return False
        self._consider(uid, found[0], now)
        return True

    async def _answered(self, work: Callable[[], None]) -> None:
        """Do it in a thread, however long that takes: never is there a second one."""
        working = asyncio.ensure_future(self._apart(work))
        try:
            with contextlib.suppress(RuntimeError):  # no thread is to be had
                try:
                    await within(self._clock, _SILENT, asyncio.shield(working))
                except TimeoutError:
                    self._tell_of_silence()
                    await working
        finally:
            working.cancel()

    def _tell_of_silence(self) -> None:
        if self._silent:
            return
        self._silent = True
        left = 0.0 if self._heard is None else max(0.0, _KEPT - (self._clock.steady() - self._heard))
        hint = "see to what nsswitch.conf(5) names: getent passwd shows whether it answers"
        error = ConfigurationError("the databases of users and groups do not answer", hint=hint)
        self._report(AccountsSilent(error, left))

    def _consider(self, uid: int | None, found: _Found, asked: float) -> None:
        self._heard = asked
        if self._silent:
            self._silent = False
            self._report(AccountsHeard())
        if found.numbers is not None:
            self._read = asked
            for wanted, number in zip(self._wanted, found.numbers, strict=True):
                if wanted.kind == "user" and wanted.number in found.taken:
                    wanted.number = None
                self._take(wanted, number, asked)
        user = None if uid is None else self._users.get(uid)
        if uid is None or user is None:
            return
        if found.account is not None or not self._by_account:
            user.facts, user.confirmed = self._facts(uid, found.account), asked
        elif asked - user.confirmed > _KEPT or user.looked is None:
            user.facts, user.confirmed = self._facts(uid, None), asked
        user.looked = asked
        user.waiting = user.in_vain = False
        user.heard.set()

    def _take(self, wanted: _Wanted, number: int | None, asked: float) -> None:
        """Note what a name stands for now."""
        if number is not None:
            wanted.number, wanted.confirmed, wanted.told = number, asked, False
        elif wanted.number is None or asked - wanted.confirmed > _KEPT:
            wanted.number = None
            if not wanted.told:  # once, not each time we look
                wanted.told = True
                self._report(AccountMissing(wanted.kind, wanted.name))

    def _facts(self, uid: int, account: Account | None) -> Facts:
        groups: Collection[int] = frozenset() if account is None else account.groups
        facts = {("unix.group", str(number)) for number in self._numbers if number in groups}
        for wanted in self._wanted:
            if wanted.number is not None and (
                wanted.number == uid if wanted.kind == "user" else wanted.number in groups
            ):
                facts.add((f"unix.{wanted.kind}", wanted.name))
        if self._all_names and account is not None:
            facts.add(("unix.user", account.name))
        return frozenset(facts)


def _block(uid: int) -> int:
    return uid if uid < _BLOCK else uid // _BLOCK * _BLOCK


def _find(names: Names, wanted: Collection[_Wanted], uid: int | None, found: deque[_Found]) -> None:
    """Ask the databases. Blocks. Raises nothing: what they would not say is not found."""
    with contextlib.suppress(OSError):
        numbers = [names.user(each.name) if each.kind == "user" else names.group(each.name) for each in wanted]
        gone = [each for each, number in zip(wanted, numbers, strict=True) if each.kind == "user" and number is None]
        taken = frozenset(each.number for each in gone if _another(names, each))
        account = None if uid is None else names.account(uid)
        found.append(_Found(numbers or None, account, taken))


def _another(names: Names, wanted: _Wanted) -> bool:
    """Whether its number is that of a user of another name. Raises OSError."""
    account = None if wanted.number is None else names.account(wanted.number)
    return account is not None and account.name != wanted.name
