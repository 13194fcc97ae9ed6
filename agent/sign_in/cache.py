"""Where is a sign-in kept? In a file that the AWS CLI and the SDKs read and write as well."""

import fcntl
import hashlib
import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from agent.durable import flush_names, give_as
from agent.errors import CredentialsUnavailable, SignInNeeded
from agent.sign_in import Portal, Registration, SignIn
from agent.sign_in.members import LARGEST, read_registration, read_sign_in, spelt, spelt_registration

#: So much room is taken before a new token is asked for, in bytes.
_ROOM: Final = 16_384
_OTHERS_WRITE: Final = 0o022

#: What a file is known by: as long as this is the same, so is what is in it.
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """A sign-in as it was found: by what its file is known, and when that was written, by the clock of its disk."""

    sign_in: SignIn
    stamp: Stamp
    written_at: datetime


class Cache:
    """The files of one portal's sign-in. Everything here touches a disk, and waits for it."""

    def __init__(self, directory: Path, portal: Portal) -> None:
        """Keep them in `directory`, which is made when it is first written to.

        Their names are those that the AWS CLI gives them: digests of the session's name or the start URL, and of all
        that a registration depends on, as JSON.
        """
        self._directory = directory
        self._portal = portal
        about = {
            "tool": "botocore",
            "startUrl": portal.start_url,
            "region": portal.region,
            "scopes": list(portal.scopes),
            "session_name": portal.session or None,
        }
        self.path = directory / f"{_sha1(portal.session or portal.start_url)}.json"
        self._registration_path = directory / f"{_sha1(json.dumps(about, sort_keys=True))}.json"

    def stamp(self) -> Stamp | None:
        """By what the file is known now; None if it is not there, or cannot be looked at."""
        try:
            return _stamp(self.path.stat())
        except OSError:
            return None

    def read(self) -> Kept | None:
        """The sign-in that is kept; None if there is none. Raises SignInNeeded if it cannot be used."""
        found = self._content(self.path)
        if found is None:
            return None
        content, facts = found
        try:
            sign_in = read_sign_in(content, self._portal)
        except ValueError as error:
            raise self._unusable(f"cannot be used: {error}", f"sign in anew: {self._portal.command}") from None
        if _bare(sign_in.start_url) != _bare(self._portal.start_url) or sign_in.region != self._portal.region:
            said = f"is for another access portal, {sign_in.start_url!r}, region {sign_in.region!r}"
            raise self._unusable(said, "correct start_url, region and session of [identity_center]")
        return _kept(sign_in, facts)

    def registration(self) -> Registration | None:
        """The registration that is kept, by us or by the AWS CLI; None if there is none to be used."""
        try:
            found = self._content(self._registration_path)
            return None if found is None else read_registration(found[0])
        except (ValueError, SignInNeeded):
            return None  # another is soon made

    def keep_registration(self, registration: Registration) -> None:
        """Write it for the next time. Raises CredentialsUnavailable."""
        with self.room(self._registration_path) as room:
            room.fill(spelt_registration(registration))

    def room(self, path: Path | None = None) -> "Room":
        """Take room on the disk for a sign-in that is yet to be. Raises CredentialsUnavailable if there is none."""
        try:
            _make(self._directory)
            return Room(path or self.path)
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def lock(self) -> "Lock | None":
        """Be the only one who changes the sign-in, of all that go by this lock; None while somebody else is.

        Raises CredentialsUnavailable if there can be no lock.
        """
        try:
            _make(self._directory)
            lock = Lock(self._directory / f".{self.path.stem}.lock")
        except OSError as error:
            raise _unwritable(self._directory, error) from error
        if not lock.ours:
            lock.close()
            return None
        for left in self._directory.glob(f".{self.path.name}.*"):  # by somebody who was killed while he wrote
            with suppress(OSError):
                left.unlink()
        return lock

    def forget(self) -> None:
        """Remove the sign-in and the registration. Raises CredentialsUnavailable."""
        try:
            for path in (self.path, self._registration_path):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise _unwritable(self._directory, error) from error

    def forget_registration(self) -> None:
        """Remove the registration, so that another is made the next time."""
        with suppress(OSError):
            self._registration_path.unlink()

    def _content(self, path: Path) -> tuple[bytes, os.stat_result] | None:
        try:
            with open(path, "rb", opener=_without_waiting) as file:
                facts = os.fstat(file.fileno())
                self._judge(path, facts)
                return file.read(LARGEST), facts
        except FileNotFoundError:
            return None
        except OSError as error:
            said = f"cannot be read: {(error.strerror or '').lower()}"
            hint = f"see whose it is; who runs this has to be who signed in: {self._portal.command}"
            raise self._unusable(said, hint) from error

    def _judge(self, path: Path, facts: os.stat_result) -> None:
        """Raise SignInNeeded for a file that may say what others want."""
        if not stat.S_ISREG(facts.st_mode):
            raise self._unusable("is not an ordinary file", f"remove it, and sign in: {self._portal.command}")
        if os.geteuid() not in {0, facts.st_uid} and facts.st_uid != 0:
            said = "belongs to another user, who could put a sign-in of his own there"
            raise self._unusable(said, f"remove it, and sign in as this user: {self._portal.command}")
        if facts.st_mode & _OTHERS_WRITE:
            raise self._unusable("can be written to by others", f"close it: chmod 600 {path}")

    def _unusable(self, what: str, hint: str) -> SignInNeeded:
        return SignInNeeded(f"the sign-in that is kept in {self.path} {what}", hint=hint)


class Lock:
    """A lock on a sign-in, that of this process if `ours`."""

    def __init__(self, path: Path) -> None:
        """Try to take it. Raises OSError."""
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        self.ours = True
        try:
            give_as(self._descriptor, path.parent)
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self.ours = False
        except OSError:
            self.close()
            raise

    def close(self) -> None:
        """Give it back."""
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        """Have it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.close()


class Room:
    """A file to be, with so much of the disk as it will need."""

    def __init__(self, path: Path) -> None:
        """Take the room. Raises OSError if there is none."""
        self._path = path
        self._draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
        self._descriptor = os.open(self._draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            give_as(self._descriptor, path.parent)
            os.posix_fallocate(self._descriptor, 0, _ROOM)
        except OSError:
            self.close()
            raise

    def keep(self, sign_in: SignIn) -> Kept:
        """Make it that of a sign-in. Raises CredentialsUnavailable, and then the file is as it was."""
        return _kept(sign_in, self.fill(spelt(sign_in)))

    def fill(self, members: Mapping[str, object]) -> os.stat_result:
        """Write it, whole, and let it take its place. Raises CredentialsUnavailable, as above."""
        data = json.dumps(members).encode()
        try:
            written = os.pwrite(self._descriptor, data, 0)
            while written < len(data):
                written += os.pwrite(self._descriptor, data[written:], written)
            os.ftruncate(self._descriptor, len(data))
            os.fsync(self._descriptor)
            self._draft.replace(self._path)
            facts = os.fstat(self._descriptor)
        except OSError as error:
            raise _unwritable(self._path.parent, error) from error
        with suppress(OSError):  # the file is there; that its name is on the disk is more than others promise
            flush_names(self._path.parent)
        return facts

    def close(self) -> None:
        """Give back what was not used."""
        os.close(self._descriptor)
        with suppress(OSError):
            self._draft.unlink()

    def __enter__(self) -> Self:
        """Have it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        self.close()


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a FIFO would hold us up for ever. Not for os.fdopen, which leaves a directory open and raises."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _kept(sign_in: SignIn, facts: os.stat_result) -> Kept:
    return Kept(sign_in, _stamp(facts), datetime.fromtimestamp(facts.st_mtime, UTC))


def _stamp(facts: os.stat_result) -> Stamp:
    return facts.st_ino, facts.st_mtime_ns, facts.st_size


def _bare(start_url: str) -> str:
    """A start URL without what makes no difference: people copy it with a # at its end."""
    return start_url.rstrip("#/").lower()


def _sha1(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


def _make(directory: Path) -> None:
    """Make it and what is above it, for their owner alone: root makes them for whoever has what is above."""
    missing = [one for one in (directory, *directory.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        owner = one.parent.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.chown(one, owner.st_uid, owner.st_gid)


def _unwritable(directory: Path, error: OSError) -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"a sign-in cannot be kept in {directory}: {(error.strerror or '').lower()}",
        hint="let whoever runs this write there, and see that the disk is not full",
    )
