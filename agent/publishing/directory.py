"""How do the issuer's documents get into a folder that a web server shows?

Every document is written in full beside its place and then renamed into it, so a reader sees the old file or the
new one and never a part, whatever happens to us meanwhile. All are written before the first is renamed: a full disk
changes nothing. One publisher works at a time, by a lock on the folder that ends with the process, and adds its keys to
those it finds there. Between machines that share the folder over NFS the lock does not count: two that publish in the
same moment may undo each other, until the one whose keys are missing publishes again.
"""

import asyncio
import errno
import fcntl
import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from agent.errors import PublishingFailed
from agent.publishing import Document, Jwk, Placed
from agent.publishing.discovery import JWKS_PATH, documents, merged

#: A web server runs as somebody else and must be able to read; nothing here is secret.
_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755

_PAUSE: Final = timedelta(milliseconds=20)

#: The most that is read of a file, in bytes: 200 keys with certificates come to less than 2 MB.
_LARGEST: Final = 8 << 20

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
        issuer: the issuer's URL exactly as the tokens' `iss` has it.
        max_age: how long readers are to hold on to a document; a folder holds no headers, so it is the web server
            that has to say so.
        patience: how long to wait for another publisher to finish.
    """

    def __init__(
        self, root: Path, issuer: str, *, max_age: timedelta, patience: timedelta = timedelta(seconds=10)
    ) -> None:
        self._root = root
        self._issuer = issuer
        self._max_age = max_age
        self._patience = patience

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        """Put our keys among those in the folder, and take those withdrawn away; a file that is right is not touched.

        Raises PublishingFailed. What was there before is then still there, unless it is a rename that failed.
        """
        return await asyncio.to_thread(self._publish, tuple(shown), frozenset(withdrawn))

    def _publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        try:
            with _opened(self._root) as root:
                self._take_turn(root)
                keys = self._merged(self._found(root, JWKS_PATH), shown, withdrawn)
                placed = [self._to_place(root, one) for one in documents(self._issuer, keys, max_age=self._max_age)]
                self._replace(root, [one.document for one in placed if one.state != "unchanged"])
                return placed
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise PublishingFailed(
                f"the issuer's documents cannot be written to {self._root}: {reason}",
                hint=_HINTS.get(error.errno or 0, "see to that folder; what was published before is still in place"),
            ) from error

    def _merged(self, there: bytes | None, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Jwk]:
        try:
            return merged(there, shown, withdrawn)
        except PublishingFailed as error:
            raise PublishingFailed(f"{self._root / JWKS_PATH} stays as it is: {error.what}", hint=error.hint) from error

    def _to_place(self, root: int, document: Document) -> Placed:
        """What is to become of a document. One that we may not read, but may replace, counts as changed."""
        where = str(self._root / document.path)
        try:
            there = self._found(root, document.path)
        except PermissionError:
            there = b""
        if there is None:
            return Placed(document, "new", where)
        return Placed(document, "unchanged" if there == document.body else "changed", where)

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

    def _found(self, root: int, path: str) -> bytes | None:
        """What the file there says; None if there is none. Refuses to go on where there is no plain file."""
        try:
            with _folder_of(root, path, self._root) as folder:
                name = path.rpartition("/")[2]
                self._refuse_all_but_files(os.lstat(name, dir_fd=folder), path)
                there = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
                with os.fdopen(there, "rb") as file:
                    return file.read(_LARGEST)
        except FileNotFoundError:
            return None

    def _refuse_all_but_files(self, found: os.stat_result, path: str) -> None:
        if not stat.S_ISREG(found.st_mode):
            kind = "a symbolic link" if stat.S_ISLNK(found.st_mode) else "no plain file"
            raise PublishingFailed(
                f"{self._root / path} is {kind}, so it is not replaced",
                hint="remove it if nobody needs it, and publish again",
            )

    def _replace(self, root: int, documents: Sequence[Document]) -> None:
        folders: list[int] = []
        staged: list[_Staged] = []
        try:
            for document in documents:
                folders.append(_walk(root, document.path, self._root, making=True))
                name = document.path.rpartition("/")[2]
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


@contextmanager
def _opened(root: Path) -> Iterator[int]:
    """The root, made where only its last part is missing. It may be a link: that is its owner's choice."""
    made = _made(root)
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if made:
            _open_to_all(descriptor, root.parent.stat())
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _folder_of(root: int, path: str, shown_as: Path) -> Iterator[int]:
    """The folder of a document, if it is there."""
    folder = _walk(root, path, shown_as, making=False)
    try:
        yield folder
    finally:
        os.close(folder)


def _walk(root: int, path: str, shown_as: Path, *, making: bool) -> int:
    """Open the folder of a document, going down from the root and never through a link.

    Whoever may write to a web server's folder must not thereby choose where we write.
    """
    here = os.dup(root)
    for part in path.split("/")[:-1]:
        shown_as /= part
        try:
            made = making and _made(part, within=here)
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
            if made:
                _open_to_all(below, os.fstat(here))
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


def _open_to_all(folder: int, above: os.stat_result) -> None:
    """Let everybody read a folder that we have made, and whose is above write there: root publishes by hand, too."""
    os.fchmod(folder, _FOLDER_MODE)
    if os.geteuid() == 0:
        os.fchown(folder, above.st_uid, above.st_gid)


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
