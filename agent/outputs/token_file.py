"""How do programs get a token that read theirs from a file?

A file is kept fresh for them: for those that insist on the exchange for a role themselves
(AWS_WEB_IDENTITY_TOKEN_FILE), and for those that show a token to somebody else than AWS. They read it again for each
exchange. A token that could not be replaced is left
where it is. It opens nothing any more, and STS says plainly that it has expired; of a file that is missing each program
says something else, and some hang. As a Kubernetes node does it.
"""

import math
from datetime import timedelta
from typing import Final, Literal, NoReturn

from agent import jose
from agent.clock import within
from agent.errors import AgentError, ConfigurationError, TokenUnavailable
from agent.events import Event, FileWritten, KeyPromoted, KeyReady
from agent.outputs.attempts import NAP, Attempts, Means
from agent.outputs.replacing import Place, Stamp, replace, stamp
from agent.sessions import STUCK
from agent.tokens import Token, TokenSource

#: What is in the file: an identity token for a role, or a token for another relying party.
What = Literal["web_identity_token", "token"]

#: The least time between two tokens, in seconds, however soon those end that we are given.
_SHORTEST: Final = 10.0

#: By so much the clock may be set before the token that is dated by it is replaced, in seconds: by so much ours are
#: backdated, and so good already for who has the right time.
_SET: Final = 10.0


class TokenFile:
    """The token for one role, or for one audience, replaced at half its life."""

    def __init__(
        self, name: str, tokens: TokenSource, place: Place, means: Means, what: What = "web_identity_token"
    ) -> None:
        """Touch nothing yet. `tokens` are those for the role, or the audience, of that `name` alone."""
        self._name = name
        self._what = what
        self._tokens = tokens
        self._place = place
        self._means = means
        self._attempts = Attempts(str(place.path), what, name, means)
        self._written: Token | None = None
        self._stamp: Stamp | None = None
        self._renewal = 0.0  # the steady time at which the next token is due
        self._ahead = 0.0  # by how much the clock was ahead of the steady one when the token was asked for

    @property
    def trouble(self) -> AgentError | None:
        """Why the file is not what it should be, if it is not."""
        return self._attempts.trouble

    def heard(self, event: Event) -> None:
        """Read events: when another key signs, the token of the one before may soon be good for nothing."""
        if isinstance(event, KeyReady | KeyPromoted):
            self.retry_now()

    def retry_now(self) -> None:
        """Put a new token there at once."""
        self._renewal = 0.0
        self._attempts.hurry()

    async def keep_fresh(self) -> NoReturn:
        """Write a new token at half the life of the one before, for ever."""
        while True:
            if self._attempts.due:
                await self._look()
            left = self._renewal - self._means.clock.steady()
            await self._attempts.nap(left if left > 0 else NAP)

    async def _look(self) -> None:
        ahead = self._ahead_of_steady()
        renewed = self._means.clock.steady() >= self._renewal or abs(ahead - self._ahead) > _SET
        if renewed:
            self._ahead = ahead
            self._renewal = math.inf  # until there is one, or `retry_now` asks for yet another
        try:
            if not renewed and await self._attempts.blocking(stamp, self._place) == self._stamp:
                return
            token = await self._token() if renewed or self._written is None else self._written
            self._stamp = await self._attempts.blocking(self._put, token)
        except AgentError as error:
            self._renewal = 0.0
            self._attempts.failed(error, None if self._written is None else self._written.expires_at)
            return
        self._written = token
        if self._renewal == math.inf:
            self._renewal = self._means.clock.steady() + self._wait(token)
        failures = self._attempts.succeeded()
        self._means.report(FileWritten(str(self._place.path), self._what, self._name, token.expires_at, failures))

    def _ahead_of_steady(self) -> float:
        """It changes when the clock is set, or the machine was paused: then what is written may be over, or to come."""
        return self._means.clock.now().timestamp() - self._means.clock.steady()

    def _wait(self, token: Token) -> float:
        """For how many seconds a token stays before the next."""
        policy = self._means.policy
        half: timedelta = (token.expires_at - self._means.clock.now()) / 2
        return max(half.total_seconds() * (1 - policy.jitter * self._means.spread()), _SHORTEST)

    async def _token(self) -> Token:
        try:
            return await within(self._means.clock, STUCK, self._tokens.token())
        except TimeoutError as error:
            raise TokenUnavailable(
                f"asking for a token for {self._name} came to nothing in {STUCK:.0f} s",
                hint="look for what hangs: the device that holds the key, a file system",
            ) from error

    def _put(self, token: Token) -> Stamp | None:
        """Do the blocking part of an attempt. Raises ConfigurationError."""
        return replace(self._place, lambda content: (self._replaced(content, token), False))

    def _replaced(self, content: bytes | None, token: Token) -> bytes:
        """The token, without the newline that SDKs would send along; in the place of another, or of nothing."""
        if content:
            try:
                jose.unverified(content.decode("ascii").strip())
            except ValueError:
                raise ConfigurationError(
                    f"{self._place.path} holds something else than a token, so it is not replaced",
                    hint="correct the path, or remove that file",
                ) from None
        return token.value.reveal().encode("ascii")
