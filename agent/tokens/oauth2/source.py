"""Where does our identity token come from? From an OAuth 2.0 provider, to which we are a client.

One token serves all roles. It is asked for again when it has been held for a while, so that a key that the provider has
withdrawn does not go with us until the token ends; and whatever then goes wrong, the one that is held stays in use
until its end. How long that is the provider says: this machine's clock may be wrong, and its own may be, too.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from agent.clock import Clock, RemoteClock, instant
from agent.errors import AgentError, KeyUnavailable, TokenRefused, TokenUnavailable
from agent.events import ProviderAnswered, ProviderFailed, Report
from agent.schedule import RefreshPolicy
from agent.tokens import Token
from agent.tokens.oauth2.answers import Given, given, refusal
from agent.tokens.oauth2.asking import (
    Authentication,
    Client,
    ClientCertificate,
    ClientSecret,
    Place,
    PrivateKeyJwt,
    Wanted,
)
from agent.tokens.oauth2.authentication import shown
from agent.tokens.oauth2.discovery import Endpoint, discovered
from agent.tokens.oauth2.web import Web

#: What a token that has been held must have left to be shown to STS: more than one exchange takes.
LEAST: Final = timedelta(seconds=30)
#: How long one is given out before another is asked for, as long as that is to be had.
FRESH: Final = timedelta(minutes=10)
#: How long the provider's documents are believed.
_KNOWN: Final = timedelta(hours=1)
#: A clock that is off by more may be why a provider does not know us.
_NOTABLE: Final = timedelta(seconds=30)


class Provider:
    """A provider, asked each time anew; only where its endpoint is is remembered."""

    def __init__(self, place: Place, client: Client, wanted: Wanted, clock: Clock) -> None:
        """Open nothing yet; `clock` counts, and tells the time until the provider has told it."""
        certificate = client.authentication if isinstance(client.authentication, ClientCertificate) else None
        self._web = Web(place, clock, certificate)
        self._place = place
        self._client = client
        self._wanted = wanted
        self._clock = clock
        self._time = RemoteClock(clock)  # the provider's, once we have had to learn it
        self._told: datetime | None = None  # the time, by a refusal of the provider
        self._endpoint: Endpoint | None = None
        self._until = 0.0  # steady time at which the endpoint is looked up again

    @property
    def name(self) -> str:
        """Which provider it is, for people."""
        return self._place.issuer or self._place.token_endpoint

    @property
    def wait(self) -> timedelta:
        """How long the provider, in its latest answer, asked to be left alone."""
        return self._web.wait or timedelta(0)

    async def ask(self) -> Given:
        """Ask for a token; once more if the clock by which we signed turns out to be wrong.

        Raises TokenUnavailable, TokenRefused, and KeyUnavailable.
        """
        self._told = None
        try:
            try:
                return await self._asked()
            except TokenRefused:
                if not self._is_clock_off():
                    raise
            return await self._asked()
        except KeyUnavailable:
            raise  # our own affair, of which the provider knows nothing
        except AgentError:
            self._endpoint = None  # it may have moved
            self._time = RemoteClock(self._clock)  # and what it said of the time was of no use
            raise

    def _is_clock_off(self) -> bool:
        """Whether what we signed was for another time than the provider's; then by that from now on."""
        if self._told is None or not isinstance(self._client.authentication, PrivateKeyJwt):
            return False
        off = abs(self._told - self._time.now()) >= _NOTABLE
        if off:
            self._time.learn(self._told)
        return off

    async def _asked(self) -> Given:
        endpoint = await self._found()
        said = await shown(self._client, endpoint, self._time)
        form = urlencode([*self._wanted.form(), *said.form])
        answer = await self._web.post(said.url, form.encode("ascii"), said.headers)
        if answer.status != 200 or "error" in (answer.document or {}):
            self._told = answer.told
            raise refusal(answer, way=_way(self._client.authentication), secrets=said.secrets)
        return given(answer, self._wanted)

    async def _found(self) -> Endpoint:
        if self._place.token_endpoint:
            return Endpoint(self._place.token_endpoint, self._place.token_endpoint, self._place.issuer)
        if self._endpoint is None or self._time.steady() >= self._until:
            self._endpoint = await discovered(self._place.issuer, self._web)
            self._until = self._time.steady() + _KNOWN.total_seconds()
        return self._endpoint


@dataclass(frozen=True, slots=True)
class _Held:
    """A token, until when it is given out unasked, and until when at all; by the steady clock."""

    token: Token
    fresh: float
    ends: float


class OAuth2Tokens:
    """The token of one provider, for all roles: one asks at a time, and nobody before it is due."""

    def __init__(
        self,
        provider: Provider,
        clock: RemoteClock,
        *,
        report: Report,
        spread: Callable[[], float],
        policy: RefreshPolicy | None = None,
    ) -> None:
        """Ask nothing yet. `clock` tells whether a token has ended, once it has heard STS; `spread` is chance."""
        self._report = report
        self._provider = provider
        self._clock = clock
        self._spread = spread
        self._policy = policy or RefreshPolicy()
        self._held: _Held | None = None
        self._asking: asyncio.Future[None] | None = None
        self._problem: AgentError | None = None
        self._failures = 0
        self._alike = 0  # how many of those, up to the latest, were of its kind: passing by themselves, or not
        self._due = 0.0

    async def token(self) -> Token:
        """Give a token that is good for an exchange with STS. Raises TokenUnavailable, TokenRefused, KeyUnavailable."""
        held = self._good(LEAST)
        if held is not None and self._clock.steady() < held.fresh:
            return held.token
        if self._asking is None and self._clock.steady() >= self._due:
            self._asking = asyncio.ensure_future(self._ask())
            self._asking.add_done_callback(self._asked)
        if self._asking is not None:
            await asyncio.shield(self._asking)  # a caller who gives up does not take it from the others
        held = self._good(timedelta(0) if self._problem is None else LEAST)  # a new one may be short-lived
        if held is not None:
            return held.token
        raise self._apology()

    def retry_now(self) -> None:
        """Ask again at once when a token is next wanted: somebody has mended something."""
        self._due = 0.0

    def _good(self, least: timedelta) -> _Held | None:
        """What is held, if it has more than so much left."""
        held = self._held
        if held is None or self._clock.steady() >= held.ends - least.total_seconds():
            return None
        # STS alone judges, so our own clock has no say until STS has been heard; then it must not be asked in vain.
        heard = self._clock.offset is not None
        return None if heard and self._clock.now() >= held.token.expires_at - least else held

    async def _ask(self) -> None:
        """Ask the provider, and remember what came of it."""
        try:
            answer = await self._provider.ask()
        except AgentError as error:
            self._failed(error)
        else:
            now, lasts = self._clock.steady(), answer.lasts.total_seconds()
            fresh = now + min(FRESH.total_seconds(), lasts / 2)
            self._held = _Held(Token(answer.value, answer.expires_at), fresh, now + lasts)
            self._report(ProviderAnswered(self._provider.name, answer.expires_at, self._failures))
            self._problem, self._failures, self._alike = None, 0, 0

    def _failed(self, error: AgentError) -> None:
        alike = self._problem is not None and self._problem.retryable == error.retryable
        self._failures, self._alike = self._failures + 1, self._alike + 1 if alike else 1
        held = self._good(LEAST)
        if isinstance(error, KeyUnavailable):
            wait = timedelta(0)  # nobody was asked: whoever mends it need not wait, and roles have waits of their own
        elif error.retryable:
            wait = self._policy.retry_after(self._alike, self._spread(), bare=held is None)
        else:
            wait = self._policy.refused_after(self._alike, self._spread())
        wait = max(wait, self._provider.wait)
        self._due = self._clock.steady() + wait.total_seconds()
        until = None if held is None else held.token.expires_at
        self._report(ProviderFailed(self._provider.name, error, self._failures, wait, until))
        self._problem = type(error)(error.what, hint=error.hint)  # without the traceback, whose frames hold secrets

    def _asked(self, asking: "asyncio.Future[None]") -> None:
        self._asking = None
        if not asking.cancelled():
            asking.exception()  # a bug's, which comes out where it is waited for; and all may have given up

    def _apology(self) -> AgentError:
        if self._problem is not None:
            return type(self._problem)(self._problem.what, hint=self._problem.hint)
        assert self._held is not None  # nothing failed, so there is one, and it is not good
        return TokenUnavailable(
            f"the token that the provider has just given ends at {instant(self._held.token.expires_at)}, which is over "
            "or as good as over by the clock of STS",
            hint="see whether the provider's clock is right, and let it give tokens for five minutes or more",
        )


def _way(authentication: Authentication) -> str:
    """What has to be so for a provider to know us."""
    match authentication:
        case ClientSecret():
            return "identity.client_secret_file holds its secret as it is now"
        case ClientCertificate():
            return "the certificate in identity.client_certificate is the one, or of the subject, that it has there"
        case PrivateKeyJwt():
            return (
                "it reads our keys at the issuer's jwks_uri, that what it has kept of them is not old, and which "
                "audience it wants (identity.assertion_audience)"
            )
