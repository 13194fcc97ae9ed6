"""Is the caller one that knows a token we know?

A token file holds one token a line; what stands in the file is accepted. When the file changes, the tokens
that it held before stay good for a while, because some SDKs read theirs once and keep it for life. Not so when
everybody could read or write the file: then whoever shows its tokens may be anybody.
"""

import asyncio
import contextlib
import hashlib
import hmac
import os
import re
import stat
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import NoReturn

from agent.callers import Facts, Peer
from agent.clock import Clock, within
from agent.errors import AgentError, ConfigurationError
from agent.events import CallerTokensChanged, CallerTokensReadable, CallerTokensUnreadable, Report
from agent.threads import aside

#: Calls something that may block, away from the event loop.
Apart = Callable[[Callable[[], None]], Awaitable[None]]

#: A token as a header can carry it: 16 to 1024 visible ASCII characters.
_TOKEN = re.compile(rb"[\x21-\x7e]{16,1024}")

#: More than this is no token file: some 60 of the longest tokens.
_LARGEST = 65_536

#: How often files are looked at, in seconds, and how often at most because somebody showed a token nobody knows.
_LOOK = 5.0
_LOOK_AGAIN = 1.0

#: How long a change must have stood before it counts, in seconds: a file being rewritten in place can be seen half
#: written, and 16 letters of a token would make a token.
_MOMENT = 0.25

#: From when on a file whose time stamps have not changed is taken not to have changed, in seconds: two writes can
#: share one time stamp, which is as coarse as 2 s on some file systems.
_SETTLED = 2.5

#: How long the other files wait for one that does not answer, and when that is told of, in seconds.
_PATIENCE = 1.0
_STUCK = 10.0


@dataclass(frozen=True, slots=True)
class _Reading:
    """What one look at a file found: digests, so that memory holds no token, or what is wrong with it.

    `stamp` is by what the file is known again. `exposed`: everybody may have read it, or written it.
    """

    stamp: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()
    trouble: AgentError | None = None
    exposed: bool = False

    def like(self, other: "_Reading") -> bool:
        """Whether both found the same."""
        mine, others = (each.trouble.what if each.trouble else "" for each in (self, other))
        return (self.stamp, self.digests, mine) == (other.stamp, other.digests, others)


@dataclass(slots=True, eq=False)
class _File:
    """One token file, as last read."""

    path: Path
    overlap: timedelta
    digests: tuple[bytes, ...] = ()
    earlier: dict[bytes, float] = field(default_factory=dict)  # digest, good until this steady time
    latest: _Reading | None = None
    since: float = 0.0  # the steady time at which `latest` was found first
    taken: bool = False  # whether `latest` has stood long enough to count
    trouble: str = ""  # what was told of it last
    asked: float | None = None  # the steady time at which a look at it began that has not come back

    def settled(self, now: float) -> tuple[int, ...]:
        """The stamp that need not be read again; empty if whatever there is must be."""
        known = self.latest is not None and self.taken and now - self.since >= _SETTLED
        return self.latest.stamp if known and self.latest is not None else ()


@dataclass(frozen=True, slots=True)
class _Look:
    """A look at a file, to be had: when it was asked for, and the stamp with which it need not be read."""

    file: _File
    begun: float
    unless: tuple[int, ...]


class BearerTokens:
    """Knows callers by the token in their Authorization header: the fact ("token.file", path).

    Files are read by `keep_read` alone, and never on the event loop, so that a file system that hangs holds up
    nobody: neither callers nor the other files, which are read on by another thread.
    """

    def __init__(
        self, overlaps: Mapping[Path, timedelta], *, clock: Clock, report: Report, apart: Apart = aside
    ) -> None:
        """Read nothing yet. `overlaps` has each file, and how long a token stays good after it has left it."""
        self._files = [_File(path, overlap) for path, overlap in overlaps.items()]
        self._clock = clock
        self._report = report
        self._apart = apart
        self._found: deque[tuple[_Look, _Reading | None]] = deque()  # threads append to it, the loop takes away
        self._wanted = asyncio.Event()
        self._changing = False

    def attest(self, peer: Peer) -> Facts:
        """Name every file that holds the token presented; compares with all tokens, in constant time.

        If none does, the files are looked at within a second: it may be a new one.
        """
        if peer.presented is None:
            return frozenset()
        known = self._known(peer.presented)
        if not known:
            self.look()
        return known

    async def learn(self, peer: Peer) -> None:
        """Nothing is left to find out: what is not in memory is not known."""

    def look(self) -> None:
        """Have the files looked at within a second, by `keep_read`."""
        self._wanted.set()

    async def keep_read(self) -> NoReturn:
        """Look at the files for ever, so that a token put into its file, or taken out of it, is noticed."""
        while True:
            self._wanted.clear()
            await self.read()
            if self._changing:
                await self._clock.sleep(_MOMENT)
                continue
            await self._clock.sleep(_LOOK_AGAIN)
            with contextlib.suppress(TimeoutError):
                await within(self._clock, _LOOK - _LOOK_AGAIN, self._wanted.wait())

    async def read(self) -> None:
        """Read each file that has changed since it was last read, except those whose last look has not come back.

        What is read for the first time counts at once; later, only what is found again a moment later does.
        """
        now = self._clock.steady()
        self._changing = False
        waiting: deque[_Look] = deque()
        for file in self._files:
            file.earlier = {digest: until for digest, until in file.earlier.items() if now < until}
            if file.asked is None:
                file.asked = now
                waiting.append(_Look(file, now, file.settled(now)))
        while waiting:
            looking = self._apart(partial(_look_at_all, waiting, self._found))
            try:
                await within(self._clock, _PATIENCE, looking)
            except TimeoutError:
                continue  # one of them hangs: another thread goes on with the rest
            except RuntimeError:  # no thread is to be had, so the rest are looked at next time
                for look in waiting:
                    look.file.asked = None
                break
        self._hear()

    def _known(self, presented: bytes) -> Facts:
        digest, now = hashlib.sha256(presented).digest(), self._clock.steady()
        facts = set()
        for file in self._files:
            current = [hmac.compare_digest(digest, known) for known in file.digests]
            earlier = [hmac.compare_digest(digest, known) and now < until for known, until in file.earlier.items()]
            if any(current) or any(earlier):
                facts.add(("token.file", str(file.path)))
        return frozenset(facts)

    def _hear(self) -> None:
        """Consider all that was found, and what was not: files whose last look began long ago."""
        while self._found:
            look, reading = self._found.popleft()
            look.file.asked = None
            if reading is not None:
                self._consider(look.file, reading, look.begun)
        now = self._clock.steady()
        for file in self._files:
            if file.asked is not None and now - file.asked >= _STUCK:
                self._consider(file, _hanging(file.path), now)

    def _consider(self, file: _File, reading: _Reading, begun: float) -> None:
        first = file.latest is None
        if file.latest is None or not reading.like(file.latest):
            file.latest, file.since, file.taken = reading, self._clock.steady(), False
        if file.taken:
            return
        if first or reading.exposed or begun - file.since >= _MOMENT:
            file.taken = True
            self._take(file, reading)
        else:
            self._changing = True

    def _take(self, file: _File, reading: _Reading) -> None:
        now = self._clock.steady()
        gone = [digest for digest in file.digests if digest not in reading.digests]
        file.digests = reading.digests
        file.earlier |= dict.fromkeys(gone, now + file.overlap.total_seconds())
        if reading.exposed:
            file.earlier = {}
        if reading.trouble is None:
            if file.trouble:
                self._report(CallerTokensReadable(str(file.path)))
            elif gone:
                self._report(CallerTokensChanged(str(file.path), file.overlap))
            file.trouble = ""
        elif file.trouble != reading.trouble.what:  # told once, not each time we look
            file.trouble = reading.trouble.what
            good_for = timedelta(seconds=max([0.0, *(until - now for until in file.earlier.values())]))
            self._report(CallerTokensUnreadable(str(file.path), reading.trouble, good_for))


def _look_at_all(waiting: deque[_Look], found: deque[tuple[_Look, _Reading | None]]) -> None:
    """Read what waits until nothing does; several threads may share the work. Raises nothing."""
    while True:
        try:
            look = waiting.popleft()
        except IndexError:
            return
        found.append((look, _read(look.file.path, look.unless)))


def _read(path: Path, unless: tuple[int, ...]) -> _Reading | None:
    """What stands in the file, or is wrong with it; None if its stamp is still `unless`. Raises nothing."""
    stamp: tuple[int, ...] = ()
    try:
        if unless and _stamp(path.stat()) == unless:  # a third of the price of opening it
            return None
        with open(path, "rb", opener=_without_waiting) as opened:
            found = os.fstat(opened.fileno())
            stamp = _stamp(found)
            if not stat.S_ISREG(found.st_mode):
                return _Reading(stamp, trouble=_no_file(path))
            if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                return _Reading(stamp, trouble=_open_to_all(path), exposed=True)
            return _Reading(stamp, _digests(path, opened.read(_LARGEST + 1)))
    except OSError as error:
        trouble = f"{path} cannot be read: {error.strerror}"
        return _Reading(trouble=ConfigurationError(trouble, hint="let the agent's user read it, or put it back"))
    except ConfigurationError as error:
        return _Reading(stamp, trouble=error.with_traceback(None))  # its frames hold what stands in the file


def _no_file(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path} is not a file", hint="name a file that holds one token a line")


def _open_to_all(path: Path) -> ConfigurationError:
    return ConfigurationError(
        f"{path} can be read or written by everybody on this machine",
        hint=f"put new tokens into it, since these may be known, and take that away: chmod o= {path}",
    )


def _hanging(path: Path) -> _Reading:
    error = ConfigurationError(f"{path} cannot be read: no answer for {_STUCK:.0f} s", hint="see to its file system")
    return _Reading(trouble=error)


def _stamp(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)


def _without_waiting(path: str, flags: int) -> int:
    """Open as `open` does, but do not wait for a writer if it is a named pipe."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _digests(path: Path, content: bytes) -> tuple[bytes, ...]:
    tokens = [line.strip() for line in content.splitlines() if line.strip()]
    if not tokens:
        raise ConfigurationError(f"{path} holds no token", hint="write one of 16 or more random characters into it")
    if len(content) > _LARGEST or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise ConfigurationError(
            f"{path} holds something that is not a token",
            hint="a token is 16 to 1024 visible ASCII characters with no blank between them, one a line",
        )
    return tuple(hashlib.sha256(token).digest() for token in tokens)
