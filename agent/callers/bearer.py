"""Is the caller one that knows a token we know?

A token file holds one token a line; what stands in the file is accepted. When the file changes, the tokens
that it held before stay good for a while, because some SDKs read theirs once and keep it for life.
"""

import hashlib
import hmac
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

from agent.callers import Facts, Peer
from agent.clock import Clock
from agent.errors import AgentError, ConfigurationError
from agent.events import CallerTokensChanged, CallerTokensUnreadable, Report

#: A token as a header can carry it: 16 to 1024 visible ASCII characters.
_TOKEN = re.compile(rb"[\x21-\x7e]{16,1024}")

#: More than this is no token file: some 60 of the longest tokens.
_LARGEST = 65_536

#: How often files are looked at, in seconds; a token presented that nobody knows makes us look at once.
_LOOK = 5.0


@dataclass(slots=True)
class _File:
    """One token file, as last read. Only digests are kept, so that memory holds no token."""

    path: Path
    overlap: timedelta
    seen: tuple[int, ...] = ()
    digests: tuple[bytes, ...] = ()
    settled: bool = False  # whether `seen` has been the same twice: two writes can share one timestamp
    earlier: dict[bytes, float] = field(default_factory=dict)  # digest, good until this steady time
    trouble: str = ""


class BearerTokens:
    """Knows callers by the token in their Authorization header: the fact ("token.file", path)."""

    def __init__(self, overlaps: Mapping[Path, timedelta], *, clock: Clock, report: Report) -> None:
        """Read nothing yet. `overlaps` has each file, and how long a token stays good after it has left it."""
        self._files = [_File(path, overlap) for path, overlap in overlaps.items()]
        self._clock = clock
        self._report = report
        self._looked = -_LOOK

    def attest(self, peer: Peer) -> Facts:
        """Name every file that holds the token presented; compares with all tokens, in constant time."""
        if peer.presented is None:
            return frozenset()
        known = self._known(peer.presented)
        if not known and self._clock.steady() - self._looked >= 1.0:
            self.look()
            known = self._known(peer.presented)
        return known

    async def keep_read(self) -> NoReturn:
        """Look at the files for ever, so that a token taken out of its file is noticed."""
        while True:
            self.look()
            await self._clock.sleep(_LOOK)

    def look(self) -> None:
        """Read each file that has changed since it was last read; one that cannot be read holds nothing."""
        self._looked = self._clock.steady()
        for file in self._files:
            try:
                self._look_at(file)
            except AgentError as error:
                self._replace(file, ())
                file.seen = ()
                error.with_traceback(None)  # its frames hold what stands in the file
                if file.trouble != error.what:  # told once, not each time we look
                    file.trouble = error.what
                    self._report(CallerTokensUnreadable(str(file.path), error))

    def _known(self, presented: bytes) -> Facts:
        digest, now = hashlib.sha256(presented).digest(), self._clock.steady()
        facts = set()
        for file in self._files:
            current = [hmac.compare_digest(digest, known) for known in file.digests]
            earlier = [hmac.compare_digest(digest, known) and now < until for known, until in file.earlier.items()]
            if any(current) or any(earlier):
                facts.add(("token.file", str(file.path)))
        return frozenset(facts)

    def _look_at(self, file: _File) -> None:
        now = self._clock.steady()
        file.earlier = {digest: until for digest, until in file.earlier.items() if now < until}
        seen, content = _read(file.path, unless=file.seen if file.settled else ())
        if content is None:
            return
        self._replace(file, _digests(file.path, content))
        file.settled = seen == file.seen
        file.seen, file.trouble = seen, ""

    def _replace(self, file: _File, digests: tuple[bytes, ...]) -> None:
        gone = [digest for digest in file.digests if digest not in digests]
        file.digests = digests
        if gone:
            until = self._clock.steady() + file.overlap.total_seconds()
            file.earlier |= dict.fromkeys(gone, until)
            self._report(CallerTokensChanged(str(file.path), file.overlap))


def _read(path: Path, unless: tuple[int, ...]) -> tuple[tuple[int, ...], bytes | None]:
    """What the file is now, and its content if that is not `unless`."""
    try:
        if unless and _seen(path.stat()) == unless:  # a third of the price of opening it
            return unless, None
        with open(path, "rb", opener=_without_waiting) as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"{path} is not a file", hint="name a file that holds one token a line")
            if found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
                raise ConfigurationError(
                    f"{path} can be read or written by everybody on this machine",
                    hint=f"take that away: chmod o= {path}",
                )
            return _seen(found), opened.read(_LARGEST + 1)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be read: {error.strerror}", hint="its callers are unknown until it can be"
        ) from error


def _seen(found: os.stat_result) -> tuple[int, ...]:
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
