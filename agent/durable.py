"""How does a file come to be for good, and whose is it?

Commands run as root, the agent does not: what root makes in a directory of the agent's must be the agent's as well.
"""

import os
import stat
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


def flush_names(directory: Path) -> None:
    """Have the names in a directory on the disk, as fsync(2) has a file's contents there. Raises OSError."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
