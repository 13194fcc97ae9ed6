"""What does every source of credentials promise? One suite; each implementation is one more parameter."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, timedelta

import pytest

from agent.clients.aws import StsEndpoint, sts_client
from agent.clients.cognito import CognitoEndpoint, cognito_client
from agent.clients.identity_center import CenterEndpoint, identity_center_client
from agent.clock import RemoteClock
from agent.credentials import CredentialSource
from agent.credentials.identity_center.permission_set import PermissionSet
from agent.credentials.identity_center.source import IdentityCenterCredentials, Shared
from agent.credentials.identity_center.validation import Given
from agent.credentials.identity_pool import AwsIdentityPool, PooledIdentity, PooledRole
from agent.credentials.sts import AwsSts, Role, StsWebIdentity
from agent.errors import (
    CredentialsRefused,
    CredentialsUnavailable,
    KeyUnavailable,
    TokenUnavailable,
)
from agent.secret import Secret
from agent.sign_in import Portal
from agent.tokens import Token
from tests.fakes.clock import START, FakeClock
from tests.fakes.minted import MintedTokens
from tests.fakes.sts_server import (
    CANARY_SECRET,
    CANARY_SESSION,
    ROLE_ARN,
    SESSION_ARN,
    Reply,
    Request,
    StsServer,
    error,
    granted,
    http,
)

LATER = (CredentialsUnavailable, TokenUnavailable, KeyUnavailable)


@dataclass
class Bench:
    """A source, and ways to rule the world it asks."""

    source: CredentialSource
    number_given: Callable[[], int]
    refuse: Callable[[], None]
    be_down: Callable[[], None]
    answer_nonsense: Callable[[], None]
    break_token: Callable[[Exception | None], None]
    role_arn: str = ROLE_ARN


class Breakable:
    """A token source that can be made to fail."""

    def __init__(self, tokens: MintedTokens) -> None:
        self._tokens = tokens
        self.failure: Exception | None = None

    async def token(self) -> Token:
        if self.failure is not None:
            raise self.failure
        return await self._tokens.token()


async def sts(stack: AsyncExitStack) -> Bench:
    count = 0

    def numbered(_: Request) -> Reply:
        nonlocal count
        count += 1
        return granted(AccessKeyId=f"ASIAEXAMPLE{count:09}")

    server = await stack.enter_async_context(StsServer([numbered]))
    client = await stack.enter_async_context(sts_client(StsEndpoint("eu-central-1", endpoint_url=server.url)))
    clock = RemoteClock(FakeClock())
    tokens = Breakable(MintedTokens(clock))
    role = Role(ROLE_ARN, "host-1", timedelta(hours=1))

    def play(reply: Reply) -> None:
        server.replies[:] = [reply]

    def break_token(failure: Exception | None) -> None:
        tokens.failure = failure

    return Bench(
        StsWebIdentity(AwsSts(client), role, tokens, clock, lambda _: None, patience=timedelta(seconds=20)),
        lambda: count,
        lambda: play(error("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity", 403)),
        lambda: play(Reply(b"", "reset")),
        lambda: play(granted(SecretAccessKey="")),
        break_token,
    )


SSO_SESSION = "arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Developer_0123456789abcdef/ada"
SSO_ROLE = (
    "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-central-1/"
    "AWSReservedSSO_Developer_0123456789abcdef"
)


class Person:
    """Somebody who is signed in, as a source of access tokens that can be made to fail."""

    def __init__(self) -> None:
        self.failure: Exception | None = None

    async def token(self) -> Secret:
        if self.failure is not None:
            raise self.failure
        return Secret("an-access-token")

    async def another(self, refused: Secret) -> Secret:
        return refused

    def taken(self, token: Secret) -> None:
        """Well."""

    def over(self, why: Exception) -> None:
        """Well."""


async def identity_center(stack: AsyncExitStack) -> Bench:
    count = 0

    def credentials(**changed: object) -> Reply:
        members = {
            "accessKeyId": f"ASIAEXAMPLE{count:09}",
            "secretAccessKey": CANARY_SECRET,
            "sessionToken": CANARY_SESSION,
            "expiration": int((START + timedelta(hours=1)).timestamp() * 1000),
        }
        return http(json.dumps({"roleCredentials": {**members, **changed}}), content_type="application/json")

    def numbered(_: Request) -> Reply:
        nonlocal count
        count += 1
        return credentials()

    async def who_am_i(_: Given) -> str:
        return SSO_SESSION

    server = await stack.enter_async_context(StsServer([numbered]))
    endpoint = CenterEndpoint("eu-central-1", server.url)
    center = await stack.enter_async_context(identity_center_client(endpoint))
    clock, person = RemoteClock(FakeClock()), Person()
    portal = Portal("https://example.awsapps.com/start", "eu-central-1")
    shared = Shared(portal, center, person, person, who_am_i, clock, lambda _: None, timedelta(seconds=20))

    def play(reply: Reply) -> None:
        server.replies[:] = [reply]

    def break_token(failure: Exception | None) -> None:
        person.failure = failure

    no_access = json.dumps({"message": "No access", "__type": "com.amazonaws.switchboard.portal#ForbiddenException"})
    return Bench(
        IdentityCenterCredentials(PermissionSet("123456789012", "Developer", "eu-central-1"), shared),
        lambda: count,
        lambda: play(http(no_access, 403, content_type="application/json")),
        lambda: play(Reply(b"", "reset")),
        lambda: play(credentials(secretAccessKey="")),
        break_token,
        SSO_ROLE,
    )


async def identity_pool(stack: AsyncExitStack) -> Bench:
    count = 0

    def answer(document: object, status: int = 200) -> Reply:
        return http(json.dumps(document), status, content_type="application/x-amz-json-1.1")

    def credentials(**changed: object) -> Reply:
        members = {
            "AccessKeyId": f"ASIAEXAMPLE{count:09}",
            "SecretKey": CANARY_SECRET,
            "SessionToken": CANARY_SESSION,
            "Expiration": (START + timedelta(hours=1)).timestamp(),
        }
        return answer({"Credentials": members | changed})

    def numbered(request: Request) -> Reply:
        nonlocal count
        if request.headers["x-amz-target"].endswith("GetId"):
            return answer({"IdentityId": "eu-central-1:0"})
        count += 1
        return credentials()

    async def who_am_i(_: str, __: Secret, ___: Secret) -> str:
        return SESSION_ARN

    server = await stack.enter_async_context(StsServer([numbered]))
    endpoint = CognitoEndpoint("eu-central-1", server.url)
    client = await stack.enter_async_context(cognito_client("cognito-identity", endpoint))
    clock = RemoteClock(FakeClock())
    tokens = Breakable(MintedTokens(clock))
    pool = AwsIdentityPool(client, "eu-central-1:0", "provider", clock, patience=timedelta(seconds=20))

    def play(reply: Reply) -> None:
        server.replies[:] = [reply]

    def break_token(failure: Exception | None) -> None:
        tokens.failure = failure

    return Bench(
        PooledIdentity(pool, PooledRole(ROLE_ARN), tokens, clock, who_am_i),
        lambda: count,
        lambda: play(answer({"__type": "InvalidIdentityPoolConfigurationException"}, 400)),
        lambda: play(Reply(b"", "reset")),
        lambda: play(credentials(SecretKey="")),
        break_token,
    )


@pytest.fixture(params=[sts, identity_center, identity_pool])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    build: Callable[[AsyncExitStack], Awaitable[Bench]] = request.param
    async with AsyncExitStack() as stack:
        yield await build(stack)


async def test_what_is_given_is_whole_in_utc_and_good_for_a_while(bench: Bench) -> None:
    given = await bench.source.fetch()
    assert given.access_key_id.startswith("ASIA")
    assert given.secret_access_key.reveal() == CANARY_SECRET
    assert given.session_token.reveal() == CANARY_SESSION
    assert (given.role_arn, given.account_id) == (bench.role_arn, "123456789012")
    assert given.obtained_at.tzinfo is UTC
    assert given.expires_at.tzinfo is UTC
    assert timedelta(0) < given.lifetime <= timedelta(hours=1, minutes=5)


async def test_nothing_is_cached(bench: Bench) -> None:
    given = [(await bench.source.fetch()).access_key_id for _ in range(3)]
    assert len(set(given)) == 3
    assert bench.number_given() == 3


async def test_fetches_at_once_do_not_mix(bench: Bench) -> None:
    given = await asyncio.gather(*(bench.source.fetch() for _ in range(10)))
    assert len({one.access_key_id for one in given}) == 10


async def test_a_refusal_is_final_and_says_what_to_do(bench: Bench) -> None:
    bench.refuse()
    with pytest.raises(CredentialsRefused) as caught:
        await bench.source.fetch()
    assert not caught.value.retryable
    assert caught.value.hint


async def test_an_outage_is_worth_another_try(bench: Bench) -> None:
    bench.be_down()
    with pytest.raises(LATER) as caught:
        await bench.source.fetch()
    assert caught.value.hint


async def test_nonsense_is_never_given_on(bench: Bench) -> None:
    bench.answer_nonsense()
    with pytest.raises(CredentialsUnavailable):
        await bench.source.fetch()


@pytest.mark.parametrize("failure", [TokenUnavailable("no token"), KeyUnavailable("no key")])
async def test_why_there_is_no_token_is_passed_on_as_it_is(bench: Bench, failure: Exception) -> None:
    bench.break_token(failure)
    with pytest.raises(type(failure)) as caught:
        await bench.source.fetch()
    assert caught.value is failure
    bench.break_token(None)
    assert (await bench.source.fetch()).access_key_id


async def test_a_cancelled_fetch_leaves_the_source_as_it_was(bench: Bench) -> None:
    fetching = asyncio.ensure_future(bench.source.fetch())
    await asyncio.sleep(0)
    fetching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await fetching
    assert (await bench.source.fetch()).access_key_id


async def test_no_secret_shows(bench: Bench) -> None:
    given = await bench.source.fetch()
    shown = f"{given} {given!r} {bench.source!r}"
    assert CANARY_SECRET not in shown
    assert CANARY_SESSION not in shown
