"""Is everybody known by the names of his account, and by those groups that somebody wants to know of?"""

import asyncio
import grp
import os
import pwd
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import pytest

from agent.callers import Facts, Origin, Peer
from agent.callers.accounts import Account, Accounts
from agent.events import AccountMissing, AccountsHeard, AccountsSilent
from tests.fakes.clock import FakeClock, settle

BACKUP, WEB, OPERATORS = 1001, 1002, 500


def peer(uid: int | str | None) -> Peer:
    facts = frozenset() if uid is None else frozenset({("unix.uid", str(uid)), ("systemd.unit", "a.service")})
    return Peer(Origin("127.0.0.1", facts=facts), None)


class Directory:
    """Account databases that can be changed, and taken away."""

    def __init__(self) -> None:
        self.users = {"backup": BACKUP, "web": WEB}
        self.groups = {"operators": OPERATORS, "empty": 501}
        self.members: dict[int, set[int]] = {BACKUP: {BACKUP, OPERATORS}, WEB: {WEB}}
        self.asked: list[str | int] = []
        self.broken = False

    def user(self, name: str) -> int | None:
        self._ask(name)
        return self.users.get(name)

    def group(self, name: str) -> int | None:
        self._ask(name)
        return self.groups.get(name)

    def account(self, uid: int) -> Account | None:
        self._ask(uid)
        for name, number in self.users.items():
            if number == uid:
                return Account(name, frozenset(self.members[uid]))
        return None

    def _ask(self, what: str | int) -> None:
        self.asked.append(what)
        if self.broken:
            raise OSError


class Stage:
    """Accounts, what they ask, and what came of it."""

    def __init__(self, *users: str, groups: tuple[str, ...] = (), all_names: bool = False) -> None:
        self.clock = FakeClock()
        self.directory = Directory()
        self.told: list[object] = []
        self.hanging = 0
        self.threads = 0
        self.hang = asyncio.Event()
        self.hang.set()
        self.accounts = Accounts(
            users,
            groups,
            clock=self.clock,
            report=self.told.append,
            all_names=all_names,
            names=self.directory,
            apart=self._apart,
        )

    async def _apart(self, work: Callable[[], None]) -> None:
        self.threads += 1
        self.hanging += 1
        assert self.hanging == 1, "two threads at once"
        await self.hang.wait()
        self.hanging -= 1
        work()

    async def who(self, uid: int | str | None) -> Facts:
        """What a request would be told, after it has waited as long as it must."""
        found = self.accounts.attest(peer(uid))
        if found is None:
            learning = asyncio.ensure_future(self.accounts.learn(peer(uid)))
            await settle()
            if not learning.done():
                await self.clock.advance(timedelta(seconds=0.5))
            await learning
            found = self.accounts.attest(peer(uid))
            assert found is not None
        await settle()
        return found

    async def later(self, **span: float) -> None:
        await self.clock.advance(timedelta(**span))


@asynccontextmanager
async def living(stage: Stage) -> AsyncIterator[Stage]:
    job = asyncio.ensure_future(stage.accounts.keep_known())
    await settle()
    try:
        yield stage
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job


def known(*facts: tuple[str, str]) -> Facts:
    return frozenset(facts)


USER = ("unix.user", "backup")
GROUP = ("unix.group", "operators")


async def test_a_user_is_known_by_name_and_by_the_groups_that_are_wanted() -> None:
    async with living(Stage("backup", groups=("operators", "empty"))) as stage:
        assert await stage.who(BACKUP) == {USER, GROUP}
        assert await stage.who(WEB) == frozenset()


async def test_a_group_that_is_wanted_by_number_is_known_by_number() -> None:
    async with living(Stage(groups=("500", "operators"))) as stage:
        assert await stage.who(BACKUP) == {GROUP, ("unix.group", "500")}


async def test_two_names_of_one_number_are_both_known() -> None:
    stage = Stage("backup", "archive")
    stage.directory.users["archive"] = BACKUP
    async with living(stage):
        assert await stage.who(BACKUP) == {USER, ("unix.user", "archive")}


async def test_every_name_is_known_if_all_are_wanted() -> None:
    async with living(Stage(all_names=True)) as stage:
        assert await stage.who(WEB) == {("unix.user", "web")}


async def test_where_no_name_is_wanted_nobody_is_asked() -> None:
    async with living(Stage("1001")) as stage:
        assert stage.accounts.attest(peer(BACKUP)) == frozenset()
        assert stage.directory.asked == []
        assert stage.threads == 0


async def test_where_only_users_are_wanted_no_account_is_asked_for() -> None:
    async with living(Stage("backup")) as stage:
        assert await stage.who(BACKUP) == {USER}
        assert await stage.who(WEB) == frozenset()
        assert stage.directory.asked == ["backup"]


async def test_a_connection_of_which_no_uid_is_known_is_nobodys() -> None:
    async with living(Stage("backup")) as stage:
        assert await stage.who(None) == frozenset()


async def test_what_is_known_is_asked_for_again_in_the_background() -> None:
    async with living(Stage(groups=("operators",))) as stage:
        await stage.who(BACKUP)
        await stage.later(seconds=29)
        threads = stage.threads
        assert stage.accounts.attest(peer(BACKUP)) == known(GROUP)
        await settle()
        assert stage.threads == threads
        await stage.later(seconds=10)
        stage.hang.clear()
        assert stage.accounts.attest(peer(BACKUP)) == known(GROUP), "served while it is looked up"
        await settle()
        assert stage.threads == threads + 1


async def test_who_has_left_a_group_has_lost_what_it_gave_within_a_minute() -> None:
    async with living(Stage(groups=("operators",))) as stage:
        await stage.who(BACKUP)
        stage.directory.members[BACKUP].remove(OPERATORS)
        for _ in range(60):  # asks all the time
            await stage.later(seconds=1)
            await stage.who(BACKUP)
        assert await stage.who(BACKUP) == frozenset()


async def test_who_comes_back_after_long_is_looked_up_before_he_is_told_anything() -> None:
    async with living(Stage(groups=("operators",))) as stage:
        await stage.who(BACKUP)
        stage.directory.members[BACKUP].remove(OPERATORS)
        await stage.later(seconds=61)
        assert stage.accounts.attest(peer(BACKUP)) is None
        assert await stage.who(BACKUP) == frozenset()


async def test_what_was_known_lasts_ten_minutes_when_nobody_answers() -> None:
    async with living(Stage("backup", groups=("operators",))) as stage:
        await stage.who(BACKUP)
        stage.hang.clear()
        await stage.later(seconds=61)
        assert await stage.who(BACKUP) == {USER, GROUP}
        await stage.later(minutes=8, seconds=50)
        assert stage.accounts.attest(peer(BACKUP)) == known(USER, GROUP), "and nobody waits for it a second time"
        await stage.later(seconds=20)
        assert stage.accounts.attest(peer(BACKUP)) == frozenset()
        stage.hang.set()
        await settle()
        assert await stage.who(BACKUP) == {USER, GROUP}


async def test_silence_is_told_of_once_and_so_is_its_end() -> None:
    async with living(Stage("backup", groups=("operators",))) as stage:
        await stage.who(BACKUP)
        stage.hang.clear()
        await stage.later(seconds=31)
        await stage.who(BACKUP)
        await stage.later(minutes=2)
        (silent,) = stage.told
        assert isinstance(silent, AccountsSilent)
        assert silent.good_for == pytest.approx(559, abs=2)
        stage.hang.set()
        await settle()
        assert stage.told[1:] == [AccountsHeard()]


@pytest.mark.parametrize("gone", ["user", "group"])
async def test_what_vanishes_all_at_once_is_kept_as_a_server_that_is_gone_would_look_so(gone: str) -> None:
    async with living(Stage("backup", groups=("operators",))) as stage:
        await stage.who(BACKUP)
        (stage.directory.users if gone == "user" else stage.directory.groups).clear()
        await stage.later(minutes=2)
        assert await stage.who(BACKUP) == {USER, GROUP}
        for _ in range(10):
            await stage.later(minutes=1)
            await stage.who(BACKUP)
        assert await stage.who(BACKUP) == (frozenset() if gone == "user" else {USER})
        assert AccountMissing("user", "backup") in stage.told if gone == "user" else True


@pytest.mark.parametrize("groups", [(), ("operators",)])
async def test_whoever_is_given_the_number_of_a_user_who_is_gone_is_not_that_user(groups: tuple[str, ...]) -> None:
    async with living(Stage("backup", "web", groups=groups)) as stage:
        assert USER in await stage.who(BACKUP)
        del stage.directory.users["backup"]
        stage.directory.users["mallory"] = BACKUP
        stage.directory.members[BACKUP] = {BACKUP}
        await stage.later(minutes=2)
        assert await stage.who(BACKUP) == frozenset()
        assert await stage.who(WEB) == {("unix.user", "web")}
        assert AccountMissing("user", "backup") in stage.told


async def test_an_error_is_tried_again_and_costs_nobody_the_names() -> None:
    async with living(Stage("backup", groups=("operators",))) as stage:
        await stage.who(BACKUP)
        stage.directory.broken = True
        await stage.later(seconds=61)
        assert await stage.who(BACKUP) == {USER, GROUP}
        tried = stage.threads
        await stage.later(seconds=10)
        assert 5 <= stage.threads - tried <= 12
        stage.directory.broken = False
        await stage.later(seconds=2)
        assert stage.accounts.attest(peer(BACKUP)) == known(USER, GROUP)
        assert [type(event) for event in stage.told] == [AccountsSilent, AccountsHeard]


async def test_names_that_are_not_there_are_told_of_once_and_count_when_they_come() -> None:
    stage = Stage("later", groups=("never",))
    async with living(stage):
        missing = [AccountMissing("user", "later"), AccountMissing("group", "never")]
        assert sorted(map(str, stage.told)) == sorted(map(str, missing))
        assert await stage.who(1003) == frozenset()
        stage.directory.users["later"] = 1003
        stage.directory.members[1003] = {1003}
        await stage.later(seconds=61)
        assert await stage.who(1003) == {("unix.user", "later")}
        assert len(stage.told) == 2


async def test_nobody_waits_longer_than_half_a_second() -> None:
    async with living(Stage("backup", groups=("operators",))) as stage:
        stage.hang.clear()
        began = stage.clock.steady()
        assert await stage.who(BACKUP) == frozenset()
        assert stage.clock.steady() - began == 0.5


async def test_one_thread_hangs_however_many_ask() -> None:
    stage = Stage(groups=("operators",))
    async with living(stage):
        stage.hang.clear()
        for uid in range(5000):
            stage.accounts.attest(peer(uid))
        await settle()
        assert stage.hanging == 1
        assert len(stage.accounts._users) == len(stage.accounts._waiting) <= 4096
        assert stage.accounts.attest(peer(7)) is None
        stage.hang.set()
        while stage.accounts._waiting:
            await settle()
        assert await stage.who(BACKUP) == {GROUP}


async def test_who_makes_up_users_keeps_nobody_else_waiting_and_costs_nobody_what_is_known() -> None:
    stage = Stage("backup", groups=("operators",))
    async with living(stage):
        await stage.who(BACKUP)
        stage.hang.clear()
        for uid in range(100_000, 105_000):
            stage.accounts.attest(peer(uid))
        stage.accounts.attest(peer(WEB))
        assert stage.accounts.attest(peer(BACKUP)) == frozenset({USER, GROUP})
        stage.directory.asked.clear()
        stage.hang.set()
        while stage.accounts._waiting:
            await settle()
        assert stage.directory.asked.index(WEB) < 4
        assert len(stage.accounts._users) <= 4096


async def test_the_accounts_of_this_machine_are_known() -> None:
    me = pwd.getpwuid(os.geteuid())
    mine = grp.getgrgid(me.pw_gid).gr_name
    told: list[object] = []
    accounts = Accounts(
        [me.pw_name, "no-such-user"], [mine, str(me.pw_gid), "no-such-group"], clock=FakeClock(), report=told.append
    )
    job = asyncio.ensure_future(accounts.keep_known())
    try:
        asking = peer(me.pw_uid)
        assert accounts.attest(asking) is None
        await accounts.learn(asking)
        wanted = {("unix.user", me.pw_name), ("unix.group", mine), ("unix.group", str(me.pw_gid))}
        assert accounts.attest(asking) == known(*wanted)
        nobody_has_it = peer(2**32 - 2 if me.pw_uid != 2**32 - 2 else 2**32 - 3)
        await accounts.learn(nobody_has_it)
        assert accounts.attest(nobody_has_it) == frozenset()
        assert {str(event) for event in told} == {
            str(AccountMissing("user", "no-such-user")),
            str(AccountMissing("group", "no-such-group")),
        }
    finally:
        job.cancel()
        with suppress(asyncio.CancelledError):
            await job
