"""What goes over the wire to a user pool, and what is believed of what comes back."""

import asyncio
import base64
import hmac
import json
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from agent.clients.cognito import CognitoEndpoint, cognito_client
from agent.clock import RemoteClock
from agent.errors import AgentError, CredentialsRefused, TokenUnavailable
from agent.events import Event
from agent.secret import Secret
from agent.tokens.cognito.pool import App, Challenge, Tokens, UserPool
from agent.tokens.cognito.refusals import Refused, Turn
from tests.fakes.clock import START, FakeClock
from tests.fakes.sts_server import Reply, StsServer, http

pytestmark = pytest.mark.long

APP = App("eu-central-1_Ab129faBb", "client", Secret("canary-secret"))
REFRESH = Secret("canary.refresh")
RESULT = {"IdToken": "canary.id.token", "AccessToken": "canary.access", "RefreshToken": "canary.refresh"}


def answer(document: object, status: int = 200, **about: Any) -> Reply:
    return http(json.dumps(document), status, content_type="application/x-amz-json-1.1", **about)


def given(**result: object) -> Reply:
    return answer({"AuthenticationResult": RESULT | result})


def refusal(code: str, message: str = "", status: int = 400) -> Reply:
    return answer({"__type": code, "message": message}, status)


@dataclass
class Bench:
    pool: UserPool
    server: StsServer
    clock: RemoteClock
    base: FakeClock
    events: list[Event]

    @property
    def sent(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = json.loads(self.server.requests[-1].body)
        return found


@asynccontextmanager
async def bench(*replies: Reply) -> AsyncIterator[Bench]:
    base, events = FakeClock(), list[Event]()
    clock = RemoteClock(base)
    async with (
        StsServer([*replies]) as server,
        cognito_client("cognito-idp", CognitoEndpoint("eu-central-1", server.url)) as client,
    ):
        yield Bench(UserPool(client, clock, events.append, patience=timedelta(seconds=20)), server, clock, base, events)


async def renewed(bench: Bench) -> Tokens:
    return await bench.pool.renew(APP, REFRESH)


async def failing(asked: Awaitable[object], kind: type[BaseException]) -> Any:
    with pytest.raises(kind) as caught:
        await asked
    assert "canary" not in "".join(traceback.format_exception(caught.value))
    return caught.value


async def test_requests_are_json_and_unsigned_and_go_to_one_operation() -> None:
    async with bench(given()) as one:
        await one.pool.begin(APP, "USER_SRP_AUTH", {"USERNAME": "machine"})

        request = one.server.requests[0]
        assert request.headers["x-amz-target"] == "AWSCognitoIdentityProviderService.InitiateAuth"
        assert "authorization" not in request.headers
        assert "x-amz-security-token" not in request.headers
        assert one.sent == {
            "AuthFlow": "USER_SRP_AUTH",
            "ClientId": "client",
            "AuthParameters": {"USERNAME": "machine"},
        }


async def test_a_renewal_shows_the_clients_secret_itself_and_no_user() -> None:
    async with bench(given()) as one:
        await renewed(one)

        assert one.sent == {"RefreshToken": "canary.refresh", "ClientId": "client", "ClientSecret": "canary-secret"}


async def test_a_challenge_that_has_no_session_is_answered_without_one() -> None:
    async with bench(given()) as one:
        await one.pool.respond(APP, Challenge("PASSWORD_VERIFIER", Secret(""), {}), {"USERNAME": "machine"})

        assert "Session" not in one.sent


def test_the_secret_hash_is_of_the_user_and_the_client() -> None:
    expected = hmac.digest(b"canary-secret", b"machineclient", "sha256")
    assert APP.secret_hash("machine") == {"SECRET_HASH": base64.b64encode(expected).decode()}
    assert App("p_p", "client").secret_hash("machine") == {}


async def test_tokens_or_a_challenge_come_back() -> None:
    asking = {"ChallengeName": "SMS_MFA", "Session": "canary-session", "ChallengeParameters": {"A": "b"}}
    async with bench(given(), given(RefreshToken=None), answer(asking)) as one:
        assert await renewed(one) == Tokens(Secret("canary.id.token"), Secret("canary.refresh"))
        assert await renewed(one) == Tokens(Secret("canary.id.token"), None)
        found = await one.pool.begin(APP, "USER_SRP_AUTH", {})
        assert found == Challenge("SMS_MFA", Secret("canary-session"), {"A": "b"})
        assert "canary" not in repr(found)


@pytest.mark.parametrize(
    "reply",
    [
        answer({}),
        answer({"AuthenticationResult": {}}),
        given(IdToken=""),
        given(IdToken=None),
        given(IdToken="canary with blanks"),
        given(IdToken="canary\n"),
        given(IdToken="c" * 20_001),
        given(RefreshToken="canary ü"),
        answer({"ChallengeName": "SMS_MFA"}),
        http("canary", content_type="text/html"),
        http("[" * 100_000, content_type="application/x-amz-json-1.1"),
        http("{", content_type="application/x-amz-json-1.1"),
        http("[]", content_type="application/x-amz-json-1.1"),
        http('"canary"', content_type="application/x-amz-json-1.1"),
        http(b"{" + b" " * (1 << 20) + b"}", content_type="application/x-amz-json-1.1"),
        http("canary", 302),
        Reply(b"canary"),
        Reply(b""),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        Reply(b"", "reset"),
    ],
)
async def test_whatever_else_comes_is_no_answer(reply: Reply) -> None:
    async with bench(reply) as one:
        await failing(renewed(one), (TokenUnavailable, Refused))  # type: ignore[arg-type]  # one or the other


async def test_an_answer_without_end_is_given_up() -> None:
    endless = b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: x\r\n\r\n" + b"{" * (3 << 20)
    async with bench(Reply(endless, "hang")) as one:
        await failing(renewed(one), TokenUnavailable)


async def test_a_pool_that_says_nothing_is_waited_for_only_so_long() -> None:
    async with bench(Reply(b"", "hang")) as one:
        asking = asyncio.ensure_future(renewed(one))
        await one.server.asked.wait()
        await one.base.advance(timedelta(seconds=21))

        assert "in time" in (await failing(asking, TokenUnavailable)).what


async def test_a_pool_that_is_not_there_is_said_with_the_settings() -> None:
    async with cognito_client("cognito-idp", CognitoEndpoint("eu-central-1", "http://127.0.0.1:9")) as client:
        clock = RemoteClock(FakeClock())
        pool = UserPool(client, clock, lambda _: None, patience=timedelta(seconds=20))
        error = await failing(pool.renew(APP, REFRESH), TokenUnavailable)
    assert "cannot be reached" in error.what
    assert "identity.endpoint_url" in error.hint


@pytest.mark.parametrize(
    ("reply", "turn"),
    [
        (refusal("NotAuthorizedException", "Refresh Token has been revoked"), Turn.OVER),
        (refusal("com.amazonaws#NotAuthorizedException", "Incorrect username or password."), Turn.PASSWORD),
        (refusal("TooManyRequestsException"), Turn.SOON),
        (refusal("InternalErrorException", "canary.refresh eyJcanary", 500), Turn.SOON),
        (http("<html>canary</html>", 503), Turn.SOON),
        (http("<html>", 403, content_type="text/html"), Turn.SOMEBODY),
    ],
)
async def test_a_refusal_keeps_its_code_and_its_words(reply: Reply, turn: Turn) -> None:
    async with bench(reply) as one:
        with pytest.raises(Refused) as caught:
            await renewed(one)
        assert caught.value.turn is turn
        assert "eyJ" not in caught.value.message


@pytest.mark.parametrize("make", [given, lambda **about: refusal("NotAuthorizedException", **about)])
async def test_each_answer_of_cognitos_own_tells_the_time(make: Callable[[], Reply]) -> None:
    async with bench(make()) as one:
        one.base.step(timedelta(hours=1))
        with suppress(Refused):
            await renewed(one)
        assert one.clock.offset is not None
        assert abs(one.clock.now() - START) < timedelta(seconds=1)
        assert [type(event).__name__ for event in one.events] == ["ClockMeasured"]


@pytest.mark.parametrize(
    "about",
    [{"request_id": None}, {"date": None}, {"date": "yesterday"}, {"date": "Thu, 01 Jan 1970 00:00:00 GMT"}],
)
async def test_what_is_not_cognitos_or_is_no_time_teaches_nothing(about: dict[str, Any]) -> None:
    async with bench(answer({"AuthenticationResult": RESULT}, **about)) as one:
        await renewed(one)
        assert one.clock.offset is None


async def test_a_renewal_asks_no_question() -> None:
    async with bench(answer({"ChallengeName": "SMS_MFA", "ChallengeParameters": {}})) as one:
        await failing(renewed(one), TokenUnavailable)


async def test_an_error_of_ours_comes_out_as_it_is() -> None:
    class Closed:
        async def get_tokens_from_refresh_token(self, **_: object) -> Mapping[str, Any]:
            raise CredentialsRefused("the client cannot be opened", hint="correct it")

    pool = UserPool(
        Closed(),  # type: ignore[arg-type]  # only this one is asked
        RemoteClock(FakeClock()),
        lambda _: None,
        patience=timedelta(seconds=20),
    )
    error: AgentError = await failing(pool.renew(APP, Secret("x")), CredentialsRefused)
    assert error.what == "the client cannot be opened"
