"""Is that process still the first one of its container?

Process ids are used again. A pidfd is not: it stands for one process for ever, and tells without privilege when that
process has ended. So it is opened first, and all that is then read of /proc/PID counts only if it is alive afterwards.
"""

import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Where the second version of cgroups is: everywhere, or beside the first.
_HIERARCHIES: Final = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))

#: More cgroups than this are not looked through below that of one container.
_MOST_CGROUPS: Final = 256


class Process:
    """A process that is held on to."""

    def __init__(self, pid: int) -> None:
        """Take hold of it. Raises OSError if there is none of that id."""
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)

    @property
    def alive(self) -> bool:
        """Whether it has not ended; after `close` it has."""
        return self._descriptor >= 0 and not self._poll.poll(0)

    def close(self) -> None:
        """Let it go."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def cgroups(self) -> str:
        """What the kernel says of its cgroups, as in /proc/PID/cgroup; "" if it has ended, or we may not look."""
        with suppress(OSError):
            # Whoever is given a group makes others in it, and calls them as he likes but for line feeds and slashes.
            text = Path(f"/proc/{self.pid}/cgroup").read_bytes().decode("utf-8", "surrogateescape")
            if self.alive:
                return text
        return ""

    def namespace(self) -> int:
        """A descriptor of its network namespace, to be closed. Raises OSError: it has ended, or we may not look."""
        descriptor = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if self.alive:
            return descriptor
        os.close(descriptor)
        raise ProcessLookupError


def cgroup_of(identity: str, cgroups: str) -> Path | None:
    """The cgroup of the second version that bears the id of a container, as in "/system.slice/docker-0123….scope".

    `cgroups` are those of a process in it. None if none does, though one of the first version may.
    """
    for line in cgroups.split("\n"):
        parts = line.removeprefix("0::").strip("/").split("/")
        named = [number for number, part in enumerate(parts) if identity in part]
        if line.startswith("0::") and named:
            return Path("/", *parts[: named[0] + 1])
    return None


def cgroup_ids(cgroup: Path, hierarchies: tuple[Path, ...] = _HIERARCHIES) -> frozenset[int]:
    """The ids by which the kernel calls a cgroup and those below it: their inode numbers (cgroups(7)).

    Empty where there is none, as on a machine that has cgroups of the first version alone.
    """
    found: set[int] = set()
    for hierarchy in hierarchies:
        if not (hierarchy / "cgroup.controllers").exists():
            continue
        with suppress(OSError):
            for folder, _, _ in os.walk(hierarchy / cgroup.relative_to("/")):
                found.add(Path(folder).stat().st_ino)
                if len(found) >= _MOST_CGROUPS:
                    break
    return frozenset(found)


def inode(path: str) -> int:
    """The inode number of what lies there; 0 if nothing does, or the path is ""."""
    try:
        return Path(path).stat().st_ino if path else 0
    except (OSError, ValueError):
        return 0
