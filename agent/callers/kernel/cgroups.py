"""What is the path of the control group with this id?

The id is the inode of the group's directory. Ids are never used twice: the upper half of one counts how often the
lower half has been through all its numbers (__kernfs_new_node in the kernel's fs/kernfs/dir.c, since 5.5), and in this
hierarchy nothing can be renamed (cgroup_kf_syscall_ops in kernel/cgroup/cgroup.c has no rename). So a path once found
is right for as long as the directory is there. Where inodes have 32 bits only, what does not fit is not found.

Nobody can ask the kernel for the path of an id without privileges, so the directories are remembered, and looked
through again when an id is new. Users can make directories in the groups that they are given, thousands if they like;
so what is looked at there, and how much of our time is spent on looking for each user, has an end.
"""

import errno
import os
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from agent.callers.kernel.hierarchy import Hierarchy, mounted
from agent.clock import Clock

#: The most directories that are remembered, and how many of them may be below units.
_MOST: Final = 16_384
_MOST_BELOW: Final = 8_192

#: The most directories that are looked at below one unit: what a user can make us do, beyond what PID 1 does.
_MOST_IN_UNIT: Final = 1_024

#: The longest look, in seconds; what has not been found by then is not known this time.
_LONGEST: Final = 0.02

#: How long an id that was looked for in vain is not looked for again, in seconds, and how many such are remembered.
_VAIN: Final = 10.0
_MOST_VAIN: Final = 4_096

#: The share of our time that one user can have us look, and for how many seconds' worth it adds up; root, whose
#: services all begin at once, has more. The least that a look costs, in seconds.
_SHARE, _SHARE_OF_ROOT = 0.02, 0.1
_SAVED: Final = 10.0
_LEAST: Final = 0.0002

#: So many users are told apart; each begins with all that he can save.
_MOST_USERS: Final = 4_096

#: From here on user ids come by the block: a user is given 65,536 of them for his containers (subuid(5)).
_BLOCK: Final = 1 << 16


class _Directory:
    """One control group."""

    __slots__ = ("children", "inode", "path")

    def __init__(self, path: str, inode: int) -> None:
        self.path = path
        self.inode = inode
        self.children: dict[str, _Directory] = {}


class Cgroups:
    """The control groups of this machine, by id."""

    def __init__(self, clock: Clock, hierarchy: Hierarchy | None = None) -> None:
        """Know none yet. Without `hierarchy`, it is looked for when it is first needed."""
        self._clock = clock
        self._hierarchy = hierarchy
        self._root = _Directory("", 0)
        self._known: dict[int, _Directory] = {}
        self._vain: dict[int, float] = {}  # until this steady time
        self._purses: dict[int, _Purse] = {}

    def path(self, cgroup: int, uid: int) -> str | None:
        """The path of a group, beginning with "/", for a caller who is this user; "" if there is no such group here.

        None if it is not known this time, because this look, or all that this user has had us do, took too long. Never
        raises; takes some 5 us for a group that is known, and at most 20 ms for others.
        """
        now = self._clock.steady()
        if self._vain.get(cgroup, now) > now:
            return ""
        if self._stands(cgroup):
            return self._told(self._known[cgroup])
        purse = self._purse(uid, now)
        if not purse.fill(now):
            return None
        everywhere = self._look(cgroup, uid, now + _LONGEST)
        purse.pay(self._clock.steady() - now)
        if cgroup in self._known:
            return self._told(self._known[cgroup])
        if not everywhere:  # others had the processor meanwhile, as they can see to
            return None
        if len(self._vain) >= _MOST_VAIN:
            self._vain.clear()
        self._vain[cgroup] = now + _VAIN
        return ""

    def _told(self, directory: _Directory) -> str:
        prefix = self._hierarchy.prefix if self._hierarchy is not None else ""
        return prefix + directory.path or "/"

    def _full(self, directory: _Directory) -> str:
        return (self._hierarchy.folder if self._hierarchy is not None else "") + (directory.path or "/")

    def _stands(self, cgroup: int) -> bool:
        """Whether this group is known, and still there: what is gone is nobody's any more."""
        directory = self._known.get(cgroup)
        if directory is None:
            return False
        try:
            return os.stat(self._full(directory)).st_ino == cgroup  # noqa: PTH116 - twice as fast
        except OSError:
            return False

    def _look(self, wanted: int, uid: int, until: float) -> bool:
        """Look for a group until it is found, or the steady time has come: first where PID 1 makes them.

        Whether it has been looked for everywhere.

        A directory that has some in it is read, which also tells the inodes of those; one that had none is only asked
        whether it has some now, by the number of its links.
        """
        if self._hierarchy is None:
            self._hierarchy = mounted()
            if self._hierarchy is None:
                return True
        self._known.pop(wanted, None)
        if not self._root.inode:
            self._root.inode = _inode(self._hierarchy.folder)
            self._known[self._root.inode] = self._root
        for directory, limit in self._worth_reading(uid):
            self._read(directory, limit)
            if wanted in self._known or self._clock.steady() >= until:
                return False
        return True

    def _worth_reading(self, uid: int) -> Iterator[tuple[_Directory, int]]:
        """The directories to be read, each before those in it, with the most groups that may be in it."""
        slices: deque[_Directory] = deque([self._root])
        units: list[_Directory] = []
        while slices:
            directory = slices.popleft()
            yield directory, _MOST
            for name, child in directory.children.items():
                (slices if name.endswith(".slice") else units).append(child)
        for unit in sorted(units, key=lambda unit: _rank(unit.path, uid)):
            left, waiting = _MOST_IN_UNIT, deque([unit])
            while waiting and left > 0:
                directory = waiting.popleft()
                if directory.children or self._has_some(directory):
                    yield directory, left
                    left -= len(directory.children)
                    waiting.extend(directory.children.values())

    def _has_some(self, directory: _Directory) -> bool:
        try:
            return os.stat(self._full(directory)).st_nlink > 2  # noqa: PTH116 - twice as fast
        except OSError:
            return False

    def _read(self, directory: _Directory, limit: int) -> None:
        """Know what is in this directory now, but no more than `limit` groups."""
        found: dict[str, int] = {}
        try:
            with os.scandir(self._full(directory)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        found[entry.name] = entry.inode()
                        if len(found) >= limit:
                            break
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENODEV):
                return  # it may still be there: this process may have too many files open
        gone = [name for name, child in directory.children.items() if found.get(name) != child.inode]
        self._forget(directory.children.pop(name) for name in gone)
        most = _MOST if limit == _MOST else _MOST_BELOW
        for name, inode in found.items():
            if name in directory.children:
                self._known.setdefault(inode, directory.children[name])
            elif len(self._known) < most:
                child = directory.children[name] = _Directory(f"{directory.path}/{name}", inode)
                self._known[inode] = child

    def _forget(self, directories: Iterable[_Directory]) -> None:
        waiting = list(directories)
        while waiting:
            directory = waiting.pop()
            waiting.extend(directory.children.values())
            if self._known.get(directory.inode) is directory:
                del self._known[directory.inode]

    def _purse(self, uid: int, now: float) -> "_Purse":
        payer = uid if uid < _BLOCK else uid // _BLOCK * _BLOCK
        purse = self._purses.get(payer)
        if purse is None:
            if len(self._purses) >= _MOST_USERS:
                self._purses.clear()
            purse = self._purses[payer] = _Purse(now, _SHARE_OF_ROOT if uid == 0 else _SHARE)
        return purse


class _Purse:
    """What a user may still have us spend on looking, in seconds."""

    __slots__ = ("_at", "_left", "_share")

    def __init__(self, now: float, share: float) -> None:
        self._at = now
        self._left = share * _SAVED
        self._share = share

    def fill(self, now: float) -> bool:
        """Put in what has been gained by this steady time; whether anything is in there."""
        self._left = min(self._share * _SAVED, self._left + (now - self._at) * self._share)
        self._at = now
        return self._left > 0

    def pay(self, seconds: float) -> None:
        self._left -= max(seconds, _LEAST)


def _rank(path: str, uid: int) -> int:
    """Below which unit to look first: that of the caller's own manager, then those of the system, then other users'."""
    name = path.rpartition("/")[2]
    if name == f"user@{uid}.service":
        return 0
    return 2 if name.startswith("user@") else 1


def _inode(folder: str) -> int:
    try:
        return os.stat(folder).st_ino  # noqa: PTH116 - as plain as everything here
    except OSError:
        return 0
