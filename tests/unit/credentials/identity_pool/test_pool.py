"""What goes over the wire to an identity pool, and what is believed of what comes back."""

import json
import traceback
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

import pytest

from agent.clients.cognito import CognitoEndpoint, cognito_client
from agent.clock import RemoteClock
from agent.credentials.identity_pool.pool import AwsIdentityPool, IdentityGone
from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret
from tests.fakes.clock import START, FakeClock
from tests.fakes.sts_server import Reply, StsServer, http

POOL = "eu-central-1:01234567-89ab-cdef-0123-456789abcdef"
PROVIDER = "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb"
IDENTITY = "eu-central-1:fedcba98-89ab-cdef-0123-456789abcdef"
TOKEN = Secret("canary.id.token")
KEYS = {
    "AccessKeyId": "ASIAEXAMPLEEXAMPLE12",
    "SecretKey": "canary-secret",
    "SessionToken": "canary-session",
    "Expiration": (START + timedelta(hours=1)).timestamp(),
}


def answer(document: object, status: int = 200, **about: Any) -> Reply:
    return http(json.dumps(document), status, content_type="application/x-amz-json-1.1", **about)


def keys(**changed: object) -> Reply:
    return answer({"IdentityId": IDENTITY, "Credentials": KEYS | changed})


@dataclass
class Bench:
    pool: AwsIdentityPool
    server: StsServer
    clock: RemoteClock


@asynccontextmanager
async def bench(*replies: Reply) -> AsyncIterator[Bench]:
    clock = RemoteClock(FakeClock())
    async with (
        StsServer([*replies]) as server,
        cognito_client("cognito-identity", CognitoEndpoint("eu-central-1", server.url)) as client,
    ):
        yield Bench(AwsIdentityPool(client, POOL, PROVIDER, clock, patience=timedelta(seconds=20)), server, clock)


async def failing(asked: Awaitable[object], kind: type[BaseException]) -> Any:
    with pytest.raises(kind) as caught:
        await asked
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_the_login_is_shown_by_the_name_of_its_provider() -> None:
    async with bench(answer({"IdentityId": IDENTITY}), keys()) as one:
        assert await one.pool.identity(TOKEN) == IDENTITY
        given = await one.pool.credentials(IDENTITY, TOKEN)

        first, second = one.server.requests
        assert first.headers["x-amz-target"] == "AWSCognitoIdentityService.GetId"
        assert json.loads(first.body) == {"IdentityPoolId": POOL, "Logins": {PROVIDER: TOKEN.reveal()}}
        assert json.loads(second.body) == {"IdentityId": IDENTITY, "Logins": {PROVIDER: TOKEN.reveal()}}
        assert "authorization" not in first.headers
        assert given.secret_access_key.reveal() == "canary-secret"
        assert given.expires_at == START + timedelta(hours=1)
        assert given.expires_at.tzinfo is UTC
        assert "canary" not in repr(given)


async def test_the_time_is_learnt() -> None:
    async with bench(answer({"IdentityId": IDENTITY}, date=START + timedelta(hours=1))) as one:
        await one.pool.identity(TOKEN)
        assert one.clock.offset is not None
        assert one.clock.offset > timedelta(minutes=59)


@pytest.mark.parametrize(
    "reply",
    [
        answer({}),
        answer({"Credentials": None}),
        answer({"Credentials": []}),
        keys(AccessKeyId="AKIAEXAMPLEEXAMPLE12"),
        keys(AccessKeyId=None),
        keys(SecretKey=""),
        keys(SecretKey="canary\n"),
        keys(SessionToken=None),
        keys(Expiration=None),
        keys(Expiration="canary"),
        http("canary", content_type="text/html"),
        http(b"{" + b" " * (1 << 20) + b"}", content_type="application/x-amz-json-1.1"),
        Reply(b""),
        Reply(b"", "reset"),
    ],
)
async def test_nonsense_is_never_believed(reply: Reply) -> None:
    async with bench(reply) as one:
        await failing(one.pool.credentials(IDENTITY, TOKEN), CredentialsUnavailable)


@pytest.mark.parametrize("identity", [None, "", "canary", "x" * 60, 7])
async def test_an_identity_is_one(identity: object) -> None:
    async with bench(answer({"IdentityId": identity})) as one:
        await failing(one.pool.identity(TOKEN), CredentialsUnavailable)


@pytest.mark.parametrize(
    ("code", "message", "status", "kind", "hint"),
    [
        ("NotAuthorizedException", "Invalid login token. Token signature invalid.", 400, CredentialsRefused, "login"),
        ("NotAuthorizedException", "Invalid login token. Token expired: 2 >= 1", 400, CredentialsUnavailable, "clock"),
        (
            "NotAuthorizedException",
            "Token is not from a supported provider of this identity pool.",
            400,
            CredentialsRefused,
            "login providers",
        ),
        ("NotAuthorizedException", "Incorrect token audience", 400, CredentialsRefused, "identity.client_id"),
        ("InvalidIdentityPoolConfigurationException", "", 400, CredentialsRefused, "authenticated role"),
        ("ResourceNotFoundException", "IdentityPool 'x' not found.", 400, CredentialsRefused, "identity_pool"),
        ("ResourceNotFoundException", "Identity 'x' not found.", 400, IdentityGone, ""),
        ("TooManyRequestsException", "", 400, CredentialsUnavailable, "pass"),
        ("InternalErrorException", "", 500, CredentialsUnavailable, "pass"),
        ("BrandNewException", "eyJcanary", 400, CredentialsRefused, "API reference"),
    ],
)
async def test_each_error_says_whose_turn_it_is(code: str, message: str, status: int, kind: type, hint: str) -> None:
    async with bench(answer({"__type": code, "message": message}, status)) as one:
        error = await failing(one.pool.credentials(IDENTITY, TOKEN), kind)
        assert hint in getattr(error, "hint", "")
