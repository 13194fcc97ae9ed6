"""How does a file come to be, whole or not at all?"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from agent.durable import flush_names


@dataclass(frozen=True, slots=True)
class Belonging:
    """Whose a new file is: the mode, and the numbers of owner and group, -1 for those of whoever makes it.

    Unless `exact`, the umask takes away from the mode what it takes from any.
    """

    mode: int
    uid: int = -1
    gid: int = -1
    exact: bool = True


def write_whole(path: Path, body: str, whose: Belonging, *, replace: bool = False) -> None:
    """Write where there is nothing, or with `replace` in the place of what is there.

    At every moment there is all of it or none. Raises OSError, with the path that was meant: FileExistsError if
    something is there and is not to be replaced.
    """
    draft = path.with_name(f".{path.name}.new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        draft.unlink(missing_ok=True)  # left by one that was killed
        descriptor = os.open(draft, flags, whose.mode)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            if (whose.uid, whose.gid) != (-1, -1):
                os.fchown(descriptor, whose.uid, whose.gid)
            if whose.exact:
                os.fchmod(descriptor, whose.mode)
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)  # not renamed: that would replace what is there
        with contextlib.suppress(PermissionError):  # a directory may be one to write to and not to look into
            flush_names(path.parent)
    except OSError as error:
        error.filename, error.filename2 = str(path), None  # the draft is nobody's business
        raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
