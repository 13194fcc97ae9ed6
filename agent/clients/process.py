"""What does this process ask of the kernel before it starts to work?"""

import contextlib
import ctypes
import os
import resource
import sys
from typing import Final

_PR_SET_DUMPABLE = 4  # linux/prctl.h

#: More files than this are never open at once, however many the kernel would allow.
_MOST_FILES: Final = 65_536


def forbid_dumps() -> None:
    """Write no core dump, and let no other process of this user attach and read (PR_SET_DUMPABLE, prctl(2)).

    Best effort: where a sandbox forbids to ask, it has LimitCORE= and more of its own.
    """
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(AttributeError):  # only Linux has it
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def allow_many_files() -> None:
    """Take as many file descriptors as we may: the usual 1024 are a kindness to select(2), which is not used here.

    With so few, anybody on this machine could use them up by connecting and saying nothing.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def fill_standard_streams() -> None:
    """Put /dev/null where stdin, stdout or stderr are closed.

    Otherwise the next socket gets their number, and what is printed is sent to whoever is at its other end.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8"))
