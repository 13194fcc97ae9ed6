"""Is the caller one that was started as a certain systemd unit?

It shows the token that systemd gave to that unit, and to no other, when it started it: agent/outputs/unit_tokens.py.
The token holds the unit's name and a proof that we made it, so there is no list of units to keep.

Time is counted by the steady clock and only while the machine runs, and the wall clock is never asked: whatever it
leaps to, no token ends early. What passes while the machine is off makes nothing older, but nothing lives through that
either: units get new tokens when they are started.
"""

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NoReturn

from agent.callers import NOTHING_KNOWN, Facts, Peer
from agent.callers.unit_tokens.file import Moment, Saved, SecretsFile
from agent.callers.unit_tokens.generations import Generation, Generations, left
from agent.clock import Clock
from agent.errors import KeyUnavailable
from agent.events import Report, UnitTokenEnding, UnitTokensRotated, UnitTokensUnwritable
from agent.patterns import fitting
from agent.secret import Secret

#: How a token begins, so that whoever finds one knows what it is.
_BEGINNING: Final = "rolecall-unit-1"

#: The beginning, the generation, the unit's name and the proof, the last two in base64url (RFC 4648 5, unpadded).
_TOKEN: Final = re.compile(rb"rolecall-unit-1\.([0-9A-Za-z]{1,64})\.([0-9A-Za-z_-]{2,340})\.[0-9A-Za-z_-]{43}")

#: What is proven, so that no proof made of the same secret for anything else would do.
_PROVEN: Final = b"rolecall unit token 1\0"

#: How often time is counted, in seconds: so much may be lost when the machine stops.
_COUNT: Final = 3600.0

#: How long before its token ends a unit is told of, and after which time again.
_ENDING: Final = timedelta(days=7)
_AGAIN: Final = 86_400.0

#: So many units are remembered as told of; there are never as many.
_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long tokens are made of one secret, and how long they are good when they are made of the next."""

    rotate: timedelta
    overlap: timedelta


class UnitTokens:
    """Knows callers by the token of their unit: ("token.unit", unit), and ("token.unit.like", pattern) that it fits.

    It makes the tokens as well. `load` comes before everything else.
    """

    def __init__(
        self,
        file: SecretsFile,
        lifetimes: Lifetimes,
        patterns: Collection[str],
        *,
        clock: Clock,
        boot: str,
        report: Report,
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        """Read nothing yet. `boot` tells one run of the machine, and so of its steady clock, from another.

        `random` gives so many random bytes.
        """
        self._file = file
        self._lifetimes = lifetimes
        self._patterns = tuple(patterns)
        self._clock = clock
        self._boot = boot
        self._report = report
        self._random = random
        self._saved: Saved | None = None
        self._good: dict[str, tuple[Generation, float]] = {}  # by id: until which steady time
        self._told: dict[str, float] = {}  # by unit: when it was last told of
        self._trouble = ""  # what was told of it last

    def load(self) -> None:
        """Read the secrets, or make the first one. Blocks. Raises KeyUnavailable; then nothing was written over."""
        saved = self._file.read()
        if saved is None:
            saved = Saved(Generations(self._new(())), self._now())
            self._file.write(saved)
        self._take(self._caught_up(saved))

    def token(self, unit: str) -> Secret:
        """The token of the unit of this name, whoever that is: 160 visible ASCII characters, give or take."""
        assert self._saved is not None, "load() comes first"
        return Secret(_token(self._saved.generations.newest, unit).decode("ascii"))

    def attest(self, peer: Peer) -> Facts:
        """Name the unit whose token was presented; the proof is compared in constant time."""
        shown = peer.presented
        match = None if shown is None else _TOKEN.fullmatch(shown)
        if shown is None or match is None:
            return NOTHING_KNOWN
        generation, until = self._good.get(match[1].decode("ascii"), (None, 0.0))
        unit = _name(match[2])
        now = self._clock.steady()
        if generation is None or not unit or now >= until or not hmac.compare_digest(shown, _token(generation, unit)):
            return NOTHING_KNOWN
        if until != math.inf:
            self._tell_of_end(unit, until - now)
        return frozenset({("token.unit", unit), *(("token.unit.like", one) for one in fitting(self._patterns, unit))})

    async def learn(self, peer: Peer) -> None:
        """Nothing is left to find out: a token proves all there is to prove."""

    async def keep_rotated(self) -> NoReturn:
        """Count the time for ever, and make a new secret whenever one is due."""
        while True:
            await self.count()
            await self._clock.sleep(_COUNT)

    async def count(self) -> None:
        """Count the time that has passed, with all that follows from it.

        A new secret counts when it is on the disk, and not before: a token must outlive us.
        """
        assert self._saved is not None, "load() comes first"
        counted = self._caught_up(self._saved)
        self._take(counted)
        generations = counted.generations.without_ended(self._lifetimes.overlap)
        due = generations.newest.age >= self._lifetimes.rotate
        if due:
            generations = generations.followed_by(self._new([one.id for one in generations.all]))
        saved = Saved(generations, counted.at)
        try:
            await self._write(saved)
        except KeyUnavailable as error:
            if error.what != self._trouble:  # told once, not each time we try
                self._trouble = error.what
                self._report(UnitTokensUnwritable(error))
            return
        self._trouble = ""
        self._take(saved)
        if due:
            self._report(UnitTokensRotated(self._lifetimes.overlap))

    async def _write(self, saved: Saved) -> None:
        """Raises KeyUnavailable."""
        try:
            await asyncio.to_thread(self._file.write, saved)
        except RuntimeError as error:  # others may use up what threads there are on the machine
            what = f"the secrets of unit tokens in {self._file.path} cannot be written: there is no thread to be had"
            raise KeyUnavailable(what, hint="see what uses them up") from error

    def _now(self) -> Moment:
        return Moment(self._boot, self._clock.steady())

    def _caught_up(self, saved: Saved) -> Saved:
        now = self._now()
        return Saved(saved.generations.passed(now.after(saved.at)), now)

    def _new(self, others: Collection[str]) -> Generation:
        """Another generation. An id that two had would make tokens of one of them worthless."""
        while (name := self._random(4).hex()) in others:
            pass
        return Generation(name, self._random(32))

    def _take(self, saved: Saved) -> None:
        self._saved = saved
        remaining = [(one, left(one, self._lifetimes.overlap)) for one in saved.generations.all]
        self._good = {
            one.id: (one, math.inf if rest is None else saved.at.steady + rest.total_seconds())
            for one, rest in remaining
        }

    def _tell_of_end(self, unit: str, seconds: float) -> None:
        """Say once a day whose turn it is."""
        now = self._clock.steady()
        told = self._told.get(unit)
        if seconds > _ENDING.total_seconds() or (told is not None and now - told < _AGAIN):
            return
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[unit] = now
        self._report(UnitTokenEnding(unit, self._clock.now() + timedelta(seconds=seconds)))


def _token(generation: Generation, unit: str) -> bytes:
    name = unit.encode("utf-8")
    proof = hmac.digest(generation.secret, _PROVEN + name, hashlib.sha256)
    return b".".join((_BEGINNING.encode("ascii"), generation.id.encode("ascii"), _written(name), _written(proof)))


def _written(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def _name(written: bytes) -> str:
    """The unit's name; empty if it is none. A name has several spellings of which only one is ever made: see above."""
    with contextlib.suppress(binascii.Error, UnicodeDecodeError):
        return base64.urlsafe_b64decode(written + b"=" * (-len(written) % 4)).decode("utf-8")
    return ""
