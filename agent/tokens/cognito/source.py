"""When is a user signed in, when is that renewed, and when is it better to try nothing?

One sign-in serves every role: its ID token is had once and given to all until it nears its end. A user who is refused
is not tried again and again: Cognito locks whoever guesses, and sends an SMS for each sign-in that needs one.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NoReturn

from agent import jose
from agent.clock import RemoteClock
from agent.errors import AgentError, CredentialsRefused, SignInNeeded, TokenUnavailable
from agent.events import Report
from agent.events.cognito import RefreshTokenUnsaved
from agent.events.signing_in import SignedIn, SignInOver
from agent.secret import Secret
from agent.tokens import Token
from agent.tokens.cognito.pool import App, Tokens
from agent.tokens.cognito.refusals import LOGIN, Refused, Turn
from agent.tokens.cognito.sign_in import ENABLED, Flow, Nobody, SignIn, Who
from agent.tokens.cognito.state import Kept, StateFile, Version, version_of

#: For how long what was said is not asked again, in seconds, unless a file changes. Of five wrong passwords Cognito
#: locks a user (User Guide, "Lockout behavior for failed sign-in attempts"), and a quarter of an hour resets that.
_QUIET: Final = {
    Turn.SOON: 5.0,
    Turn.LOCKED: 16 * 60.0,
    Turn.PASSWORD: 3600.0,
    Turn.OVER: 60.0,
    Turn.PERSON: 86_400.0,
    Turn.CODE: 86_400.0,
    Turn.SOMEBODY: 30.0,
}
#: Between two looks at the files while a person is waited for, in seconds.
_LOOK: Final = 1.0
#: A token is renewed when this is left of its life, or a fifth of it if that is less.
_MARGIN: Final = timedelta(minutes=5)
_YEAR_10000: Final = 253_402_300_800  # seconds; the end of time, as datetime sees it
_SHORTEST: Final = 1.0

#: Reads a secret; None where none is configured. Raises TokenUnavailable.
ReadSecret = Callable[[], Awaitable[Secret | None]]


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are in the pool, and the files that say so.

    Attributes:
        pool_id, client_id, user: as Cognito has them.
        flow: how the password is shown.
        password, client_secret: read each time they are needed.
        watched: the files that those come from: who corrects one need not wait.
    """

    pool_id: str
    client_id: str
    user: str
    flow: Flow
    password: ReadSecret
    client_secret: ReadSecret
    watched: tuple[Path, ...] = ()

    @property
    def source(self) -> str:
        """How events call this sign-in."""
        return f"{self.user} in {self.pool_id}"


@dataclass(frozen=True, slots=True)
class _Held:
    """A token, when it came by the steady clock, and how long it lives."""

    token: Token
    since: float
    lasts: float


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was said last, until when that is not asked again, and the files as they were then."""

    error: AgentError
    until: float
    seen: tuple[Version, ...]


class CognitoTokens:
    """The ID tokens of one user."""

    def __init__(
        self, account: Account, sign_in: SignIn, state: StateFile, clock: RemoteClock, *, report: Report
    ) -> None:
        """Hold nothing yet. `clock` learns from Cognito what time it is, as it does from STS."""
        self._account = account
        self._sign_in = sign_in
        self._state = state
        self._clock = clock
        self._report = report
        self._held: _Held | None = None
        self._verdict: _Verdict | None = None
        self._unsaved: Kept | None = None
        self._over = False
        self._fetching: asyncio.Future[Token] | None = None

    async def token(self) -> Token:
        """Give the ID token: the one at hand, or a new one, which is fetched once for all who ask.

        Raises TokenUnavailable, SignInNeeded or CredentialsRefused.
        """
        held = self._held
        if held is not None and self._left(held) > min(_MARGIN.total_seconds(), held.lasts / 5):
            return held.token
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetched())
            self._fetching.add_done_callback(self._done)
        # What is under way goes on whoever gives up: a refresh token that has been spent must not be lost.
        return await asyncio.shield(self._fetching)

    def retry_now(self) -> None:
        """Forget what was said last: somebody has mended something."""
        self._verdict = None

    async def keep_watch(self) -> NoReturn:
        """Notice that somebody has signed in by hand, or corrected the password, and say so."""
        while True:
            await self._clock.sleep(_LOOK)
            if self._verdict is not None and not self._verdict.error.retryable and self._seen() != self._verdict.seen:
                self._verdict = None
                self._report(SignedIn(self._account.source, None))

    async def settle(self) -> None:
        """Let what is under way come to its end: a refresh token that has been spent must not be lost."""
        if self._fetching is not None:
            await asyncio.wait({self._fetching})

    def _done(self, fetching: "asyncio.Future[Token]") -> None:
        self._fetching = None
        if not fetching.cancelled():
            fetching.exception()  # somebody may have waited for it, or all have given up: either is well

    def _left(self, held: _Held) -> float:
        """Seconds that a token is good for.

        By the steady clock, since this machine's own may be wrong; and by that of AWS once it has been heard, since
        the steady one stands still with a machine that is paused.
        """
        left = held.since + held.lasts - self._clock.steady()
        if self._clock.offset is not None:
            left = min(left, (held.token.expires_at - self._clock.now()).total_seconds())
        return left

    async def _fetched(self) -> Token:
        held, verdict = self._held, self._verdict
        try:
            if verdict is not None and self._clock.steady() < verdict.until and self._seen() == verdict.seen:
                raise _anew(verdict.error)
            fresh = await self._renewed()
        except AgentError as error:
            if held is not None and self._left(held) > _SHORTEST:
                return held.token
            raise error.with_traceback(None)  # noqa: B904 - itself, without frames that hold secrets
        self._verdict, self._held = None, fresh
        if self._over:
            self._over = False
            self._report(SignedIn(self._account.source, None))
        return fresh.token

    async def _renewed(self) -> _Held:
        """Renew the sign-in, or sign in. Raises AgentError, and remembers that it did."""
        refused: Refused | None = None
        try:
            async with self._state.held():
                since = self._clock.steady()
                return _believed(await self._tokens(), since)
        except Refused as said:
            refused = said
            error = said.apology(self._account.user, flow=ENABLED[self._account.flow])
        except AgentError as said_of_us:
            error = said_of_us
        self._remember(error, _turn(error, refused))
        raise error  # out here, where nothing that was sent is its context

    async def _tokens(self) -> Tokens:
        """By the refresh token, if it is good; else by the password, if there is one. Raises Refused, AgentError."""
        app = App(self._account.pool_id, self._account.client_id, await self._account.client_secret())
        kept = await self._kept()
        over: Refused | None = None
        if kept is not None:
            try:
                tokens = await self._sign_in.renewed(app, kept.refresh_token)
            except Refused as refused:
                if refused.turn not in (Turn.OVER, Turn.PASSWORD):
                    raise
                over = refused
                self._unsaved = None
            else:
                await self._keep(tokens)
                return tokens
        password = await self._account.password()
        if password is None:
            raise over or SignInNeeded(
                f"nobody has signed in as {self._account.user} to the user pool {self._account.pool_id}",
                hint=f"sign in with: {LOGIN}; or name a file with the password: identity.password_file",
            )
        who = Who(app, self._account.user, self._account.flow)
        tokens = await self._sign_in.with_password(who, password, Nobody(self._account.user))
        await self._keep(tokens)
        return tokens

    async def _kept(self) -> Kept | None:
        """The refresh token to use: one that could not be written yet, or else what is in the file."""
        if self._unsaved is not None:
            return self._unsaved
        kept = await self._state.read()
        ours = (self._account.pool_id, self._account.client_id, self._account.user)
        return kept if kept is not None and (kept.pool_id, kept.client_id, kept.user) == ours else None

    async def _keep(self, tokens: Tokens) -> None:
        """Have what renews the sign-in on the disk. Where that fails it lives on in memory, and somebody is told."""
        if tokens.refresh_token is None:
            if self._unsaved is None:
                return
            kept = self._unsaved
        else:
            kept = Kept(self._account.pool_id, self._account.client_id, self._account.user, tokens.refresh_token)
        try:
            await asyncio.to_thread(self._state.write, kept)
        except (OSError, ValueError) as error:
            self._unsaved = kept
            reason = error.strerror if isinstance(error, OSError) else "it is not the path of a file"
            self._report(RefreshTokenUnsaved(self._account.source, str(self._state.path), reason or "no reason given"))
        else:
            self._unsaved = None

    def _remember(self, error: AgentError, turn: Turn) -> None:
        until = self._clock.steady() + _QUIET[turn]
        self._verdict = _Verdict(_anew(error), until, self._seen())
        if isinstance(error, SignInNeeded) and not self._over:
            self._over = True
            self._report(SignInOver(self._account.source, LOGIN))

    def _seen(self) -> tuple[Version, ...]:
        return tuple(version_of(path) for path in (self._state.path, *self._account.watched))


def _turn(error: AgentError, refused: Refused | None) -> Turn:
    if refused is not None:
        return refused.turn
    if isinstance(error, SignInNeeded):
        return Turn.PERSON
    return Turn.SOMEBODY if isinstance(error, CredentialsRefused) else Turn.SOON


def _anew(error: AgentError) -> AgentError:
    return type(error)(error.what, hint=error.hint)


def _believed(tokens: Tokens, since: float) -> _Held:
    """The ID token with its times. Raises TokenUnavailable where it is none."""
    value = tokens.id_token
    try:
        _, claims = jose.unverified(value.reveal())
    except ValueError as error:
        raise _unusable(f"the ID token is no signed JWT: {error}") from None
    if claims.get("token_use") != "id":
        raise _unusable("what it gives as an ID token is none")
    ends, begins = _moment(claims.get("exp")), _moment(claims.get("iat"))
    if ends is None or begins is None or ends <= begins:
        raise _unusable("the ID token has no times that can be")
    return _Held(Token(value, datetime.fromtimestamp(ends, UTC)), since, float(ends - begins))


def _moment(claim: object) -> int | None:
    """A time claim in seconds (RFC 7519 §2, NumericDate); Python counts True as a number and JSON does not."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim < _YEAR_10000:
        return None
    return math.floor(claim)


def _unusable(what: str) -> TokenUnavailable:
    return TokenUnavailable(
        f"Cognito's answer cannot be used: {what}",
        hint="see that identity.endpoint_url, if set, is really Cognito, and that nothing in between changes answers",
    )
