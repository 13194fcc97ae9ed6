"""How do the issuer's documents get into a folder that a web server shows?

Every document is written in full beside its place and then renamed into it, so a reader sees the old file or the
new one and never a part, whatever happens to us meanwhile. All are written before the first is renamed: a full disk
changes nothing. One publisher works at a time, by a lock on the folder that ends with the process.
"""

import asyncio
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.errors import PublishingFailed
from agent.publishing import Document

#: A web server runs as somebody else and must be able to read; nothing here is secret.
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755

_PAUSE: Final = timedelta(milliseconds=20)

_HINTS: Final = {
    errno.EACCES: "run this as a user who may write there, or give that user the folder",
    errno.EPERM: "run this as a user who may write there, and see lsattr for files made immutable",
    errno.EROFS: "choose another folder; under systemd, name it in ReadWritePaths=",
    errno.ENOSPC: "make room on that file system; what was published before is still in place",
    errno.EDQUOT: "make room within the quota; what was published before is still in place",
    errno.EFBIG: "raise the limit on file sizes (ulimit -f); what was published before is still in place",
    errno.ENOENT: "create the folder, or correct [publishing] directory",
    errno.ENOTDIR: "a part of that path is a file; correct [publishing] directory",
}


@dataclass(frozen=True, slots=True)
class _Staged:
    """A document written in full under a name that nobody asks for, ready to take its place."""

    folder: int
    waiting_as: str
    name: str


class DirectoryPublisher:
    """Keeps a folder that a web server shows.

    Args:
        root: the folder that is served at the issuer's URL. Paths of documents are relative to that URL, so for an
            issuer `https://oidc.example.com/site-a` this is what the server shows at `/site-a`. It is made if only
            its last part is missing.
        patience: how long to wait for another publisher to finish.
    """

    def __init__(self, root: Path, *, patience: timedelta = timedelta(seconds=10)) -> None:
        self._root = root
        self._patience = patience

    async def publish(self, documents: Sequence[Document]) -> None:
        """Put each document in its place, in the order given; a file that is right already is not touched.

        Raises PublishingFailed. What was there before is then still there, unless it is a rename that failed.
        """
        await asyncio.to_thread(self._publish, tuple(documents))

    def _publish(self, documents: Sequence[Document]) -> None:
        try:
            with _opened(self._root) as root:
                self._take_turn(root)
                self._replace(root, [document for document in documents if not self._in_place(root, document)])
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise PublishingFailed(
                f"the issuer's documents cannot be written to {self._root}: {reason}",
                hint=_HINTS.get(error.errno or 0, "see to that folder; what was published before is still in place"),
            ) from error

    def _take_turn(self, root: int) -> None:
        """Lock the folder until its descriptor is closed, by us or by the end of the process.

        Not for ever: whoever can read the folder can hold its lock.
        """
        for _ in range(max(1, self._patience // _PAUSE)):
            with suppress(BlockingIOError):
                fcntl.flock(root, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(_PAUSE.total_seconds())
        raise PublishingFailed(
            f"somebody else has held the lock on {self._root} for {self._patience.total_seconds():g} s",
            hint=f"see who it is with: fuser -v {self._root}",
        )

    def _in_place(self, root: int, document: Document) -> bool:
        """Whether the file there says just this already. Refuses to go on where there is no plain file."""
        try:
            with _folder_of(root, document, self._root) as folder:
                name = _parts(document)[-1]
                self._refuse_all_but_files(os.lstat(name, dir_fd=folder), document)
                there = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                with os.fdopen(there, "rb") as file:
                    return file.read(len(document.body) + 1) == document.body
        except (FileNotFoundError, PermissionError):
            return False

    def _refuse_all_but_files(self, found: os.stat_result, document: Document) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no plain file"
            raise PublishingFailed(
                f"{self._root / document.path} is {kind}, so it is not replaced",
                hint="remove it if nobody needs it, and publish again",
            )

    def _replace(self, root: int, documents: Sequence[Document]) -> None:
        folders: list[int] = []
        staged: list[_Staged] = []
        try:
            for document in documents:
                folders.append(_make_folder_of(root, document, self._root))
                name = _parts(document)[-1]
                staged.append(_Staged(folders[-1], f".{name}.new", name))
                _write(staged[-1], document.body)
            while staged:
                first = staged[0]
                os.rename(first.waiting_as, first.name, src_dir_fd=first.folder, dst_dir_fd=first.folder)
                os.fsync(first.folder)
                staged.pop(0)
        finally:
            for left in staged:
                with suppress(OSError):
                    os.unlink(left.waiting_as, dir_fd=left.folder)
            for folder in folders:
                os.close(folder)


def _parts(document: Document) -> list[str]:
    """The names on the way to a document; none of them may lead out of the root."""
    parts = document.path.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts):
        raise PublishingFailed(f"{document.path!r} is no path below the issuer's URL", hint="this is a bug in rolecall")
    return parts


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    """The root, made where only its last part is missing. It may be a link: that is its owner's choice."""
    made = _made(root)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if made:
            os.fchmod(descriptor, _FOLDER_MODE)
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder_of(root: int, document: Document, shown_as: Path) -> Iterator[int]:
    """The folder of a document, if it is there."""
    folder = _walk(root, document, shown_as, making=False)
    try:
        yield folder
    finally:
        os.close(folder)


def _make_folder_of(root: int, document: Document, shown_as: Path) -> int:
    """The folder of a document, made where it is missing."""
    return _walk(root, document, shown_as, making=True)


def _walk(root: int, document: Document, shown_as: Path, *, making: bool) -> int:
    """Open the folder of a document, going down from the root and never through a link.

    Whoever may write to a web server's folder must not thereby choose where we write.
    """
    here = os.dup(root)
    for part in _parts(document)[:-1]:
        shown_as /= part
        try:
            made = making and _made(part, within=here)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            if made:
                os.fchmod(below, _FOLDER_MODE)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.ENOTDIR}:
                raise PublishingFailed(
                    f"{shown_as} is a symbolic link or a file, and has to be a folder",
                    hint="remove it, or let [publishing] directory name the folder that is really served",
                ) from error
            raise
        finally:
            os.close(here)
        here = below
    return here


def _made(name: str | Path, *, within: int | None = None) -> bool:
    """Make a folder where there is nothing; whether we did. The umask may have taken from its mode: see to that."""
    try:
        os.mkdir(name, dir_fd=within)
    except FileExistsError:
        return False
    if within is not None:
        os.fsync(within)
    return True


def _write(staged: _Staged, body: bytes) -> None:
    """Write and flush to the disk, so that no crash leaves an empty file under the final name."""
    with suppress(FileNotFoundError):
        os.unlink(staged.waiting_as, dir_fd=staged.folder)  # left by a publisher that was killed; the lock is ours
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(staged.waiting_as, flags, _FILE_MODE, dir_fd=staged.folder), "wb") as file:
        file.write(body)
        file.flush()
        os.fchmod(file.fileno(), _FILE_MODE)
        os.fsync(file.fileno())
