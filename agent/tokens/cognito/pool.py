"""What is asked of a user pool, and what does it say?

The only part of this room that knows botocore. Its exceptions end here and are not chained to ours: they quote whole
answers and requests, with tokens and passwords in them.
"""

import base64
import hmac
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from agent.clock import RemoteClock, within
from agent.errors import AgentError, CredentialsRefused, TokenUnavailable
from agent.events import ClockMeasured, Report
from agent.secret import Secret
from agent.silence import silence_of
from agent.tokens.cognito.refusals import Refused, readable

# A Date header is cut down to the second (RFC 9110 §5.6.7); half of one is what it lacks on average.
_HALF_A_SECOND: Final = timedelta(milliseconds=500)
# A Date before or after these is not the time: a device that lost its clock, or nonsense.
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
#: The longest token that STS takes, with room.
_LONGEST: Final = 20_000
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class App:
    """The app client through which we sign in: whose pool, which id, and the secret if it has one."""

    pool_id: str
    client_id: str
    secret: Secret | None = None

    @property
    def pool_name(self) -> str:
        """The pool's id without its region."""
        return self.pool_id.partition("_")[2]

    def secret_hash(self, user: str) -> Mapping[str, str]:
        """The parameter that shows the client's secret along with a user's name; none where there is no secret."""
        if self.secret is None:
            return {}
        digest = hmac.digest(self.secret.reveal().encode(), f"{user}{self.client_id}".encode(), "sha256")
        return {"SECRET_HASH": base64.b64encode(digest).decode()}


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a sign-in gives, or its renewal; a renewal may leave the refresh token as it was."""

    id_token: Secret
    refresh_token: Secret | None


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the pool wants to be answered before it gives anything."""

    name: str
    session: Secret
    parameters: Mapping[str, str] = field(repr=False)


class CognitoClient(Protocol):
    """What an aiobotocore client for cognito-idp can do, as far as we want it."""

    async def initiate_auth(self, **parameters: Any) -> Mapping[str, Any]:
        """Begin a sign-in; raises ClientError for an error of Cognito's, and much else."""
        ...

    async def respond_to_auth_challenge(self, **parameters: Any) -> Mapping[str, Any]:
        """Answer a challenge."""
        ...

    async def get_tokens_from_refresh_token(self, **parameters: Any) -> Mapping[str, Any]:
        """Renew a sign-in."""
        ...


class UserPool:
    """A user pool, through an aiobotocore client that neither signs nor retries.

    What it answers also teaches `clock` the time. Every method sends one request, and raises Refused for an error of
    Cognito's, TokenUnavailable where it did not answer as it would, and CredentialsRefused where it has no address.
    """

    def __init__(self, client: CognitoClient, clock: RemoteClock, report: Report, *, patience: timedelta) -> None:
        """Ask through `client`, whose opening and closing is somebody else's, for at most `patience` each time."""
        self._client = client
        self._clock = clock
        self._report = report
        self._patience = patience

    async def begin(self, app: App, flow: str, parameters: Mapping[str, str]) -> Tokens | Challenge:
        """Begin a sign-in by this flow."""
        asked = self._client.initiate_auth(AuthFlow=flow, ClientId=app.client_id, AuthParameters=dict(parameters))
        return _outcome(await self._ask(asked))

    async def respond(self, app: App, challenge: Challenge, responses: Mapping[str, str]) -> Tokens | Challenge:
        """Answer a challenge."""
        session = {"Session": challenge.session.reveal()} if challenge.session else {}
        asked = self._client.respond_to_auth_challenge(
            ClientId=app.client_id, ChallengeName=challenge.name, ChallengeResponses=dict(responses), **session
        )
        return _outcome(await self._ask(asked))

    async def renew(self, app: App, refresh_token: Secret) -> Tokens:
        """Renew a sign-in, whether the client rotates refresh tokens or not (GetTokensFromRefreshToken)."""
        secret = {"ClientSecret": app.secret.reveal()} if app.secret else {}
        asked = self._client.get_tokens_from_refresh_token(
            RefreshToken=refresh_token.reveal(), ClientId=app.client_id, **secret
        )
        outcome = _outcome(await self._ask(asked))
        if isinstance(outcome, Challenge):
            raise _unusable("it asks a question where there is none to be asked")
        return outcome

    async def _ask(self, asked: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        problem: AgentError | Refused
        try:
            answer = await within(self._clock, self._patience.total_seconds(), asked)
        except ClientError as error:
            self._learn(error.response)
            problem = _refused(error.response)
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a library whose parsers raise whatever they stumble on
            silence = silence_of(error, service="Cognito", section="identity")
            kind = CredentialsRefused if silence.final else TokenUnavailable
            problem = kind(silence.what, hint=silence.hint)
        else:
            self._learn(answer)
            return answer
        raise problem  # out here, where no exception that quotes an answer is its context

    def _learn(self, answer: Mapping[str, Any]) -> None:
        """Take the time of an answer that is Cognito's own."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        if "x-amzn-requestid" not in headers:
            return
        try:
            told = parsedate_to_datetime(headers["date"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if told.tzinfo is None or not _EARLIEST < told < _LATEST:
            return
        self._clock.learn(told.astimezone(UTC) + _HALF_A_SECOND)
        offset = self._clock.offset
        assert offset is not None  # it has just been learnt
        self._report(ClockMeasured(offset))


def _refused(response: Mapping[str, Any]) -> Refused:
    about, error = response.get("ResponseMetadata", {}), response.get("Error", {})
    status = about.get("HTTPStatusCode", 0)
    code = str(error.get("Code") or status)
    code = code if _CODE.fullmatch(code) else "Unreadable"
    # What has no code of Cognito's is somebody else's page, and no business of a log's.
    return Refused(code, "" if code.isdigit() else readable(str(error.get("Message") or "")), status)


def _outcome(answer: Mapping[str, Any]) -> Tokens | Challenge:
    """Tokens, or the next challenge. Raises TokenUnavailable where it is neither."""
    name = answer.get("ChallengeName")
    if isinstance(name, str) and name:
        parameters = answer.get("ChallengeParameters")
        texts = {str(key): str(value) for key, value in parameters.items()} if isinstance(parameters, Mapping) else {}
        return Challenge(name[:64], Secret(str(answer.get("Session") or "")), texts)
    result = answer.get("AuthenticationResult")
    if not isinstance(result, Mapping):
        raise _unusable("it holds neither tokens nor a challenge")
    refresh = result.get("RefreshToken")
    return Tokens(_text(result.get("IdToken"), "IdToken"), _text(refresh, "RefreshToken") if refresh else None)


def _text(value: object, name: str) -> Secret:
    if not isinstance(value, str) or not value:
        raise _unusable(f"{name} is missing or empty")
    if len(value) > _LONGEST or not _PRINTABLE.fullmatch(value):
        raise _unusable(f"{name} is too long, or holds characters that no token has")
    return Secret(value)


def _unusable(what: str) -> TokenUnavailable:
    return TokenUnavailable(
        f"Cognito's answer cannot be used: {what}",
        hint="see that identity.endpoint_url, if set, is really Cognito, and that nothing in between changes answers",
    )
