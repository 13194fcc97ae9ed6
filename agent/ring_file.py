"""Where does the ring of keys outlive us?

In one small file, replaced whole, so that a process that is killed at any moment leaves the ring before its step or
the ring after it. The daemon and the commands take turns at changing it, by a lock that ends with the process; and
one daemon alone works by it, by another.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

from agent.clock import instant, parse_instant
from agent.durable import flush_names, give_as, replace_private
from agent.errors import KeyUnavailable
from agent.jose import thumbprint
from agent.keys import Algorithm, PublicKey, kind_of
from agent.ring import USUAL_TOKEN, Forgotten, Held, Member, Ring, State

T = TypeVar("T")

NAME: Final = "ring.json"
_VERSION: Final = 1
#: A ring has a handful of keys; more than this is no ring of ours.
_LARGEST: Final = 1_000_000
#: How long to wait for one's turn, and between two tries, in seconds: a turn takes milliseconds.
_PATIENCE: Final = 5.0
_PAUSE: Final = 0.02
#: More than any clock has counted, in seconds: a thousand years.
_LONGEST: Final = 1000 * 366 * 86_400.0


@dataclass(frozen=True, slots=True)
class Moment:
    """When a ring was written: by the wall clock, and by the steady clock of one boot of the machine (seconds)."""

    wall: datetime
    boot: str
    steady: float

    def after(self, before: "Moment | None") -> timedelta | None:
        """The time since an earlier moment, as far as one clock has counted it; None if none has."""
        if before is None or before.boot != self.boot:
            return None
        return timedelta(seconds=max(self.steady - before.steady, 0.0))


@dataclass(frozen=True, slots=True)
class Saved:
    """A ring as it was written."""

    ring: Ring
    at: Moment
    #: When the issuer was last looked at; None if it never was.
    looked: Moment | None


class RingFile:
    """The file of a host's ring, in a directory that is the agent's own."""

    def __init__(self, directory: Path, *, patience: float = _PATIENCE) -> None:
        """Touch nothing yet; wait `patience` seconds at most for others who change the ring."""
        self.path = directory / NAME
        self._directory = directory
        self._patience = patience

    def read(self) -> Saved | None:
        """The ring as it stands; None if there is none yet. Raises KeyUnavailable."""
        try:
            # NOFOLLOW: a link that leads nowhere would look as if there had never been a ring. NONBLOCK: as may a pipe.
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            with open(self.path, "rb", opener=lambda name, _: os.open(name, flags)) as file:
                text = file.read(_LARGEST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error
        try:
            return _saved(json.loads(text))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise KeyUnavailable(
                f"the ring of keys in {self.path} is damaged, so nobody can tell which key may sign",
                hint="restore it from a backup; without one, move it away and name the key that signs by key.file",
            ) from error

    def write(self, saved: Saved) -> None:
        """Replace what is there, whole and on the disk. Raises KeyUnavailable."""
        try:
            replace_private(self.path, json.dumps(_written(saved), indent=1).encode())
            flush_names(self._directory)
        except OSError as error:
            raise self._failed("written", error) from error

    def may_hold(self, kid: str) -> bool:
        """Whether the ring on the disk may have this key, though writing it failed: at its very end, say."""
        try:
            there = self.read()
        except KeyUnavailable:
            return True
        return there is not None and kid in {key.kid for key in there.ring.shown}

    def version(self) -> object:
        """Something that is another whenever another ring has been written; None if there is none.

        Raises KeyUnavailable where that cannot be told: a ring that nobody can see is not one that was never there.
        """
        try:
            facts = self.path.lstat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._failed("read", error) from error
        return facts.st_ino, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_size

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only one that changes the ring, while this lasts; others wait. Blocks. Raises KeyUnavailable.

        Nobody waits for ever: a command that was stopped with Ctrl-Z must not keep the agent from ending.
        """
        with ExitStack() as stack:
            for _ in range(max(1, round(self._patience / _PAUSE))):
                with suppress(BlockingIOError):
                    stack.enter_context(self._locked(".ring.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
                    break
                time.sleep(_PAUSE)
            else:
                lock = self._directory / ".ring.lock"
                raise KeyUnavailable(
                    f"another process has held the lock on the ring of keys, {lock}, for {self._patience:g} s",
                    hint=f"see which one, and end it: fuser -v {lock}",
                )
            yield

    @contextmanager
    def ours(self) -> Iterator[None]:
        """Be the only agent that works by this ring. Raises KeyUnavailable, with the process id of another one."""
        with ExitStack() as stack:
            try:
                with self.turn():  # or whoever only asks whether it is in use would be taken for another agent
                    descriptor = stack.enter_context(self._locked(".agent.lock", fcntl.LOCK_EX | fcntl.LOCK_NB))
            except BlockingIOError as error:
                raise KeyUnavailable(
                    f"another agent{self._other()} works with the keys in {self._directory}",
                    hint="stop one of them, or give each its own rotation.state and its own keys",
                ) from error
            with suppress(OSError):  # a full disk: the lock holds without our number in it
                os.truncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield

    def in_use(self) -> bool:
        """Whether an agent works by this ring now, as far as whoever asks may see it."""
        with (
            suppress(BlockingIOError, KeyUnavailable),
            self.turn(),
            self._locked(".agent.lock", fcntl.LOCK_SH | fcntl.LOCK_NB),
        ):
            return False
        return (self._directory / ".agent.lock").exists()

    def _other(self) -> str:
        with suppress(OSError, ValueError):
            return f" (process {int((self._directory / '.agent.lock').read_text())})"
        return ""

    @contextmanager
    def _locked(self, name: str, how: int) -> Iterator[int]:
        """Hold a lock. Raises BlockingIOError where it is not to wait, KeyUnavailable."""
        try:
            descriptor = os.open(self._directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise self._failed("written", error) from error
        try:
            try:
                give_as(descriptor, self._directory)
                fcntl.flock(descriptor, how)
            except BlockingIOError:
                raise
            except OSError as error:
                raise self._failed("locked", error) from error
            yield descriptor
        finally:
            os.close(descriptor)

    def _failed(self, done: str, error: OSError) -> KeyUnavailable:
        hint = "give the directory to the user that the agent runs as, or name another one in rotation.state"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "make room on that file system; the ring before this step is still there"
        if error.errno == errno.ENOENT:
            hint = f"make the directory, for the user that the agent runs as alone: install -d -m 700 {self._directory}"
        return KeyUnavailable(
            f"the ring of keys in {self._directory} cannot be {done}: {(error.strerror or str(error)).lower()}",
            hint=hint,
        )


# --- as JSON


def _written(saved: Saved) -> dict[str, object]:
    ring = saved.ring
    return {
        "version": _VERSION,
        "written": _moment(saved.at),
        "looked": None if saved.looked is None else _moment(saved.looked),
        "ordered": ring.ordered,
        "keys": [
            {
                "kid": member.public.kid,
                "algorithm": member.public.algorithm,
                "jwk": dict(member.public.jwk),
                "held": _held(member.held),
                "state": member.state,
                "since": instant(member.since),
                "counted": member.counted.total_seconds(),
                "seen": member.seen,
                "longest": member.longest.total_seconds(),
            }
            for member in ring.members
        ],
        "forgotten": [
            {"kid": key.kid, "held": None if key.held is None else _held(key.held), "shown": key.shown}
            for key in ring.forgotten
        ],
    }


def _moment(moment: Moment) -> dict[str, object]:
    return {"at": instant(moment.wall), "boot": moment.boot, "steady": moment.steady}


def _held(held: Held) -> dict[str, object]:
    return {"custodian": held.custodian, "name": held.name, "ours": held.ours}


def _saved(value: Mapping[str, Any]) -> Saved:  # JSON: whatever is wrong with it is raised by taking it apart
    if value["version"] != _VERSION:
        raise ValueError("a ring of another version")
    ordered = value["ordered"]
    if ordered not in (None, "rotate", "emergency"):
        raise ValueError("an order that is none")
    members = tuple(_member(key) for key in value["keys"])
    forgotten = tuple(
        Forgotten(
            _is(str, key["kid"]), None if key["held"] is None else _read_held(key["held"]), _is(bool, key["shown"])
        )
        for key in value["forgotten"]
    )
    looked = value["looked"]
    return Saved(
        Ring(members, forgotten, ordered),
        _read_moment(value["written"]),
        None if looked is None else _read_moment(looked),
    )


def _member(key: Mapping[str, Any]) -> Member:
    jwk = {_is(str, name): _is(str, value) for name, value in key["jwk"].items()}
    public = PublicKey(_is(str, key["kid"]), key["algorithm"], jwk)
    if public.kid != thumbprint(jwk) or not kind_of(public):
        raise ValueError("a key under the name of another")
    if public.algorithm not in get_args(Algorithm) or key["state"] not in get_args(State):
        raise ValueError("an algorithm or a state that is none")
    curve = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}.get(public.algorithm)
    if jwk.get("crv") != curve:
        raise ValueError("an algorithm of another kind of key")
    return Member(
        public,
        _read_held(key["held"]),
        key["state"],
        parse_instant(key["since"]),
        timedelta(seconds=_span(key["counted"])),
        _is(bool, key["seen"]),
        # A ring from before tokens could be longer does not have it.
        timedelta(seconds=_span(key.get("longest", USUAL_TOKEN.total_seconds()))),
    )


def _read_held(held: Mapping[str, Any]) -> Held:
    return Held(_is(str, held["custodian"]), _is(str, held["name"]), _is(bool, held["ours"]))


def _read_moment(moment: Mapping[str, Any]) -> Moment:
    return Moment(parse_instant(moment["at"]), _is(str, moment["boot"]), _span(moment["steady"]))


def _span(seconds: object) -> float:
    """So many seconds; what is no number that a clock could have counted is damage."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < _LONGEST:
        raise ValueError("a time that no clock has counted")
    return float(seconds)


def _is(kind: type[T], value: object) -> T:
    if not isinstance(value, kind):
        raise TypeError("a value of another kind")
    return value
