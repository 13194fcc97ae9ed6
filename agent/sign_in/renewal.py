"""How does a sign-in last? Its access token is renewed, by us or by any other program that reads the same file.

The file is the truth: it is read each time, and what another program has put there is used. A refresh token may be
good for one use, so only one renews at a time, there is room for the answer on the disk before the question is asked,
and whoever is told to stop in between writes the answer first.
"""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from agent.clock import Clock
from agent.errors import AgentError, CredentialsUnavailable, SignInNeeded
from agent.events import RefreshTokenUnsaved, Report
from agent.secret import Secret
from agent.sign_in import SOURCE, Center, Portal, SignIn
from agent.sign_in.answers import needed, passes, refusal, sign_in_of, unavailable
from agent.sign_in.cache import Cache, Kept, Room
from agent.threads import aside

#: An access token is renewed when it has less than this left, as by the AWS CLI and the SDKs (botocore, tokens.py).
EARLY: Final = timedelta(minutes=15)
#: And tried for at most once in so long, in seconds.
PACE: Final = 60.0
#: How long to wait for another of our processes that is renewing, in seconds; it takes one request.
_TURN: Final = 20.0
_LOOK: Final = 0.1
#: How long a stop may be held up to write down what has just been given, in seconds.
_LAST_WORDS: Final = 10.0


class Renewal:
    """The access token of a portal's sign-in, kept good as long as that can be done without a person."""

    def __init__(self, portal: Portal, cache: Cache, center: Center, clock: Clock, report: Report) -> None:
        """Read nothing yet. `clock` is this machine's: by that the times in the file are written."""
        self._portal = portal
        self._cache = cache
        self._center = center
        self._clock = clock
        self._report = report
        self._one = asyncio.Lock()
        self._look: asyncio.Future[Kept | None] | None = None
        self._tried_at: float | None = None
        self._problem: AgentError | None = None
        self._spent: Secret | None = None  # a refresh token that is good no longer
        self._unwritten: tuple[Secret, SignIn] | None = None  # the access token that it follows, and what the disk lost

    async def kept(self) -> Kept | None:
        """The sign-in as it is in its file now; None if there is none. Raises SignInNeeded if it cannot be used."""
        found = await self._found()
        if found is None:
            return None
        if self._unwritten is not None and found.sign_in.access_token == self._unwritten[0]:
            return await self._written(found)
        if self._spent is not None and found.sign_in.refresh_token == self._spent:
            return Kept(replace(found.sign_in, refresh_token=None), found.stamp, found.written_at)
        return found

    async def _found(self) -> Kept | None:
        """What the file says; one look at a time, so that where it hangs we wait in one thread, not in ever more."""
        if self._look is None:
            self._look = asyncio.ensure_future(aside(self._cache.read))
            self._look.add_done_callback(self._looked)
        try:
            return await asyncio.shield(self._look)
        except RuntimeError as error:
            raise CredentialsUnavailable("there is no thread to be had", hint="see what uses them up") from error

    def _looked(self, look: "asyncio.Future[Kept | None]") -> None:
        self._look = None
        if not look.cancelled():
            look.exception()  # somebody may have waited for it, or all have given up: either is well

    async def token(self) -> Secret:
        """An access token to ask the portal with; renewed first if it is due. The portal is the judge of it.

        Raises SignInNeeded if nobody has signed in, or the sign-in is over, and CredentialsUnavailable.
        """
        sign_in, now = await self._current(), self._clock.now()
        if sign_in.expires_at - now >= EARLY or not sign_in.is_renewable(now):
            return sign_in.access_token
        async with self._one:
            return (await self._renewed(sign_in.access_token, hurry=False)).access_token

    async def another(self, refused: Secret) -> Secret:
        """Another one, since the portal has refused this. Raises as `token`."""
        async with self._one:
            sign_in = await self._current()
            if sign_in.access_token == refused:
                sign_in = await self._renewed(refused, hurry=True)
        return sign_in.access_token

    def start_afresh(self) -> None:
        """Forget what failed: somebody has signed in."""
        self._tried_at = self._problem = None

    async def _current(self) -> SignIn:
        found = await self.kept()
        if found is None:
            raise needed(self._portal, "nobody has signed in")
        return found.sign_in

    async def _written(self, found: Kept) -> Kept:
        """What could not be written when it came, written now; or else as it is remembered."""
        assert self._unwritten is not None
        _, sign_in = self._unwritten
        try:
            with await asyncio.to_thread(self._cache.room) as room:
                kept = await asyncio.to_thread(room.keep, sign_in)
        except CredentialsUnavailable:
            return Kept(sign_in, found.stamp, found.written_at)
        self._unwritten = None
        return kept

    async def _renewed(self, old: Secret, *, hurry: bool) -> SignIn:
        """The sign-in with another access token than `old`; with that, if another is not to be had and it may be good.

        `hurry` if it is known to be good no longer. Raises SignInNeeded, CredentialsUnavailable.
        """
        sign_in, now = await self._current(), self._clock.now()
        if sign_in.access_token != old:
            return sign_in
        if not sign_in.is_renewable(now):
            raise needed(self._portal, "the sign-in is over")
        steady = self._clock.steady()
        if self._tried_at is None or steady - self._tried_at >= PACE:
            self._tried_at, self._problem = steady, None
            try:
                return await _to_its_end(self._in_turn(old))
            except AgentError as error:
                self._problem = error
            except RuntimeError:
                self._problem = CredentialsUnavailable("there is no thread to be had", hint="see what uses them up")
        if hurry or sign_in.expires_at <= now:
            raise self._why_not(PACE - (steady - self._tried_at))
        return sign_in

    def _why_not(self, again_in: float) -> AgentError:
        if self._problem is not None:
            return type(self._problem)(self._problem.what, hint=self._problem.hint)
        return CredentialsUnavailable(
            "IAM Identity Center does not take the access token that it has just given",
            hint=f"another is asked for in {again_in:.0f} s",
        )

    async def _in_turn(self, old: Secret) -> SignIn:
        """Renew while no other process of ours does, unless somebody has meanwhile."""
        until = self._clock.steady() + _TURN
        while (lock := await asyncio.to_thread(self._cache.lock)) is None:
            if self._clock.steady() >= until:
                what = "another process has been at the sign-in for too long"
                raise CredentialsUnavailable(
                    what, hint=f"see which one it is: fuser -v {self._cache.path.parent}/.*.lock"
                )
            await self._clock.sleep(_LOOK)
        with lock:
            sign_in = await self._current()
            return sign_in if sign_in.access_token != old else await self._ask(sign_in)

    async def _ask(self, sign_in: SignIn) -> SignIn:
        refresh, registration = sign_in.refresh_token, sign_in.registration
        if refresh is None or registration is None:
            raise needed(self._portal, "the sign-in is over")
        with await asyncio.to_thread(self._cache.room) as room:  # before the old one is used up
            answer = await self._center.ask(
                "create_token",
                grantType="refresh_token",
                clientId=registration.client_id,
                clientSecret=registration.client_secret.reveal(),
                refreshToken=refresh.reveal(),
            )
            if answer.given:
                fresh = sign_in_of(answer, self._portal, registration, self._clock.now(), sign_in)
                await self._write(room, sign_in.access_token, fresh)
                return fresh
        if passes(answer):
            raise unavailable(answer, "renewing the sign-in")
        current = await self._current()
        if current.access_token != sign_in.access_token:
            return current  # a program that does not go by our lock was first
        self._spent = refresh
        why = refusal(answer, self._portal, "to renew the sign-in").what
        raise SignInNeeded(why, hint=f"sign in: {self._portal.command}")

    async def _write(self, room: Room, old: Secret, fresh: SignIn) -> None:
        """Write it, or remember it until it can be written: the file has a refresh token that is used up."""
        self._unwritten = (old, fresh)
        try:
            await asyncio.to_thread(room.keep, fresh)
            self._unwritten = None
        except CredentialsUnavailable as error:
            self._report(RefreshTokenUnsaved(SOURCE, str(self._cache.path), error.what))


async def _to_its_end(work: Coroutine[Any, Any, SignIn]) -> SignIn:
    """Await it; whoever is cancelled meanwhile lets it come to its end first, unless that takes too long."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        if not task.done():
            await asyncio.wait({task}, timeout=_LAST_WORDS)
        if not task.cancel() and not task.cancelled():
            task.exception()  # nobody is left to hear it
        raise
