"""Is the path of a control group found by its id, at a price that no user can drive up?"""

import itertools
import os
import resource
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.callers.kernel.cgroups import Cgroups
from agent.callers.kernel.hierarchy import Hierarchy, mounted
from agent.clock import SystemClock
from tests.fakes.clock import FakeClock
from tests.unit.callers.kernel.world import ALICE, BOB, Groups, groups

#: An id that no group has: the kernel has not given out so many.
NOBODYS = 1 << 40


class CountingClock(FakeClock):
    """A clock on which each look at it takes a moment, so that looking takes as long as it is much."""

    def __init__(self, moment: float) -> None:
        super().__init__()
        self._moment = moment

    def steady(self) -> float:
        self._steady += self._moment
        return self._steady


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def real() -> Iterator[Groups]:
    with groups() as made:
        yield made


@pytest.fixture
def cgroups(clock: FakeClock) -> Cgroups:
    return Cgroups(clock)


class Tree:
    """A folder that is a hierarchy in all that counts: directories have inodes, and links for each in them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.hierarchy = Hierarchy(str(top))

    def make(self, path: str) -> int:
        made = self.top / path
        made.mkdir(parents=True, exist_ok=True)
        return made.stat().st_ino


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    if tmp_path.stat().st_nlink != 2:
        pytest.skip("folders do not count what is in them on this file system")
    return Tree(tmp_path)


@pytest.fixture
def there(tree: Tree, clock: FakeClock) -> Cgroups:
    return Cgroups(clock, tree.hierarchy)


# The real hierarchy.


def test_the_top_is_found() -> None:
    seen = mounted()
    if seen is None or not seen.whole:
        pytest.skip("this machine does not show the top of its control groups")
    assert Cgroups(FakeClock()).path(1, ALICE) == "/"


def test_groups_are_found_at_any_depth(real: Groups, cgroups: Cgroups) -> None:
    for path in ("backup.service", "system-x.slice/x@1.service", "user@1000.service/app.slice/web.service", "a/b/c/d"):
        made = real.make(path)
        assert cgroups.path(made.stat().st_ino, ALICE) == f"/{real.name}/{path}"


def test_a_group_that_was_made_after_a_look_is_found(real: Groups, cgroups: Cgroups) -> None:
    first = real.make("user@1000.service/one")
    assert cgroups.path(first.stat().st_ino, ALICE)
    second = real.make("user@1000.service/one/two/three")
    assert cgroups.path(second.stat().st_ino, ALICE) == f"/{real.name}/user@1000.service/one/two/three"


def test_a_group_that_is_removed_is_nobodys(real: Groups, cgroups: Cgroups) -> None:
    made = real.make("backup.service").stat().st_ino
    assert cgroups.path(made, ALICE)
    real.remove("backup.service")
    assert cgroups.path(made, ALICE) == ""


def test_a_group_of_the_same_name_is_another(real: Groups, cgroups: Cgroups) -> None:
    earlier = real.make("backup.service").stat().st_ino
    assert cgroups.path(earlier, ALICE)
    real.remove("backup.service")
    later = real.make("backup.service").stat().st_ino
    assert later != earlier
    assert cgroups.path(earlier, ALICE) == ""
    assert cgroups.path(later, ALICE) == f"/{real.name}/backup.service"
    assert cgroups.path(earlier, ALICE) == ""


def test_a_thousand_times_made_and_removed_it_never_has_an_id_again(real: Groups) -> None:
    seen = set()
    for _ in range(1000):
        made = real.make("backup.service")
        seen.add(made.stat().st_ino)
        made.rmdir()
    assert len(seen) == 1000


def test_a_new_group_among_hundreds_takes_a_moment_only(real: Groups) -> None:
    cgroups = Cgroups(SystemClock())
    made = [real.make(f"s{number}.service").stat().st_ino for number in range(300)]
    assert cgroups.path(made[0], ALICE)
    times = []
    for number in range(5):
        new = real.make(f"new{number}.service").stat().st_ino
        began = time.perf_counter()
        assert cgroups.path(new, ALICE)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.01


# Folders, where more can be made than in a hierarchy that others use.


def test_all_that_was_there_is_known_by_one_look(tree: Tree, there: Cgroups) -> None:
    made = [tree.make(f"system.slice/s{number}.service") for number in range(300)]
    assert there.path(made[0], ALICE)
    looks(there, BOB)
    for number, inode in enumerate(made):
        assert there.path(inode, BOB) == f"/system.slice/s{number}.service"


def test_a_part_of_the_hierarchy_has_its_own_path_before_that_of_the_group(tree: Tree, clock: FakeClock) -> None:
    made = tree.make("web.service")
    there = Cgroups(clock, Hierarchy(str(tree.top), "/system.slice", whole=False))
    assert there.path(made, ALICE) == "/system.slice/web.service"


def test_a_group_is_found_where_another_had_its_place(tree: Tree, there: Cgroups) -> None:
    """The count of links is the same as before."""
    old = tree.make("user.slice/user@1.service/old")
    assert there.path(old, ALICE)
    new = tree.make("user.slice/user@1.service/new")
    (tree.top / "user.slice/user@1.service/old").rmdir()
    assert there.path(new, ALICE) == "/user.slice/user@1.service/new"


def test_what_is_not_there_is_looked_for_once_in_a_while(tree: Tree, there: Cgroups, clock: FakeClock) -> None:
    assert there.path(NOBODYS, ALICE) == ""
    late = tree.make("system.slice/late.service")
    there._vain[late] = clock.steady() + 10
    assert there.path(late, ALICE) == ""
    clock.suspend(timedelta(seconds=10))
    assert there.path(late, ALICE) == "/system.slice/late.service"


def test_to_ask_again_for_what_is_not_there_costs_nothing(there: Cgroups) -> None:
    assert {there.path(NOBODYS, ALICE) for _ in range(6_000)} == {""}
    assert there.path(2 * NOBODYS, ALICE) == ""


def looks(there: Cgroups, uid: int, first: int = NOBODYS) -> int:
    """How often this user can have us look for what is not there."""
    return sum(there.path(first + number, uid) is not None for number in range(6_000))


def test_a_user_cannot_have_us_look_for_more_than_a_fiftieth_of_our_time(there: Cgroups, clock: FakeClock) -> None:
    assert looks(there, ALICE) in (1000, 1001)  # of 0.2 ms at least, out of 0.2 s saved
    assert looks(there, ALICE, 2 * NOBODYS) == 0
    clock.suspend(timedelta(seconds=1))
    assert looks(there, ALICE, 3 * NOBODYS) in (100, 101)
    clock.suspend(timedelta(hours=1))
    assert looks(there, ALICE, 4 * NOBODYS) in (1000, 1001)


def test_who_has_had_us_look_too_long_still_has_what_is_known(tree: Tree, there: Cgroups) -> None:
    known = tree.make("system.slice/known.service")
    assert there.path(known, ALICE)
    assert looks(there, ALICE)
    new = tree.make("system.slice/new.service")
    assert there.path(known, ALICE) == "/system.slice/known.service"
    assert there.path(new, ALICE) is None


def test_one_users_looking_does_not_cost_another_his(tree: Tree, there: Cgroups) -> None:
    assert looks(there, ALICE)
    new = tree.make("system.slice/new.service")
    assert there.path(new, ALICE) is None
    assert there.path(new, BOB) == "/system.slice/new.service"


def test_all_the_users_whom_a_user_was_given_pay_out_of_one_purse(there: Cgroups) -> None:
    block = 3 << 16
    assert looks(there, block)
    assert there.path(2 * NOBODYS, block + 65_535) is None
    assert there.path(2 * NOBODYS, block + 65_536) == ""


def test_root_may_have_us_look_more(there: Cgroups) -> None:
    assert looks(there, 0) in (5000, 5001)


def test_a_look_has_an_end(tree: Tree) -> None:
    for number in range(40):
        tree.make(f"user.slice/user@7.service/a{number}/b")
    last = tree.make("user.slice/user@7.service/a40/b/c/d")
    assert Cgroups(CountingClock(0.00001), tree.hierarchy).path(last, ALICE)
    assert Cgroups(CountingClock(0.001), tree.hierarchy).path(last, ALICE) is None


def test_what_a_look_had_no_time_for_is_looked_for_again(tree: Tree) -> None:  # a hog on the processor can take it
    for number in range(40):
        tree.make(f"system.slice/a{number}.service/b")
    last = tree.make("system.slice/backup.service/c")
    clock = CountingClock(0.001)
    there = Cgroups(clock, tree.hierarchy)
    assert there.path(last, ALICE) is None
    clock._moment = 0.00001
    assert there.path(last, ALICE) == "/system.slice/backup.service/c"


def test_what_a_user_makes_does_not_hide_the_systems_own(tree: Tree, clock: FakeClock) -> None:
    for number in range(1500):
        tree.make(f"user.slice/user@{ALICE}.service/a{number}/b")
    there = Cgroups(clock, tree.hierarchy)
    assert there.path(NOBODYS, ALICE) == ""
    assert len(there._known) < 1100
    assert there.path(tree.make("system.slice/backup.service"), 0) == "/system.slice/backup.service"
    of_bob = tree.make(f"user.slice/user@{BOB}.service/app.slice/web.service")
    assert there.path(of_bob, BOB) == f"/user.slice/user@{BOB}.service/app.slice/web.service"


def test_the_callers_own_groups_are_looked_at_before_those_of_others(tree: Tree) -> None:
    of_bob = tree.make(f"user.slice/user@{BOB}.service/app.slice/web.service")
    for other, number in itertools.product(range(20), range(50)):  # in whatever order the file system has them
        tree.make(f"user.slice/user@{other}.service/a{number}/b")
    there = Cgroups(CountingClock(0.0005), tree.hierarchy)
    assert there.path(of_bob, BOB) == f"/user.slice/user@{BOB}.service/app.slice/web.service"


def test_a_file_that_is_in_the_way_or_cannot_be_read_is_no_matter(tree: Tree, there: Cgroups) -> None:
    (tree.top / "cgroup.procs").write_text("")
    (tree.top / "link.slice").symlink_to(tree.top)
    inside = tree.make("a.slice/a.service")
    assert there.path(inside, ALICE) == "/a.slice/a.service"


def test_too_many_open_files_do_not_make_us_forget(tree: Tree, there: Cgroups) -> None:
    known = tree.make("system.slice/known.service")
    assert there.path(known, ALICE)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
    held = []
    with pytest.raises(OSError, match="Too many open files"):
        while True:
            held.append(os.open(tree.top, os.O_RDONLY))
    try:
        assert there.path(NOBODYS, ALICE) == ""
        assert there.path(known, ALICE) == "/system.slice/known.service"
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in held:
            os.close(descriptor)


def test_without_a_hierarchy_every_group_is_nobodys(clock: FakeClock, tmp_path: Path) -> None:
    assert Cgroups(clock, Hierarchy(str(tmp_path / "missing"))).path(NOBODYS, ALICE) == ""
