"""Where does our identity token come from? From a file that somebody else keeps fresh.

A kubelet projects one, for instance, and replaces it at four fifths of its life; so the file is read anew for every
token. Unlike a private key it may be readable by others: the kubelet itself writes 0644 unless a pod names an
fsGroup, the token lives for minutes, and refusing it would only make this useless.

Whether a token has expired is for the clock of STS to say, not for ours: until STS has been heard, any token is shown
to it. It refuses an old one, and its refusal tells the time; a host that judged by a clock of its own which is fast
would never ask, and so never learn.
"""

import asyncio
import math
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

from agent import jose
from agent.clock import RemoteClock, instant
from agent.errors import TokenUnavailable
from agent.secret import Secret
from agent.threads import aside
from agent.tokens import Token

_LONGEST_TOKEN = 20_000  # characters, STS AssumeRoleWithWebIdentity
_LARGEST_FILE = _LONGEST_TOKEN + 1_000  # bytes; room for blanks around it
_YEAR_10000 = 253_402_300_800  # seconds; the end of time, as datetime sees it


class TokenFile:
    """The token that is in a file now."""

    def __init__(self, path: Path, clock: RemoteClock) -> None:
        """Read `path` each time; `clock` tells whether what is there has expired, once it has heard STS."""
        self._path = path
        self._clock = clock
        self._look: asyncio.Future[Secret] | None = None

    async def token(self) -> Token:
        """Give what the file holds, without the newline that STS would stumble over. Raises TokenUnavailable."""
        value = await self._value()
        expires_at = self._expiry(value)
        if self._clock.offset is not None and expires_at <= self._clock.now():
            raise self._unavailable(
                f"expired at {instant(expires_at)}", "see why whoever writes this file does not replace it"
            )
        return Token(value, expires_at)

    async def _value(self) -> Secret:
        """What the file holds; one look at a time, so that where it hangs we wait in one thread, not in ever more."""
        if self._look is None:
            self._look = asyncio.ensure_future(aside(self._read))
            self._look.add_done_callback(self._looked)
        try:
            return await asyncio.shield(self._look)
        except RuntimeError as error:  # `aside`: the system allows no more threads
            raise self._unavailable("cannot be read: there is no thread to be had", "see what uses them up") from error

    def _looked(self, look: "asyncio.Future[Secret]") -> None:
        self._look = None
        if not look.cancelled():
            look.exception()  # somebody may have waited for it, or all have given up: either is well

    def _read(self) -> Secret:
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)  # a FIFO would hold us up for ever
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise self._unavailable("is not an ordinary file", "correct the path")
                data = os.read(descriptor, _LARGEST_FILE + 1)
            finally:
                os.close(descriptor)
        except FileNotFoundError as error:
            raise self._unavailable("does not exist", "correct the path, or see that whoever writes it runs") from error
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            reason = error.strerror if isinstance(error, OSError) else "no such path can be"
            raise self._unavailable(
                f"cannot be read: {reason}", "give the agent's user the right to read it and its directory"
            ) from error
        value = Secret(data.decode("latin-1").strip())
        if not value:
            raise self._unavailable("is empty", "see that whoever writes it does so, best by renaming")
        if len(value.reveal()) > _LONGEST_TOKEN:
            raise self._unavailable(
                f"is longer than {_LONGEST_TOKEN} characters, which STS takes", "see what writes this file"
            )
        return value

    def _expiry(self, value: Secret) -> datetime:
        try:
            _, claims = jose.unverified(value.reveal())
        except ValueError as error:
            raise self._unavailable(f"is no signed JWT: {error}", "see what writes this file") from error
        expiry = claims.get("exp")
        # RFC 7519 §2, NumericDate: a fraction is allowed; Python counts True as a number and JSON as none.
        if isinstance(expiry, bool) or not isinstance(expiry, int | float) or not 0 <= expiry < _YEAR_10000:
            raise self._unavailable("has no exp claim that is a date", "see what writes this file")
        return datetime.fromtimestamp(math.floor(expiry), UTC)

    def _unavailable(self, what: str, hint: str) -> TokenUnavailable:
        return TokenUnavailable(f"the identity token in {self._path} {what}", hint=hint)
