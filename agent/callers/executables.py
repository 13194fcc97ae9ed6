"""Which program holds the other end of the connection?

Never a proof by itself: it is the program that runs, not what it was told to do. An interpreter runs anybody's code,
most programs can be made to by whoever starts them, and whoever may start one can have it inherit a connection of his
own. It narrows what is granted to a user or a unit, and it shows in the audit lines.

To see what others' processes hold takes CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH, with which the agent could read
whatever there is on the machine. That is its price; users and units come free.
"""

import asyncio
import contextlib
import os
import stat
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final
from weakref import WeakKeyDictionary

from agent.callers import LEARNING, NOTHING_KNOWN, Facts, Origin, Peer
from agent.clock import Clock, within
from agent.errors import ConfigurationError
from agent.threads import aside

#: Calls something that may block, away from the event loop.
Apart = Callable[[Callable[[], None]], Awaitable[None]]

#: How long one look at all processes may take, in seconds: what was not seen by then is not known.
_LONGEST: Final = 2.0

#: The process that starts all others, and could be any of them if it wanted to: it need not be seen.
_FIRST: Final = 1

#: What the link of a program ends with whose file is not there any more (proc(5)).
_GONE: Final = " (deleted)"

#: What it takes, by the number among capabilities (linux/capability.h): to look into processes, and into /proc/PID/fd,
#: which only its owner may enter.
_NEEDED: Final = {19: "CAP_SYS_PTRACE", 2: "CAP_DAC_READ_SEARCH"}


@dataclass(frozen=True, slots=True)
class _Holder:
    """A process that holds a socket; `executable` is empty if what it runs cannot be told."""

    pid: int
    executable: str


class Executables:
    """Knows the process at the other end: the facts ("process.pid", number) and ("process.executable", path).

    Nothing is known if several processes hold that socket and do not run the same program, or if the file of the
    program is gone, is another where the process sees its path than where we do, or changes while we look. Of several
    processes that run the same program, the pid is not known.

    All processes are looked through for each connection, some milliseconds for each hundred of them, in one thread.
    """

    def __init__(self, clock: Clock, *, proc: Path = Path("/proc"), apart: Apart = aside) -> None:
        """Look at nothing yet."""
        self._clock = clock
        self._proc = proc
        self._apart = apart
        self._known: WeakKeyDictionary[Origin, Facts] = WeakKeyDictionary()
        self._wanted: set[int] = set()  # sockets whose holders are to be looked for
        self._looking: asyncio.Task[dict[int, Facts]] | None = None

    def attest(self, peer: Peer) -> Facts | None:
        """Say which process held the socket when the connection was first used; None if nobody has looked."""
        return self._known.get(peer.origin) if peer.origin.socket else NOTHING_KNOWN

    async def learn(self, peer: Peer) -> None:
        """Look for the process, for at most half a second."""
        origin = peer.origin
        if origin in self._known or not origin.socket:
            return
        found = NOTHING_KNOWN
        with contextlib.suppress(TimeoutError, RuntimeError, OSError):  # RuntimeError: no thread is to be had
            found = await within(self._clock, LEARNING, self._look_for(origin.socket))
        self._wanted.discard(origin.socket)
        self._known.setdefault(origin, found)

    async def _look_for(self, inode: int) -> Facts:
        """The facts of one socket, by the next look that begins from now on: one look serves all who wait for it."""
        while True:
            self._wanted.add(inode)
            looking = self._looking
            if looking is None or looking.done():
                wanted = frozenset(self._wanted)
                looking = self._looking = asyncio.ensure_future(self._look(wanted))
                looking.add_done_callback(_heard)
            found = await asyncio.shield(looking)
            if inode in found:
                return found[inode]

    async def _look(self, wanted: Collection[int]) -> dict[int, Facts]:
        """Look through all processes, in a thread. Raises OSError, and RuntimeError."""
        found: dict[int, Facts] = {}
        await self._apart(partial(_look_through, self._proc, wanted, self._clock.steady, found))
        return found


def why_blind(proc: Path = Path("/proc")) -> ConfigurationError | None:
    """What keeps us from seeing what other users' processes hold; None if nothing does. To be asked once, at start."""
    held = 0
    with contextlib.suppress(OSError, StopIteration, ValueError):
        status = (proc / "self/status").read_text()
        mine = next(line for line in status.splitlines() if line.startswith("CapEff:"))
        held = int(mine.split()[1], 16)
    missing = [name for number, name in _NEEDED.items() if not held >> number & 1]
    if not missing:
        return None
    names = " ".join(_NEEDED.values())
    return ConfigurationError(
        f"the programs of callers cannot be seen without {' and '.join(missing)}",
        hint=f"give the service, in a drop-in: AmbientCapabilities={names} and CapabilityBoundingSet={names};"
        " or leave executables alone",
    )


def _heard(looking: "asyncio.Task[dict[int, Facts]]") -> None:
    """Take notice of an error that nobody waits for any more."""
    if not looking.cancelled():
        looking.exception()


def _look_through(proc: Path, wanted: Collection[int], steady: Callable[[], float], found: dict[int, Facts]) -> None:
    """Say of every wanted socket what is known of its holders. Blocks. Raises OSError."""
    found.update(dict.fromkeys(wanted, NOTHING_KNOWN))
    if why_blind(proc) is not None:  # processes that we cannot see may hold it as well
        return
    links = {f"socket:[{inode}]": inode for inode in wanted}
    holders: dict[int, list[_Holder]] = {inode: [] for inode in wanted}
    until = steady() + _LONGEST
    for pid in _pids(proc):
        if steady() > until:  # as may those that we have not looked at
            return
        try:
            for inode, holder in _held(proc, pid, links):
                holders[inode].append(holder)
        except PermissionError:  # some security module hides it
            if pid != _FIRST:
                return
        except OSError:  # it has ended meanwhile
            continue
    found.update({inode: _facts(those) for inode, those in holders.items()})


def _pids(proc: Path) -> Iterator[int]:
    with os.scandir(proc) as entries:
        yield from (int(entry.name) for entry in entries if entry.name.isdecimal())


def _held(proc: Path, pid: int, links: dict[str, int]) -> Iterator[tuple[int, _Holder]]:
    """The wanted sockets that a process holds. Raises OSError."""
    # This descriptor stands for the process, not for its number: when another has that number, it leads nowhere.
    process = os.open(proc / str(pid), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        held = _sockets(process, links)
        if not held:
            return
        executable = _executable(process)
        if executable != _executable(process) or held - _sockets(process, links):
            executable = ""
        yield from ((inode, _Holder(pid, executable)) for inode in held)
    finally:
        os.close(process)


def _sockets(process: int, links: dict[str, int]) -> set[int]:
    """Which of the wanted sockets are among its open files. Raises OSError."""
    found = set()
    opened = os.open("fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
    try:
        for name in os.listdir(opened):  # noqa: PTH208 - a Path is a name, and this is a descriptor
            with contextlib.suppress(FileNotFoundError):  # it has closed it
                inode = links.get(os.readlink(name, dir_fd=opened))
                if inode is not None:
                    found.add(inode)
    finally:
        os.close(opened)
    return found


def _executable(process: int) -> str:
    """The path of what it runs; empty if that is not the same file here as there. Raises OSError."""
    path = os.readlink("exe", dir_fd=process)
    if path.endswith(_GONE) or not path.startswith("/"):
        return ""
    # Anybody may make a mount namespace in which /usr/bin/backup is a program of his own.
    running = os.stat("exe", dir_fd=process)
    try:
        here = Path(path).lstat()
    except OSError:
        return ""
    same = (running.st_dev, running.st_ino) == (here.st_dev, here.st_ino)
    return path if same and stat.S_ISREG(here.st_mode) else ""


def _facts(holders: list[_Holder]) -> Facts:
    programs = {holder.executable for holder in holders}
    if len(programs) != 1 or "" in programs:
        return NOTHING_KNOWN
    facts = {("process.executable", programs.pop())}
    if len(holders) == 1:
        facts.add(("process.pid", str(holders[0].pid)))
    return frozenset(facts)
