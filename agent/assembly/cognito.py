"""How is a user signed in to Amazon Cognito, by the agent and by hand, and how do identity pools give roles?"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol

from agent.assembly.credentials import sts_endpoint
from agent.clients.late import Late
from agent.clock import Clock, RemoteClock
from agent.credentials import CredentialSource
from agent.errors import AgentError, ConfigurationError, CredentialsUnavailable, TokenUnavailable
from agent.events import Report
from agent.keys.pem import read_passphrase
from agent.secret import Secret
from agent.service import Job
from agent.settings.cognito import Cognito as CognitoSettings
from agent.settings.cognito import IdentityPoolRole
from agent.settings.credentials import Sts
from agent.threads import aside
from agent.tokens import Token

if TYPE_CHECKING:
    from agent.clients.cognito import Service
    from agent.tokens.cognito.pool import App, Tokens
    from agent.tokens.cognito.sign_in import SignIn
    from agent.tokens.cognito.source import CognitoTokens, ReadSecret
    from agent.tokens.cognito.state import Kept, StateFile

#: How long one request may take in all: connecting, an answer, and looking up the name.
_PATIENCE: Final = timedelta(seconds=20)
_TRIES: Final = 3


class Cognito:
    """The sign-in of [identity], and the identity pools that it is shown to; nothing is opened before it is needed."""

    def __init__(
        self, words: CognitoSettings, credentials_directory: Path | None, *, clock: RemoteClock, report: Report
    ) -> None:
        """Ask nothing yet."""
        self._words = words
        self._clock = clock
        self._users = _late(words, "cognito-idp")
        self._identities = _late(words, "cognito-identity")
        self._tokens = _tokens(words, self._users, credentials_directory, clock=clock, report=report)

    async def token(self) -> Token:
        """Give the ID token, as a TokenSource does. Raises TokenUnavailable, SignInNeeded, CredentialsRefused."""
        return await self._tokens.token()

    def retry_now(self) -> None:
        """Ask again at once when a token is next wanted: somebody has mended something."""
        self._tokens.retry_now()

    async def keep_watch(self) -> NoReturn:
        """Notice that somebody has signed in by hand, or corrected a file, and report SignedIn."""
        await self._tokens.keep_watch()

    def pooled(self, name: str, role: IdentityPoolRole, sts: Sts) -> CredentialSource:
        """The source of a role that an identity pool gives; STS is asked whose it is. Raises ConfigurationError."""
        from agent.clients.identity import Keys, caller_identity
        from agent.credentials.identity_pool import AwsIdentityPool, PooledIdentity, PooledRole

        endpoint = sts_endpoint(sts)

        async def who_am_i(access_key_id: str, secret: Secret, session_token: Secret) -> str:
            keys = Keys(access_key_id, secret, session_token)
            return await caller_identity(endpoint, keys, _silence, now=self._clock.now)

        pool = AwsIdentityPool(
            self._identities, role.identity_pool, self._words.provider_name, self._clock, patience=_PATIENCE
        )
        return PooledIdentity(pool, PooledRole(role.arn, f"roles.{name}"), self, self._clock, who_am_i)

    @property
    def jobs(self) -> Sequence[Job]:
        """What runs while the daemon lives."""
        return (self.keep_watch,)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Be there while the daemon lives."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """Let what is under way come to its end, so that no refresh token is lost; then close the clients."""
        await self._tokens.settle()
        await self._users.close()
        await self._identities.close()


class Asking(Protocol):
    """Somebody at a terminal. What it raises comes out of `sign_in_by_hand`, which waits for it as it is."""

    def password(self, user: str) -> Secret:
        """Ask for the password."""
        ...

    def answer(self, challenge: str, destination: str) -> Secret:
        """Ask for what this challenge wants; `destination` is where a code was sent, or ""."""
        ...

    def told(self, trouble: AgentError) -> None:
        """Hear what was wrong with the last answer; the next question comes at once."""
        ...


async def sign_in_by_hand(
    words: CognitoSettings, credentials_directory: Path | None, asking: Asking, clock: Clock
) -> Path:
    """Sign in with somebody's help, and keep what renews it where the agent looks for it: that file.

    Raises SignInNeeded where it did not come to that, TokenUnavailable, CredentialsRefused, ConfigurationError.
    """
    from agent.tokens.cognito.pool import App
    from agent.tokens.cognito.state import Kept

    users, state = _late(words, "cognito-idp"), _state(words, clock)
    sign_in = _sign_in(users, RemoteClock(clock), lambda _: None)
    try:
        secret = await _reader(words.client_secret_file, credentials_directory, "client secret")()
        app = App(words.user_pool, words.client_id, secret)
        known = await _reader(words.password_file, credentials_directory, "password")()
        given = await _patiently(words, app, sign_in, known, asking)
        if given.refresh_token is None:
            raise TokenUnavailable(
                "Cognito gave no refresh token, so that the sign-in would not last",
                hint="see that what answers is Cognito, and the app client's settings",
            )
        async with state.held():  # not before: who types may take his time, and the agent would wait
            kept = Kept(words.user_pool, words.client_id, words.user, given.refresh_token)
            await asyncio.to_thread(_keep, state, kept)
    finally:
        await users.close()
    return words.state


async def _patiently(
    words: CognitoSettings, app: "App", sign_in: "SignIn", known: Secret | None, asking: Asking
) -> "Tokens":
    """Sign in, and ask again for what was typed wrong: three times, of the five after which Cognito locks a user."""
    from agent.tokens.cognito.refusals import Refused, Turn
    from agent.tokens.cognito.sign_in import ENABLED, Who

    password = known or asking.password(words.user)
    for left in reversed(range(_TRIES)):
        try:
            return await sign_in.with_password(Who(app, words.user, words.flow), password, _AtATerminal(asking))
        except Refused as refused:
            turn, error = refused.turn, refused.apology(words.user, flow=ENABLED[words.flow])
        typed = turn is Turn.CODE or (turn is Turn.PASSWORD and known is None)
        if not typed or not left:
            break
        asking.told(error)
        if turn is Turn.PASSWORD:
            password = asking.password(words.user)
    raise error  # out here, where nothing that was sent is its context


async def fetched(words: CognitoSettings, credentials_directory: Path | None, clock: RemoteClock) -> Token:
    """One ID token, by the sign-in that the agent keeps. Raises as the agent's own source does."""
    cognito = Cognito(words, credentials_directory, clock=clock, report=lambda _: None)
    try:
        return await cognito.token()
    finally:
        await cognito.close()


def _keep(state: "StateFile", kept: "Kept") -> None:
    try:
        state.write(kept)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not the path of a file"
        hint = "run this as the user that the agent runs as, or as root"
        if isinstance(error, FileNotFoundError):
            hint = f"make the directory, for the user that the agent runs as: {state.path.parent}"
        raise ConfigurationError(f"the sign-in cannot be kept in {state.path}: {reason}", hint=hint) from error


class _AtATerminal:
    """Has whoever is there answer the pool."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def answer(self, challenge: str, about: Mapping[str, str]) -> Secret:
        """Ask, and wait for the answer, as the loop does: there is nothing else to be done."""
        return self._asking.answer(challenge, about.get("CODE_DELIVERY_DESTINATION", ""))


def _tokens(
    words: CognitoSettings, users: Late, credentials_directory: Path | None, *, clock: RemoteClock, report: Report
) -> "CognitoTokens":
    from agent.tokens.cognito.source import Account, CognitoTokens

    account = Account(
        words.user_pool,
        words.client_id,
        words.user,
        words.flow,
        password=_reader(words.password_file, credentials_directory, "password"),
        client_secret=_reader(words.client_secret_file, credentials_directory, "client secret"),
        watched=tuple(words.secret_paths.values()),
    )
    sign_in = _sign_in(users, clock, report)
    return CognitoTokens(account, sign_in, _state(words, clock), clock, report=report)


def _sign_in(users: Late, clock: RemoteClock, report: Report) -> "SignIn":
    from agent.tokens.cognito.pool import UserPool
    from agent.tokens.cognito.sign_in import SignIn

    return SignIn(UserPool(users, clock, report, patience=_PATIENCE), clock, os.urandom)


def _state(words: CognitoSettings, clock: Clock) -> "StateFile":
    from agent.tokens.cognito.state import StateFile

    return StateFile(words.state, clock)


def _late(words: CognitoSettings, service: "Service") -> Late:
    def opening() -> AbstractAsyncContextManager[Any]:
        from agent.clients.cognito import CognitoEndpoint, cognito_client

        endpoint = CognitoEndpoint(words.region, words.endpoint_url, words.ca_bundle, words.proxy)
        return cognito_client(service, endpoint)

    return Late(opening)


def secret_in(path: Path, directory: Path | None, what: str) -> Secret:
    """The secret in a file that nobody else can read; `directory` is systemd's. Blocks. Raises KeyUnavailable."""
    return read_passphrase(path, credentials_directory=directory, what=what)


def _reader(path: Path | None, directory: Path | None, what: str) -> "ReadSecret":
    """Read a secret from a file each time, since files are replaced; None where there is none to read."""

    async def read() -> Secret | None:
        if path is None:
            return None
        try:
            return await aside(partial(secret_in, path, directory, what))
        except RuntimeError as error:
            raise TokenUnavailable(
                f"the {what} in {path} cannot be read: there is no thread to be had", hint="see what uses them up"
            ) from error

    return read


def _silence(error: Exception) -> AgentError:
    """Our error of whatever kept the answer of STS from us."""
    from agent.silence import silence_of

    found = silence_of(error, service="STS", section="sts")
    return CredentialsUnavailable(found.what, hint=found.hint)
