"""How is STS asked, and how is its answer read?

The only part that knows botocore. Its exceptions end here and are not chained to ours: they quote whole answers
and requests, with the credentials and the token in them.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final, Protocol

from botocore.exceptions import ClientError

from agent.credentials.sts.exchange import SUCCESS, Answer, Role
from agent.credentials.sts.silence import silence
from agent.errors import AgentError
from agent.secret import Secret

# A Date header is cut down to the second (RFC 9110 §5.6.7); half of one is what it lacks on average.
_HALF_A_SECOND: Final = timedelta(milliseconds=500)
# A Date before or after these is not the time: a device that lost its clock, or nonsense.
_EARLIEST: Final = datetime(2020, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2200, 1, 1, tzinfo=UTC)

_MESSAGE_LENGTH: Final = 400
# Shorter pieces of a token are words like any other.
_WORD_LENGTH: Final = 8
_CODE: Final = re.compile(r"[A-Za-z0-9.:_]{1,64}")
# STS quotes parameters that it finds malformed, and one of them is the token.
_TOKEN_LIKE: Final = re.compile(r"eyJ[\w.=-]*|[\w+/=-]{65,}", re.ASCII)


class StsClient(Protocol):
    """What an aiobotocore client for STS can do, as far as we want it."""

    async def assume_role_with_web_identity(self, **parameters: Any) -> Mapping[str, Any]:
        """Send the request; raises ClientError for an error of STS's, and much else."""
        ...


class AwsSts:
    """STS, through an aiobotocore client that neither signs nor retries."""

    def __init__(self, client: StsClient) -> None:
        """Ask through `client`, whose opening and closing is somebody else's."""
        self._client = client

    async def assume_role_with_web_identity(self, role: Role, token: Secret) -> Answer:
        """Send one request and read its answer.

        Raises CredentialsUnavailable if STS was not reached or what came is no answer of STS's, CredentialsRefused
        if there is no address for the configured region.
        """
        problem: AgentError
        try:
            return _success(await self._client.assume_role_with_web_identity(**_parameters(role, token)))
        except ClientError as error:
            return _error(error.response, token)
        except Exception as error:  # noqa: BLE001 - the edge of a library whose parsers raise whatever they stumble on
            problem = silence(error)
        raise problem  # out here, where no exception that quotes an answer is its context


def _parameters(role: Role, token: Secret) -> dict[str, object]:
    parameters: dict[str, object] = {
        "RoleArn": role.arn,
        "RoleSessionName": role.session_name,
        "WebIdentityToken": token.reveal(),
        "DurationSeconds": int(role.duration.total_seconds()),
    }
    if role.policy is not None:
        parameters["Policy"] = role.policy
    if role.policy_arns:
        parameters["PolicyArns"] = [{"arn": arn} for arn in role.policy_arns]
    return parameters


def _success(response: Mapping[str, Any]) -> Answer:
    about = response.get("ResponseMetadata", {})
    result = {name: value for name, value in response.items() if name != "ResponseMetadata"}
    told = _told(about) if result.get("Credentials") else None
    return Answer(SUCCESS, status=about.get("HTTPStatusCode", 200), told=told, result=result)


def _error(response: Mapping[str, Any], token: Secret) -> Answer:
    about = response.get("ResponseMetadata", {})
    error = response.get("Error", {})
    code = str(error.get("Code") or about.get("HTTPStatusCode"))
    return Answer(
        code if _CODE.fullmatch(code) else "Unreadable",
        message=_cleared(str(error.get("Message") or ""), token),
        status=about.get("HTTPStatusCode", 0),
        told=_told(about) if "x-amzn-requestid" in about.get("HTTPHeaders", {}) else None,
    )


def _told(about: Mapping[str, Any]) -> datetime | None:
    try:
        told = parsedate_to_datetime(about.get("HTTPHeaders", {})["date"])
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if told.tzinfo is None or not _EARLIEST < told < _LATEST:
        return None
    return told.astimezone(UTC) + _HALF_A_SECOND


def _cleared(message: str, token: Secret) -> str:
    whole = token.reveal()
    for piece in (whole, *whole.split(".")):
        if len(piece) >= _WORD_LENGTH:
            message = message.replace(piece, "…")
    readable = "".join(character if character.isprintable() else " " for character in message)
    return " ".join(_TOKEN_LIKE.sub("…", readable).split())[:_MESSAGE_LENGTH]
