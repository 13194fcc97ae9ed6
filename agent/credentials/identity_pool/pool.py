"""What is asked of an identity pool, and what does it say?

The only part of this room that knows botocore. Its exceptions end here and are not chained to ours: they quote whole
answers and requests, with the credentials and the token in them.
"""

import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from agent.clock import RemoteClock, within
from agent.credentials.identity_pool.refusals import IdentityGone, apology
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret
from agent.silence import silence_of

__all__ = ["AwsIdentityPool", "Given", "IdentityGone", "Pool"]

_HALF_A_SECOND: Final = timedelta(milliseconds=500)  # what a Date header lacks on average (RFC 9110 §5.6.7)
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)
_IDENTITY_ID: Final = re.compile(r"[\w-]+:[0-9a-f-]+", re.ASCII)
# Temporary keys begin with ASIA (IAM User Guide, "Unique identifiers").
_ACCESS_KEY_ID: Final = re.compile(r"ASIA\w{12,124}", re.ASCII)
_PRINTABLE: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Given:
    """A set of credentials, of whichever role."""

    access_key_id: str
    secret_access_key: Secret = field(repr=False)
    session_token: Secret = field(repr=False)
    expires_at: datetime


class Pool(Protocol):
    """What we want of an identity pool. Both raise CredentialsRefused and CredentialsUnavailable."""

    async def identity(self, token: Secret) -> str:
        """The identity of whom the token speaks of; the same each time."""
        ...

    async def credentials(self, identity: str, token: Secret) -> Given:
        """Credentials of the role that the pool has for it. Raises IdentityGone if there is no such identity."""
        ...


class IdentityClient(Protocol):
    """What an aiobotocore client for cognito-identity can do, as far as we want it."""

    async def get_id(self, **parameters: Any) -> Mapping[str, Any]:
        """Send GetId; raises ClientError for an error of Cognito's, and much else."""
        ...

    async def get_credentials_for_identity(self, **parameters: Any) -> Mapping[str, Any]:
        """Send GetCredentialsForIdentity."""
        ...


class AwsIdentityPool:
    """An identity pool, through an aiobotocore client that neither signs nor retries."""

    def __init__(
        self, client: IdentityClient, pool_id: str, provider: str, clock: RemoteClock, *, patience: timedelta
    ) -> None:
        """Show tokens as those of `provider`: the host and path of their issuer, as the pool knows it."""
        self._client = client
        self._pool_id = pool_id
        self._provider = provider
        self._clock = clock
        self._patience = patience

    async def identity(self, token: Secret) -> str:
        """Send GetId."""
        asked = self._client.get_id(IdentityPoolId=self._pool_id, Logins={self._provider: token.reveal()})
        found = (await self._ask(asked)).get("IdentityId")
        if not isinstance(found, str) or len(found) > 55 or not _IDENTITY_ID.fullmatch(found):
            raise _unusable("IdentityId is missing, or is none")
        return found

    async def credentials(self, identity: str, token: Secret) -> Given:
        """Send GetCredentialsForIdentity."""
        asked = self._client.get_credentials_for_identity(IdentityId=identity, Logins={self._provider: token.reveal()})
        given = (await self._ask(asked)).get("Credentials")
        if not isinstance(given, Mapping):
            raise _unusable("Credentials is missing")
        access_key_id, ends = given.get("AccessKeyId"), given.get("Expiration")
        if not isinstance(access_key_id, str) or not _ACCESS_KEY_ID.fullmatch(access_key_id):
            raise _unusable("AccessKeyId is not the id of a temporary key")
        if not isinstance(ends, datetime) or ends.tzinfo is None:
            raise _unusable("Expiration is missing or is no time")
        return Given(
            access_key_id, _printable(given, "SecretKey"), _printable(given, "SessionToken"), ends.astimezone(UTC)
        )

    async def _ask(self, asked: Awaitable[Mapping[str, Any]]) -> Mapping[str, Any]:
        problem: AgentError | IdentityGone
        try:
            answer = await within(self._clock, self._patience.total_seconds(), asked)
        except ClientError as error:
            self._learn(error.response)
            problem = apology(error.response, self._pool_id)
        except AgentError:
            raise
        except Exception as error:  # noqa: BLE001 - the edge of a library whose parsers raise whatever they stumble on
            silence = silence_of(error, service="Cognito", section="identity")
            kind = CredentialsRefused if silence.final else CredentialsUnavailable
            problem = kind(silence.what, hint=silence.hint)
        else:
            self._learn(answer)
            return answer
        raise problem  # out here, where no exception that quotes an answer is its context

    def _learn(self, answer: Mapping[str, Any]) -> None:
        """Take the time of an answer that is Cognito's own."""
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        try:
            told = parsedate_to_datetime(headers["date"])
        except (KeyError, TypeError, ValueError, OverflowError):
            return
        if "x-amzn-requestid" in headers and told.tzinfo is not None and _EARLIEST < told < _LATEST:
            self._clock.learn(told.astimezone(UTC) + _HALF_A_SECOND)


def _printable(given: Mapping[str, Any], name: str) -> Secret:
    value = given.get(name)
    if not isinstance(value, str) or not _PRINTABLE.fullmatch(value):
        raise _unusable(f"{name} is missing, or holds characters that no SDK could send")
    return Secret(value)


def _unusable(what: str) -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"the identity pool's answer cannot be used: {what}",
        hint="see that identity.endpoint_url, if set, is really Cognito, and that nothing in between changes answers",
    )
