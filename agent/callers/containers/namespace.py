"""How does one ask the kernel about sockets in a container's network namespace?

A netlink socket belongs for ever to the namespace in which it was opened. So one thread goes in there, opens one, and
ends; whoever has the socket asks in there from then on, with no further privilege. Going in takes CAP_SYS_ADMIN.
"""

import ctypes
import os
from collections.abc import Callable
from typing import Final, Protocol

from agent.callers import End

#: linux/sched.h
_CLONE_NEWNET: Final = 0x40000000

#: os.setns would do, but only from Python 3.12.
_LIBC: Final = ctypes.CDLL(None, use_errno=True)

#: Ends that no connection has.
_NOWHERE: Final = ("127.0.0.1", 0)


class Owner(Protocol):
    """Who made a socket, as far as it matters here."""

    @property
    def cgroup(self) -> int:
        """The id of the control group in which it was made; 0 if that is unknown."""
        ...


class Line(Protocol):
    """A line to the kernel, opened by its first question, in the namespace of the thread that asks it."""

    def owner(self, client: End, server: End) -> Owner | None:
        """Who holds the client's end of a connection in there. Never waits. Raises OSError; then it is of no more use.

        It would open anew at the next question, and out here.
        """
        ...

    def close(self) -> None:
        """Close it."""
        ...


def line_in(namespace: int, line: Callable[[], Line]) -> Line:
    """Open a line in the network namespace of that descriptor, which is closed. Raises OSError.

    To be called in a thread that ends with it: the thread stays in there.
    """
    try:
        if _LIBC.setns(namespace, _CLONE_NEWNET) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        opened = line()
        opened.owner(_NOWHERE, _NOWHERE)
        return opened
    finally:
        os.close(namespace)
