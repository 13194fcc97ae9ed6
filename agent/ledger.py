"""How does the ring of keys stand now, and how is it changed?

In memory, in its file, and with the time that has passed since it was written. The file is the truth: whoever changes
the ring reads it first, and has written it before anybody acts on the change.
"""

import asyncio
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Final

from agent.clock import Clock
from agent.errors import ConfigurationError
from agent.events import ClockWentBack, Report
from agent.ring import Ring
from agent.ring_file import Moment, RingFile, Saved

#: A wall clock that is behind what was written by more than this has been set back; less is drift.
_BACK: Final = timedelta(minutes=5)


class Ledger:
    """One ring. `boot` tells one run of the machine, and so of its steady clock, from another."""

    def __init__(self, file: RingFile | None, *, clock: Clock, boot: str, report: Report) -> None:
        """Read nothing yet. `file` None keeps the ring in memory alone, for a host whose key never changes."""
        self._file = file
        self._clock = clock
        self._boot = boot
        self._report = report
        self._saved: Saved | None = None
        self._version: object = None

    @property
    def known(self) -> bool:
        """Whether there is a ring."""
        return self._saved is not None

    @property
    def ring(self) -> Ring:
        """The ring as it stands, with the time that has passed. To be asked once there is one."""
        assert self._saved is not None
        return self._caught_up(self._saved).ring

    @property
    def looked_at(self) -> Moment | None:
        """When the issuer was last read; None if it never was."""
        return None if self._saved is None else self._saved.looked

    @property
    def is_kept(self) -> bool:
        """Whether the ring outlives us."""
        return self._file is not None

    def file(self) -> RingFile:
        """Where the ring is kept. Raises ConfigurationError where it is not."""
        if self._file is None:
            raise ConfigurationError(
                "there is nowhere to keep the ring of keys, and without it no key can follow another",
                hint='name a directory of the agent\'s own: [rotation] with state = "/var/lib/rolecall"',
            )
        return self._file

    def moment(self) -> Moment:
        """Now, by both clocks."""
        return Moment(self._clock.now(), self._boot, self._clock.steady())

    def found(self, ring: Ring) -> None:
        """Begin with this ring, where there is none yet; it is written when it first changes."""
        self._saved = Saved(ring, self.moment(), None)

    async def load(self) -> bool:
        """Take the ring as somebody else may have written it; whether that is so. Raises KeyUnavailable.

        Where somebody has taken the file away, it is put back as it is known: the next start would have none.
        """
        if self._file is None:
            return False
        version = await asyncio.to_thread(self._file.version)
        if version is None and self._version is not None:
            await self.change(lambda ring: ring)
        if version is None or version == self._version:
            return False
        saved = await asyncio.to_thread(self._file.read)
        if saved is None:
            return False
        self._notice_clock(saved)
        self._saved, self._version = saved, version
        return True

    async def change(self, step: Callable[[Ring], Ring]) -> None:
        """Take a step from the ring as it stands. Raises what the step raises, and KeyUnavailable."""
        await asyncio.to_thread(self._rewrite, lambda saved: replace(saved, ring=step(saved.ring)))

    async def look(self, began: Moment, step: Callable[[Ring, timedelta | None], Ring]) -> None:
        """Note a look at the issuer that began then; the step is told how long after the end of the look before it.

        That is no longer than the world can have seen what both looks saw. Raises KeyUnavailable.
        """

        def change(saved: Saved) -> Saved:
            return replace(saved, ring=step(saved.ring, began.after(saved.looked)), looked=saved.at)

        await asyncio.to_thread(self._rewrite, change)

    def _rewrite(self, change: Callable[[Saved], Saved]) -> None:
        assert self._saved is not None
        with nullcontext() if self._file is None else self._file.turn():
            there = None if self._file is None else self._file.read()
            saved = change(self._caught_up(there or self._saved))
            if self._file is not None:
                self._file.write(saved)
                self._version = self._file.version()
            self._saved = saved

    def _caught_up(self, saved: Saved) -> Saved:
        """The ring now: with the time that has passed since it was written, as far as one clock has counted it."""
        now = self.moment()
        return replace(saved, ring=saved.ring.passed(now.after(saved.at) or timedelta(0)), at=now)

    def _notice_clock(self, saved: Saved) -> None:
        """A clock that was set back is no reason to wait or to hurry, but somebody should know."""
        behind = saved.at.wall - self._clock.now()
        if behind > _BACK:
            self._report(ClockWentBack(behind))
