"""Where is the hierarchy of control groups (v2) to be seen, and how much of it?"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_MOUNTS: Final = Path("/proc/self/mountinfo")

#: The inode of the top of the whole hierarchy: it is the first that the kernel gives out (fs/kernfs).
_FIRST: Final = 1

_OCTAL: Final = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The hierarchy as it is mounted here.

    Attributes:
        folder: where its top is mounted, as in "/sys/fs/cgroup".
        prefix: the path of what is mounted there; "" if that is the top of the hierarchy, or what this process
            takes for it.
        whole: whether it is all of this machine; False in a cgroup namespace, and where only a part is mounted.
    """

    folder: str
    prefix: str = ""
    whole: bool = True


def mounted(mounts: Path = _MOUNTS) -> Hierarchy | None:
    """The best view of the hierarchy that this process has; None if there is none. Raises nothing."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    seen = [view for line in lines if (view := _view(line)) is not None]
    return min(seen, key=lambda view: (not view.whole, len(view.prefix)), default=None)


def _view(line: str) -> Hierarchy | None:
    """One line of mountinfo: number, parent, device, root, mount point, options, tags, "-", type (proc(5))."""
    words, _, kind = line.partition(" - ")
    fields = words.split(" ")
    if kind.split(" ", 1)[0] != "cgroup2" or len(fields) < 6:
        return None
    root, folder = (_OCTAL.sub(lambda octal: chr(int(octal[1], 8)), field) for field in fields[3:5])
    try:
        whole = os.stat(folder).st_ino == _FIRST  # noqa: PTH116 - as plain as everything here
    except OSError:
        return None
    if whole:
        return Hierarchy(folder)
    if root == "/.." or root.startswith("/../"):
        return None  # from above our namespace, and nobody says what is above that
    return Hierarchy(folder, root.rstrip("/"), whole=False)
