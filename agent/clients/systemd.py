"""How do we tell the service manager how we are?

The protocol is that of sd_notify(3): datagrams of NAME=value lines to $NOTIFY_SOCKET.
"""

import contextlib
import socket
from collections.abc import Callable, Mapping
from typing import NoReturn

from agent.clock import Clock


class ServiceManager:
    """systemd, if it started us; otherwise nobody, and telling is free."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        """Find out from the environment who started us; `pid` is our own."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        meant_for = environ.get("WATCHDOG_PID", "")
        microseconds = environ.get("WATCHDOG_USEC", "")
        ours = not meant_for or meant_for == str(pid)
        self._watchdog = int(microseconds) / 1e6 if ours and microseconds.isdecimal() else None

    def tell(self, *states: str) -> None:
        """Send states, as in READY=1. A service manager that does not listen is no reason to fail.

        Each goes in a datagram of its own: systemd throws away whole what is longer than 4096 bytes, and a status that
        grew too long must not take the sign of life with it.
        """
        if self._address:
            for state in states:
                self._send(state)

    def _send(self, state: str) -> None:
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        # A process that has run out of file descriptors cannot even make the socket, and must live on all the same.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out,
        ):
            out.setblocking(False)
            out.sendto(state.encode(), address)

    async def keep_told(self, clock: Clock, state: Callable[[], str]) -> NoReturn:
        """Say that we are alive and how we are: often enough for the watchdog, else once a minute.

        A daemon whose loop is stuck says nothing, and is restarted.
        """
        while True:
            await clock.sleep(min(self._watchdog / 3, 60.0) if self._watchdog else 60.0)
            self.tell(*(["WATCHDOG=1"] if self._watchdog else []), f"STATUS={state()}")
