"""How does this process ask the kernel to keep its memory to itself?"""

import contextlib
import ctypes
import resource

_PR_SET_DUMPABLE = 4  # linux/prctl.h


def forbid_dumps() -> None:
    """Write no core dump, and let no other process of this user attach and read (PR_SET_DUMPABLE, prctl(2)).

    Best effort: where a sandbox forbids to ask, it has LimitCORE= and more of its own.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
