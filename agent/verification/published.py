"""What are the keys of an issuer, as it publishes them?

They are kept, and read again before they are too old. A key that is not among them may be new: then they are read again
at once, but only so often, whoever asks. While the issuer cannot be read, those that are held go on being used for a
day: an issuer that is away for an hour takes no service with it.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, NoReturn, Protocol

from agent.clock import Clock, within
from agent.errors import IssuerUnreadable
from agent.events import Report
from agent.events.verifying import IssuerKeysFetched, IssuerKeysStuck
from agent.verification import Keys, Standing
from agent.verification.key_sets import read

#: The longest document that is read, in bytes.
LONGEST: Final = 256 * 1024

#: How long keys are kept that come without a word on it, and the bounds of what is heeded. Seconds.
_USUAL, _LEAST, _MOST = 3600.0, 300.0, 86_400.0
#: For how long keys that should have been read again are used while they cannot be. Seconds.
_STALE: Final = 86_400.0
#: When to try again what failed, if nobody asks: soon, and then at last every so many seconds.
_RETRY, _RETRY_MOST = 15.0, 300.0
#: How often keys are read because somebody asked for one that is not there: so many at once, then one each 10 s.
_BURST, _EACH = 5.0, 10.0
#: How many may wait for one reading.
_WAITING: Final = 200
#: How often it is told that they still cannot be read, in seconds.
_AGAIN: Final = 900.0

_MAX_AGE: Final = re.compile(r'(?:^|[\s,])max-age="?([0-9]{1,9})"?(?=$|[\s,])')
_NOT_KEPT: Final = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?=$|[\s,=])")


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document as it came: its body, its Cache-Control, and its Age in seconds, 0 if it has none."""

    body: bytes = field(repr=False)  # somebody may show a private key
    cache_control: str = ""
    age: int = 0


class Web(Protocol):
    """Where documents come from."""

    async def get(self, url: str, longest: int) -> Fetched:
        """Read one document of at most so many bytes, in a few seconds. Raises IssuerUnreadable."""
        ...


@dataclass(frozen=True, slots=True)
class _Held:
    """Keys by kid, and the steady times at which they should be read again, and must not be used any more."""

    keys: Mapping[str, Keys] = field(repr=False)
    due: float
    over: float


_NONE: Final[Keys] = {}


class PublishedKeys:
    """The keys of one issuer, found by its discovery document, or at `jwks_url`. Nothing is read before it is wanted.

    `keep_fresh` is to run where they are used for long; without it, they are read when they are asked for.
    """

    def __init__(self, issuer: str, web: Web, *, clock: Clock, report: Report, jwks_url: str | None = None) -> None:
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._web = web
        self._clock = clock
        self._report = report
        self._held: _Held | None = None
        self._failure = (f"the keys of {issuer} have not been read yet", "wait a moment")
        self._failures = 0
        self._told: float | None = None
        self._reading = asyncio.Lock()
        self._tried = asyncio.Event()
        self._hurry = asyncio.Event()
        self._readings = 0
        self._waiting = 0
        self._left = _BURST
        self._filled = clock.steady()

    def known(self, kid: str) -> Keys | None:
        """The keys of that name; none if it is not worth asking the issuer; None: one must look_up."""
        now = self._clock.steady()
        held = self._held
        if held is None or now >= held.over:
            return None
        found = held.keys.get(kid)
        if found is not None:
            return found
        return None if self._reading.locked() or self._budget(now) >= 1 else _NONE

    async def look_up(self, kid: str) -> Keys:
        """The keys of that name, read again if that may be. Raises IssuerUnreadable if there are none at all."""
        if self._waiting >= _WAITING:
            raise IssuerUnreadable(f"too many wait for the keys of {self._issuer}", hint="try again in some seconds")
        self._waiting += 1
        before = self._readings
        try:
            async with self._reading:
                if self._readings == before and self._budget(self._clock.steady()) >= 1:
                    self._left -= 1
                    await self._read_again()
        finally:
            self._waiting -= 1
        if self._held is None or self._clock.steady() >= self._held.over:
            what, hint = self._failure
            raise IssuerUnreadable(what, hint=hint)
        return self._held.keys.get(kid, _NONE)

    def standing(self) -> Standing:
        """How it stands with what is held, and with the latest reading."""
        held = self._held
        keys = held.keys if held is not None and self._clock.steady() < held.over else {}
        algorithms = frozenset(name for by_algorithm in keys.values() for name in by_algorithm)
        problem, hint = self._failure if self._failures else ("", "")
        return Standing(len(keys), algorithms, problem, hint)

    async def tried(self) -> None:
        """Return when they have been read for the first time, or could not be."""
        await self._tried.wait()

    async def keep_fresh(self) -> NoReturn:
        """Read the keys before they are too old, for ever. What fails is reported, and tried again."""
        while True:
            async with self._reading:
                if self._held is None or self._failures or self._clock.steady() >= self._held.due:
                    await self._read_again()
            with suppress(TimeoutError):
                await within(self._clock, self._pause(), self._hurry.wait())
            self._hurry.clear()

    def retry_now(self) -> None:
        """Read the keys again now, if that has failed: somebody has mended it, and says so."""
        if self._failures:
            self._hurry.set()

    def _pause(self) -> float:
        """Until the next reading is due, in seconds."""
        if self._failures:
            return min(_RETRY * 2.0 ** min(self._failures - 1, 10), _RETRY_MOST)
        assert self._held is not None  # it did not fail
        return max(self._held.due - self._clock.steady(), 1.0)

    def _budget(self, now: float) -> float:
        """How many readings may be made because somebody asks."""
        self._left = min(_BURST, self._left + (now - self._filled) / _EACH)
        self._filled = now
        return self._left

    async def _read_again(self) -> None:
        """Read the keys, by the one whose turn it is. Raises nothing: what fails is kept, for whoever wants a key.

        Somebody who goes away in the middle has read nothing; then the next in the queue does.
        """
        try:
            keys, fresh_for = await self._fetched()
        except IssuerUnreadable as error:
            self._readings += 1
            self._failures += 1
            self._failure = (error.what, error.hint)
            self._tell(error)
        else:
            self._readings += 1
            now = self._clock.steady()
            before = self._held.keys if self._held is not None else {}
            self._held = _Held(keys, now + fresh_for, now + fresh_for + _STALE)
            self._failures, self._told = 0, None
            came, went = sorted(keys.keys() - before.keys()), sorted(before.keys() - keys.keys())
            span = timedelta(seconds=fresh_for)
            self._report(IssuerKeysFetched(self._issuer, len(keys), tuple(came), tuple(went), span))
        self._tried.set()

    async def _fetched(self) -> tuple[Mapping[str, Keys], float]:
        """The keys, and for how many seconds they are fresh. Raises IssuerUnreadable."""
        url = self._jwks_url or await self._discovered()
        fetched = await self._web.get(url, LONGEST)
        return read(_json(fetched.body, url)), _fresh_for(fetched)

    async def _discovered(self) -> str:
        """Where the issuer says that its keys are (OpenID Connect Discovery 1.0 §4). Raises IssuerUnreadable."""
        url = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        document = _json((await self._web.get(url, LONGEST)).body, url)
        stated = document.get("issuer") if isinstance(document, Mapping) else None
        if not isinstance(document, Mapping) or stated != self._issuer:
            raise IssuerUnreadable(
                f"{url} is not the discovery document of that issuer, by its own word",
                hint="write the issuer as it calls itself, a slash at the end included; or say where its keys are: "
                "jwks_url",
            )
        found = document.get("jwks_uri")
        if not isinstance(found, str) or not _as_safe(found, url):
            raise IssuerUnreadable(
                f"{url} names no https address of a key set", hint="say where its keys are by jwks_url"
            )
        return found

    def _tell(self, error: IssuerUnreadable) -> None:
        """Tell that the keys cannot be read: when it begins, and when it has lasted."""
        now = self._clock.steady()
        if self._told is not None and now - self._told < _AGAIN:
            return
        self._told = now
        left = self._held.over - now if self._held is not None else 0.0
        self._report(IssuerKeysStuck(self._issuer, error, timedelta(seconds=left) if left > 0 else None))


def _json(body: bytes, url: str) -> object:
    """What a document says. Raises IssuerUnreadable; never shows it."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise IssuerUnreadable(f"what is at {url} is no JSON", hint="see what it is that this address shows") from None


def _as_safe(url: str, asked: str) -> bool:
    """Whether an address that a document names is of https; of http only where that is how the document came."""
    written = url.isascii() and url.isprintable()
    return written and url.startswith(("https://", "http://") if asked.startswith("http://") else "https://")


def _fresh_for(fetched: Fetched) -> float:
    """For how many seconds a document may be kept (RFC 9111 §4.2), within our bounds."""
    said = fetched.cache_control.lower()
    age = _MAX_AGE.search(said)
    if _NOT_KEPT.search(said):
        return _LEAST
    return min(max(int(age[1]) - fetched.age, _LEAST), _MOST) if age else _USUAL
