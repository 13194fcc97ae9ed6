"""How is a file that holds a secret replaced: whole or not at all, and never for more eyes than before?

It is written in full beside its place, flushed to the disk and renamed, by one writer at a time: a lock on the
directory ends with the process. A process that is killed leaves the old file or the new one, and perhaps a draft, which
is as private as the file and which the next writer removes.
"""

import errno
import fcntl
import grp
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agent.durable import give_as
from agent.errors import ConfigurationError

#: More than this is no file of ours, nor one that people keep their profiles in; in bytes.
_LARGEST: Final = 1 << 20

#: The most that a mode may allow: to the group to read, and to others nothing.
_MOST: Final = 0o640

#: How long to wait for another writer, and between two tries, in seconds.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.02

#: File systems without such a lock (NFS wants a file open for writing): two writers may undo each other's change there.
_NO_LOCKS: Final = frozenset({errno.EBADF, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})

_HINTS: Final = {
    errno.ENOENT: "make the directory, and give it to the user that the agent runs as",
    errno.ENOTDIR: "a part of that path is a file; correct it under [[files]]",
    errno.EACCES: "let the user that the agent runs as write to the directory",
    errno.EPERM: "let the user that the agent runs as write to the directory, and see lsattr for what is immutable",
    errno.EROFS: "choose another directory; under systemd, name it in ReadWritePaths=",
    errno.ENOSPC: "make room on that file system; what the file held, it still holds",
    errno.EDQUOT: "make room within the quota; what the file held, it still holds",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f); what the file held, it still holds",
}

#: What a file is to hold, given what it holds (None: there is none), and whether somebody else's things are in it.
#: Raises ConfigurationError rather than lose what is not ours.
Edit = Callable[[bytes | None], tuple[bytes, bool]]

#: By what a file is known to be the one that was written.
Stamp = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file is, and whose. `group` is a name or a number; None leaves the group as it is.

    Raises ConfigurationError for a mode by which more than the owner could write, or more than a group read.
    """

    path: Path
    mode: int = 0o600
    group: str | None = None

    def __post_init__(self) -> None:
        """Refuse what would show a secret to everybody."""
        if self.mode & ~_MOST or not self.mode & stat.S_IRUSR:
            raise ConfigurationError(
                f"{self.path} holds a secret, which mode {self.mode:04o} is not for",
                hint="write 0600, or 0640 and the group that is to read it",
            )


@dataclass(frozen=True, slots=True)
class _There:
    """What is in the place now."""

    content: bytes = field(repr=False)
    facts: os.stat_result = field(repr=False)


def replace(place: Place, edit: Edit, *, patience: float = _PATIENCE) -> Stamp | None:
    """Let the file hold what `edit` says; blocks. One that does already is not touched; None if there is none still.

    Raises ConfigurationError, and then the file is what it was.
    """
    try:
        with _directory(place.path) as directory:
            _take_turn(directory, patience)
            there = _found(directory, place)
            content, shared = edit(None if there is None else there.content)
            loose = there is not None and bool(stat.S_IMODE(there.facts.st_mode) & ~place.mode)
            if content != (b"" if there is None else there.content) or loose:
                _write(directory, place, there, content, shared=shared)
        return stamp(place)
    except OSError as error:
        raise _failed(place.path, error) from error


def stamp(place: Place) -> Stamp | None:
    """By what the file is known now; None if there is none, or none that could be seen. Blocks; never raises."""
    try:
        facts = place.path.lstat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    try:
        descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if path.parent.is_symlink():
            raise _refused(path, f"{path.parent} is a symbolic link", "name the directory it leads to") from error
        raise
    try:
        facts = os.fstat(descriptor)
        if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
            raise _refused(path, "everybody may write to its directory", f"take that away: chmod o-w {path.parent}")
        yield descriptor
    finally:
        os.close(descriptor)


def _take_turn(directory: int, patience: float) -> None:
    """Lock the directory until its descriptor is closed.

    Whoever can read it can hold its lock, and for ever: then we go on without, as where there are no locks, rather than
    let what the file holds end. A writer of ours has it for a moment only.
    """
    for _ in range(max(1, round(patience / _PAUSE))):
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_PAUSE)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return
            raise
        else:
            return


def _found(directory: int, place: Place) -> _There | None:
    path = place.path
    try:
        # NOFOLLOW: a link may lead anywhere, and renaming would replace it, not the file. NONBLOCK: as may a pipe.
        opened = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _refused(path, "it is a symbolic link", "name the file that it leads to, or remove it") from error
        if error.errno == errno.EACCES:
            raise _refused(path, "it may not be read", "name a file of the agent's own") from error
        raise
    try:
        facts = os.fstat(opened)
        if not stat.S_ISREG(facts.st_mode):
            raise _refused(path, "it is no ordinary file", "correct the path")
        if os.geteuid() not in (0, facts.st_uid):
            raise _refused(
                path,
                f"it belongs to uid {facts.st_uid}, who could not read it any more",
                "name a file of the agent's own, and give its readers a group",
            )
        content = os.read(opened, _LARGEST + 1)
    finally:
        os.close(opened)
    if len(content) > _LARGEST:
        raise _refused(path, f"it is larger than {_LARGEST} bytes", "correct the path")
    return _There(content, facts)


def _write(directory: int, place: Place, there: _There | None, content: bytes, *, shared: bool) -> None:
    draft = f".{place.path.name}.rolecall"
    with suppress(FileNotFoundError):
        os.unlink(draft, dir_fd=directory)  # left by a writer that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(draft, flags, 0o600, dir_fd=directory)
    try:
        with os.fdopen(opened, "wb") as file:
            os.fchmod(opened, _given(opened, place, there, shared=shared))
            file.write(content)
            file.flush()
            os.fsync(opened)
        os.rename(draft, place.path.name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        with suppress(OSError):
            os.unlink(draft, dir_fd=directory)
        raise
    os.fsync(directory)


def _given(draft: int, place: Place, there: _There | None, *, shared: bool) -> int:
    """Give the draft to whom the file belongs; the mode that it may have then.

    A file with somebody else's secrets in it becomes no more open than it was. Raises OSError, ConfigurationError.
    """
    mode = place.mode
    if there is None:
        give_as(draft, place.path.parent)
    else:
        if shared:
            mode &= stat.S_IMODE(there.facts.st_mode) | stat.S_IRUSR
        if os.geteuid() == 0:
            os.fchown(draft, there.facts.st_uid, -1)
        if place.group is None:
            try:
                os.fchown(draft, -1, there.facts.st_gid)
            except PermissionError:
                mode &= ~stat.S_IRGRP  # the file will be another group's
    if place.group is not None:
        try:
            os.fchown(draft, -1, _gid(place, place.group))
        except PermissionError as error:
            raise _refused(
                place.path,
                f"the user that the agent runs as is not in group {place.group}",
                "add it to that group, and restart the agent: under systemd, SupplementaryGroups=",
            ) from error
    return mode


def _gid(place: Place, group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise _refused(place.path, f"there is no group {group}", "make the group, or correct its name") from error


def _refused(path: Path, why: str, hint: str) -> ConfigurationError:
    return ConfigurationError(f"{path} cannot be replaced: {why}", hint=hint)


def _failed(path: Path, error: OSError) -> ConfigurationError:
    reason = os.strerror(error.errno).lower() if error.errno else str(error)
    return _refused(path, reason, _HINTS.get(error.errno or 0, "see to that file and its directory"))
