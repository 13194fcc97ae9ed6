"""How does a unit come by a token that proves which unit it is?

systemd fetches it: with LoadCredential=rolecall-token:/run/rolecall/unit-tokens.sock it connects to that socket when it
starts the unit, from an address that names the unit (systemd.exec(5)), and puts what it reads where that unit alone can
read it. Nothing lies on a disk, and nobody has to hand anything out.

Who connects is root, or gets nothing: so says the mode of the socket, and so does the kernel of each connection
(SO_PEERCRED, unix(7)). Whoever is root in the agent's user namespace can fake the address, and could do all else.
"""

import asyncio
import errno
import os
import re
import socket
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, Protocol

from agent.clock import Clock
from agent.errors import ListenerUnavailable
from agent.events import NoToken, Report, UnitTokenIssued, UnitTokenRefused
from agent.secret import Secret

#: What fits into the address of a Unix socket beside the zero byte at its end (unix(7)).
_LONGEST_PATH: Final = 107

#: Where systemd connects from: a zero byte, something random, the unit and the credential.
_ADDRESS: Final = re.compile(rb"\0[0-9a-f]{1,16}/unit/([A-Za-z0-9:_.\\@-]{1,255})/([!-.0-9;-~]{1,255})")

#: The kinds of unit that are processes, and so can have credentials.
_KINDS: Final = (".service", ".socket", ".mount", ".swap")

#: What SO_PEERCRED says: process, user and group.
_CREDENTIALS: Final = struct.Struct("3i")

#: Connections that wait, and that are answered in one go, so that others have their turn in between.
_BACKLOG: Final = 128
_AT_A_TIME: Final = 16

#: The pause when the machine cannot give us another connection, and how long a refusal is not told of again: seconds.
_BREATHER: Final = 0.25
_AGAIN: Final = 60.0


class Issuer(Protocol):
    """Makes tokens."""

    def token(self, unit: str) -> Secret:
        """The token of the unit of this name. Never waits."""
        ...


@asynccontextmanager
async def giving(
    issuer: Issuer,
    path: Path,
    *,
    clock: Clock,
    report: Report,
    manager: int = 0,
) -> AsyncIterator[Path]:
    """Give units their tokens, at this socket, while the context lasts; yields its path.

    `manager` is the user that systemd runs as. Raises ListenerUnavailable.
    """
    listening, made = _opened(path)
    giver = _Giver(listening, issuer, clock, report, manager)
    loop = asyncio.get_running_loop()
    loop.add_reader(listening, giver.accept)
    try:
        yield path
    finally:
        giver.stop()
        listening.close()
        _remove(path, made)


class _Giver:
    """Answers whoever connects at once, and keeps no connection: so nobody can hold it up, or wear it out."""

    def __init__(
        self,
        listening: socket.socket,
        issuer: Issuer,
        clock: Clock,
        report: Report,
        manager: int,
    ) -> None:
        self._listening = listening
        self._issuer = issuer
        self._clock = clock
        self._report = report
        self._manager = manager
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None
        self._refused = 0
        self._told = -_AGAIN

    def accept(self) -> None:
        """Answer some of those who wait."""
        for _ in range(_AT_A_TIME):
            try:
                accepted, address = self._listening.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:  # no descriptor is to be had
                self._loop.remove_reader(self._listening)
                self._pause = self._loop.call_later(_BREATHER, self._go_on)
                return
            with accepted, suppress(OSError):  # who has gone already needs no answer
                accepted.setblocking(False)
                self._answer(accepted, address)

    def stop(self) -> None:
        """Answer nobody any more."""
        self._loop.remove_reader(self._listening)
        if self._pause is not None:
            self._pause.cancel()

    def _go_on(self) -> None:
        self._loop.add_reader(self._listening, self.accept)

    def _answer(self, accepted: socket.socket, address: bytes | str) -> None:
        """Send the token, which the socket takes whole, or nothing. Raises OSError."""
        said = accepted.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid, uid, _ = _CREDENTIALS.unpack(said)
        if uid != self._manager:
            self._refuse(uid, pid, "not_root")
            return
        match = _ADDRESS.fullmatch(address) if isinstance(address, bytes) else None
        unit = "" if match is None else match[1].decode("ascii")
        if match is None or not unit.endswith(_KINDS):
            self._refuse(uid, pid, "not_systemd")
            return
        accepted.send(self._issuer.token(unit).reveal().encode("ascii"))
        self._report(UnitTokenIssued(unit, match[2].decode("ascii")))

    def _refuse(self, uid: int, pid: int, reason: NoToken) -> None:
        self._refused += 1
        now = self._clock.steady()
        if now - self._told < _AGAIN:
            return
        self._told = now
        self._report(UnitTokenRefused(uid, pid, reason, self._refused))
        self._refused = 0


def _opened(path: Path) -> tuple[socket.socket, os.stat_result]:
    """A socket that listens there, for root and our own user alone, and its file. Raises ListenerUnavailable."""
    size = len(os.fsencode(path))
    if size > _LONGEST_PATH:
        raise ListenerUnavailable(
            f"cannot listen on {path}: the path has {size} bytes, and that of a socket at most {_LONGEST_PATH}",
            hint="name a shorter one in unit_tokens.socket",
        )
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listening.setblocking(False)
        os.fchmod(listening.fileno(), 0o600)  # which the file has from its first moment, whatever the umask
        _clear(path)
        listening.bind(os.fspath(path))
        made = path.lstat()
        listening.listen(_BACKLOG)
    except (OSError, ValueError) as error:
        listening.close()
        raise _unavailable(path, error) from error
    except BaseException:
        listening.close()
        raise
    return listening, made


def _remove(path: Path, made: os.stat_result) -> None:
    """Take our socket away, and not that of a successor."""
    with suppress(OSError):
        there = path.lstat()
        if (there.st_dev, there.st_ino) == (made.st_dev, made.st_ino):
            path.unlink()


def _clear(path: Path) -> None:
    """Take away the socket of an agent that is no more. Raises ListenerUnavailable, and OSError."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(facts.st_mode):
        raise ListenerUnavailable(
            f"cannot listen on {path}: there is something else than a socket",
            hint="name another path in unit_tokens.socket, or move that away",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # its backlog is full, so it is alive
            pass
    raise ListenerUnavailable(
        f"cannot listen on {path}: something listens there already",
        hint="is another agent running? ss -xlp tells; or choose another path in unit_tokens.socket",
    )


def _unavailable(path: Path, error: OSError | ValueError) -> ListenerUnavailable:
    number = error.errno if isinstance(error, OSError) else None
    why = str(getattr(error, "strerror", None) or error).lower()
    hint = "name another path in unit_tokens.socket"
    if number in (errno.ENOENT, errno.ENOTDIR):
        hint = f"make the directory {path.parent}: for /run/rolecall, RuntimeDirectory=rolecall in the unit does"
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        hint = f"let the agent's user write to {path.parent}, or name another path in unit_tokens.socket"
    return ListenerUnavailable(f"cannot listen on {path}: {why}", hint=hint)
