"""What is kept of a sign-in, so that the next start needs no password?

The refresh token, in a file for its owner alone. Where the pool rotates refresh tokens each is good once: so it is
read anew before it is used, by one agent at a time, and the next is on the disk before the last is forgotten.
"""

import fcntl
import json
import os
import re
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from agent.clock import Clock
from agent.durable import flush_names, give_as, replace_private
from agent.errors import TokenUnavailable
from agent.secret import Secret
from agent.threads import aside

_LARGEST: Final = 65_536
_FORMAT: Final = 1
#: How long to wait for another agent that renews the same sign-in, and between two looks, in seconds.
_PATIENCE: Final = 30.0
_PAUSE: Final = 0.05

#: What tells one content of a file from another: its inode, its size, and when it was written; None if there is none.
Version = tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A sign-in that can be renewed: whose, through which app client of which pool, and by what."""

    pool_id: str
    client_id: str
    user: str
    refresh_token: Secret


class StateFile:
    """The file of one sign-in."""

    def __init__(self, path: Path, clock: Clock) -> None:
        """Read and write `path`; `clock` counts how long another agent is waited for."""
        self._path = path
        self._clock = clock

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def version(self) -> Version:
        """What is there now; costs one look at the directory."""
        return version_of(self._path)

    async def read(self) -> Kept | None:
        """What is kept; None if nothing is, or what is there is not ours. Raises TokenUnavailable."""
        try:
            return await aside(_read, self._path)
        except (OSError, RuntimeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no thread to be had"
            raise TokenUnavailable(
                f"the sign-in that is kept in {self._path} cannot be read: {reason}",
                hint="give the file and its directory to the user that the agent runs as",
            ) from error

    def write(self, kept: Kept) -> None:
        """Keep this, for good even if the power fails now. Blocks. Raises OSError, and then nothing has changed."""
        document = {
            "format": _FORMAT,
            "user_pool": kept.pool_id,
            "client_id": kept.client_id,
            "user": kept.user,
            "refresh_token": kept.refresh_token.reveal(),
        }
        replace_private(self._path, json.dumps(document, indent=2).encode() + b"\n")
        flush_names(self._path.parent)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Be the only one who renews this sign-in, here or in another process. Raises TokenUnavailable.

        Where no lock can be had, on a disk that is full or read-only, there is none: better two than nobody.
        """
        descriptor = self._opened()
        try:
            if descriptor is not None and await self._locked(descriptor):
                self._finish()  # here, as the lock was opened here: it takes one look at the directory
            yield
        finally:
            if descriptor is not None:
                os.close(descriptor)

    def _opened(self) -> int | None:
        lock = self._path.with_name(f".{self._path.name}.lock")
        with suppress(OSError):
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
            with suppress(OSError):
                give_as(descriptor, self._path.parent)
            return descriptor
        return None

    async def _locked(self, descriptor: int) -> bool:
        """Wait for the lock; False where there are no locks. Raises TokenUnavailable."""
        until = self._clock.steady() + _PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.steady() >= until:
                    raise TokenUnavailable(
                        f"another process has been renewing the sign-in of {self._path} for {_PATIENCE:.0f} s",
                        hint="see what hangs: fuser shows who has the file beside it open",
                    ) from None
                await self._clock.sleep(_PAUSE)
            except OSError:  # a file system without locks
                return False
            else:
                return True

    def _finish(self) -> None:
        """Finish what somebody was killed at who held the lock: the refresh token in his draft is the one that is good.

        What is older than the file, or not whole, is removed: nobody else does, and there may be a token in it.
        """
        draft = re.compile(re.escape(f".{self._path.name}.") + "[0-9a-f]{16}")
        with suppress(OSError):
            for left in self._path.parent.iterdir():
                if draft.fullmatch(left.name):
                    self._take(left)

    def _take(self, draft: Path) -> None:
        before = version_of(self._path)
        newer = before is None or draft.stat().st_mtime_ns > before[2]
        if newer and _read(draft) is not None:
            draft.replace(self._path)
            flush_names(self._path.parent)
        else:
            draft.unlink()


def _read(path: Path) -> Kept | None:
    """What is kept in a file; None if there is none, or it is not ours. Raises OSError."""
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return None
            data = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    try:
        document = json.loads(data)
        found = [document[word] for word in ("user_pool", "client_id", "user", "refresh_token")]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # whatever it is, the next sign-in replaces it
    if document.get("format") != _FORMAT or not all(isinstance(one, str) and one for one in found):
        return None
    return Kept(found[0], found[1], found[2], Secret(found[3]))


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO would hold us up for ever. Not for os.fdopen, which leaves a directory open and raises."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def version_of(path: Path | None) -> Version:
    """What is in a file now, without reading it."""
    try:
        facts = None if path is None else path.stat()
    except (OSError, ValueError):
        return None
    return None if facts is None else (facts.st_ino, facts.st_size, facts.st_mtime_ns)
