"""How does a file come to be for good, and whose is it?

Commands run as root, the agent does not: what root makes in a directory of the agent's must be the agent's as well.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path


def give_as(descriptor: int, directory: Path) -> None:
    """Give what root has just made, and holds open, to whom the directory is. Raises OSError."""
    if os.geteuid() != 0:
        return
    owner, facts = directory.stat(), os.fstat(descriptor)
    # A file with a second name may be anybody's: whose directory it is may have put it there.
    ours = stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1
    if ours and (owner.st_uid, owner.st_gid) != (0, 0):
        os.fchown(descriptor, owner.st_uid, owner.st_gid)


def write_private(path: Path, data: bytes) -> os.stat_result:
    """Write a new file for its owner alone, onto the disk; if root makes it, its owner is whose directory it is.

    Gives what it is known by. Raises OSError.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        give_as(descriptor, path.parent)
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        return os.fstat(descriptor)


def replace_private(path: Path, data: bytes) -> os.stat_result:
    """The same in the place of what is there, if anything is: all of it, or nothing.

    It is for good after `flush_names`. Gives what it is known by. Raises OSError, and then nothing has changed.
    """
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        facts = write_private(draft, data)
        draft.replace(path)
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()
    return facts


def flush_names(directory: Path) -> None:
    """Have the names in a directory on the disk, as fsync(2) has a file's contents there. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
