"""How does a file that stands for a key come to be, whole or not at all, and how does it go?"""

import errno
import os
import secrets
import shlex
import stat
from contextlib import suppress
from pathlib import Path

from agent.durable import flush_names, write_private
from agent.errors import ConfigurationError, KeyUnavailable


def write_new(path: Path, data: bytes) -> None:
    """Write a file where there is nothing yet, for its owner's eyes only; whole or not at all, and on the disk.

    Its owner is who writes it; if that is root, it is whose directory it is.

    Raises ConfigurationError if `path` exists, KeyUnavailable if it cannot be written.
    """
    # Written under another name first and then linked, not renamed: link(2) never replaces what is there.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        try:
            write_private(draft, data)
            os.link(draft, path)
        finally:
            with suppress(FileNotFoundError):
                draft.unlink()
        flush_names(path.parent)
    except FileExistsError as error:
        raise ConfigurationError(
            f"{path} exists already, and a key is never overwritten",
            hint="choose another name, or move the old key away",
        ) from error
    except OSError as error:
        hint = "the directory must be writable for this user and lie on a file system with links"
        if error.errno == errno.ENOENT:
            hint = f"make the directory: mkdir -p -m 700 {shlex.quote(str(path.parent))}"
        raise KeyUnavailable(f"the key file {path} cannot be written: {error.strerror}", hint=hint) from error


def read_small(path: Path, largest: int) -> bytes:
    """What is in an ordinary file of at most `largest` bytes. Raises KeyUnavailable."""
    try:
        # NONBLOCK: a FIFO would hold us up for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise _unreadable(path, error) from error
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise KeyUnavailable(f"the key file {path} is no ordinary file", hint="correct the path")
        data = os.read(descriptor, largest + 1)
    except OSError as error:
        raise _unreadable(path, error) from error
    finally:
        os.close(descriptor)
    if len(data) > largest:
        raise KeyUnavailable(
            f"the key file {path} is larger than {largest} bytes, which none is", hint="correct the path"
        )
    return data


def names_in(directory: Path, suffix: str) -> list[str]:
    """The files of a directory that end so and are not hidden, in order. Blocks. Raises KeyUnavailable."""
    try:
        return sorted(
            path.name for path in directory.iterdir() if path.suffix == suffix and not path.name.startswith(".")
        )
    except OSError as error:
        hint = f"make it, as the user that the agent runs as: mkdir -p -m 700 {shlex.quote(str(directory))}"
        if isinstance(error, PermissionError):
            hint = "run this as the user that the agent runs as, or as root"
        raise KeyUnavailable(
            f"the directory of keys {directory} cannot be read: {error.strerror}", hint=hint
        ) from error


def remove(path: Path) -> None:
    """Take a file away, for good even if the power fails now; nothing if it is gone. Raises KeyUnavailable."""
    try:
        path.unlink(missing_ok=True)
        with suppress(FileNotFoundError):
            flush_names(path.parent)
    except OSError as error:
        raise KeyUnavailable(
            f"the key file {path} cannot be removed: {error.strerror}", hint="remove it by hand"
        ) from error


def _unreadable(path: Path, error: OSError | ValueError) -> KeyUnavailable:
    number = error.errno if isinstance(error, OSError) else errno.ENOENT
    if number in (errno.ENOENT, errno.ENOTDIR):
        return KeyUnavailable(
            f"the key file {path} does not exist", hint="correct the path, or make a key: rolecall keys new"
        )
    return KeyUnavailable(
        f"the key file {path} cannot be read: {os.strerror(number or errno.EIO)}",
        hint="give file and directory to the user that the agent runs as",
    )
