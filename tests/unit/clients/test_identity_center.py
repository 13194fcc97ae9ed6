"""The clients for sso-oidc and the portal: the right hosts, unsigned, whatever lies around."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.clients.identity_center import CenterEndpoint, identity_center_client
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.sign_in import Answer
from tests.fakes.certificate import certificate
from tests.fakes.ports import own_port
from tests.fakes.sts_server import Reply, Request, StsServer, http

TOKEN = "aoa" + "canary" * 20


def said(body: object, status: int = 200, errortype: str = "") -> Reply:
    reply = http(json.dumps(body), status, content_type="application/json")
    header = f"\r\nx-amzn-errortype: {errortype}".encode() if errortype else b""
    return Reply(reply.data.replace(b"\r\nContent-Type", header + b"\r\nContent-Type", 1))


async def ask(endpoint: CenterEndpoint, operation: str = "get_role_credentials", **parameters: object) -> Answer:
    about = parameters or {"accountId": "123456789012", "roleName": "Developer", "accessToken": TOKEN}
    async with identity_center_client(endpoint) as center:
        return await center.ask(operation, **about)


async def answer_to(reply: Reply, operation: str = "get_role_credentials", **parameters: object) -> Answer:
    async with StsServer([reply]) as server:
        return await ask(CenterEndpoint("eu-central-1", server.url), operation, **parameters)


async def test_the_portal_is_asked_unsigned_with_the_token_in_its_own_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with StsServer([said({"roleCredentials": {"accessKeyId": "ASIA"}})]) as server:
        answer = await ask(CenterEndpoint("eu-central-1", server.url))
    (asked,) = server.requests
    assert asked.line == "GET /federation/credentials?account_id=123456789012&role_name=Developer HTTP/1.1"
    assert asked.headers["x-amz-sso_bearer_token"] == TOKEN
    assert asked.headers["user-agent"].startswith("rolecall/")
    assert "authorization" not in asked.headers
    assert answer.given
    assert answer.members == {"roleCredentials": {"accessKeyId": "ASIA"}}


async def test_sso_oidc_is_asked_in_json() -> None:
    async with StsServer([said({"accessToken": "a", "expiresIn": 60})]) as server:
        endpoint = CenterEndpoint("eu-central-1", server.url)
        await ask(endpoint, "create_token", grantType="refresh_token", clientId="i", clientSecret="s", refreshToken="r")
    (asked,) = server.requests
    assert asked.line == "POST /token HTTP/1.1"
    assert json.loads(asked.body) == {
        "grantType": "refresh_token", "clientId": "i", "clientSecret": "s", "refreshToken": "r",
    }  # fmt: skip
    assert "authorization" not in asked.headers


@pytest.mark.parametrize(
    ("operation", "host"),
    [
        ("get_role_credentials", "portal.sso.us-west-2.amazonaws.com:443"),
        ("create_token", "oidc.us-west-2.amazonaws.com:443"),
    ],
)
async def test_each_has_its_own_address_at_aws(operation: str, host: str) -> None:
    async with StsServer([Reply(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")]) as proxy:
        with pytest.raises(CredentialsUnavailable, match="proxy"):
            await ask(CenterEndpoint("us-west-2", proxy=proxy.url), operation, **_of(operation))
    assert proxy.requests[0].line.split()[1] == host


def _of(operation: str) -> dict[str, object]:
    if operation == "create_token":
        return {"grantType": "refresh_token", "clientId": "i", "clientSecret": "s"}
    return {"accountId": "1", "roleName": "r", "accessToken": "t"}


async def test_people_are_sent_where_sso_oidc_is() -> None:
    async with identity_center_client(CenterEndpoint("eu-west-1")) as center:
        assert center.issuer == "https://oidc.eu-west-1.amazonaws.com"


async def test_an_error_of_sso_oidc_is_known_by_its_header() -> None:
    body = {"error": "authorization_pending", "error_description": "Authorization is still pending"}
    answer = await answer_to(said(body, 400, "AuthorizationPendingException"), "create_token", **_of("create_token"))
    assert (answer.code, answer.status) == ("AuthorizationPendingException", 400)
    assert answer.message == "Authorization is still pending"


async def test_an_error_of_the_portal_is_known_by_its_type() -> None:
    body = {"message": "No access", "__type": "com.amazonaws.switchboard.portal#ForbiddenException"}
    answer = await answer_to(said(body, 403))
    assert (answer.code, answer.status, answer.message) == ("ForbiddenException", 403, "No access")


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (http("<html>", 503, content_type="text/html"), "503"),
        (http("", 429, content_type="text/plain"), "429"),
        (said({"__type": "\x1b[31m evil " * 20}, 400), "Unreadable"),
    ],
)
async def test_an_error_without_a_code_has_its_status(reply: Reply, code: str) -> None:
    assert (await answer_to(reply)).code == code


async def test_nothing_like_a_token_gets_into_a_message() -> None:
    answer = await answer_to(said({"message": f"bad token {TOKEN}\n\x1b[31m", "__type": "UnauthorizedException"}, 401))
    assert "canary" not in answer.message
    assert answer.message == "bad token … [31m"


async def test_it_tells_the_time() -> None:
    moment = datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (await answer_to(http("{}", date=moment, content_type="application/json"))).told == moment
    for date in (None, "yesterday", "Fri, 01 Jan 1999 00:00:00 GMT"):
        assert (await answer_to(http("{}", date=date, content_type="application/json"))).told is None
    stranger = http("{}", 500, date=moment, request_id=None, content_type="application/json")
    assert (await answer_to(stranger)).told is None


@pytest.mark.parametrize(
    "reply",
    [
        Reply(b"", "reset"),
        Reply(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        http('{"a":' * 5000, content_type="application/json"),
    ],
)
async def test_no_answer_is_worth_another_try(reply: Reply) -> None:
    with pytest.raises(CredentialsUnavailable) as caught:
        await answer_to(reply)
    assert caught.value.hint
    assert caught.value.__context__ is None
    assert TOKEN not in str(caught.value)


async def test_what_is_no_json_has_nothing_of_what_was_asked_for() -> None:
    answer = await answer_to(http("no json", content_type="application/json"))
    assert "roleCredentials" not in answer.members


async def test_a_redirect_is_not_followed_with_what_is_for_one_reader() -> None:
    async with StsServer([said({"roleCredentials": {}})]) as elsewhere:
        moved = f"HTTP/1.1 302 Found\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n"
        answer = await answer_to(Reply(moved.encode()))
        assert (answer.given, elsewhere.requests) == (False, [])


async def test_nobody_there_is_told_of() -> None:
    with pytest.raises(CredentialsUnavailable, match="cannot be reached"):
        await ask(CenterEndpoint("eu-central-1", f"http://127.0.0.1:{own_port()}"))


async def test_silence_is_told_of() -> None:
    async with StsServer([Reply(b"", "hang")]) as server:
        with pytest.raises(CredentialsUnavailable, match="did not answer in time"):
            await ask(CenterEndpoint("eu-central-1", server.url, read_timeout=timedelta(milliseconds=100)))


async def test_a_certificate_that_nobody_knows_is_told_of(tmp_path: Path) -> None:
    _, context = certificate(tmp_path)
    async with StsServer([said({})], tls=context) as server:
        with pytest.raises(CredentialsUnavailable) as caught:
            await ask(CenterEndpoint("eu-central-1", server.url))
        assert "certificate is not trusted" in caught.value.what
        assert "identity_center.ca_bundle" in caught.value.hint


@pytest.mark.parametrize(
    "endpoint",
    [
        CenterEndpoint("eu-central-1", "no-url"),
        CenterEndpoint("eu-central-1", proxy="nonsense"),
        CenterEndpoint("eu-central-1", ca_bundle=Path("/nowhere")),
    ],
)
async def test_what_cannot_be_opened_names_its_setting(endpoint: CenterEndpoint) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await ask(endpoint)
    assert "identity_center" in caught.value.hint


async def test_a_region_without_it_is_the_operators_turn() -> None:
    with pytest.raises((CredentialsRefused, CredentialsUnavailable, ConfigurationError)):
        await ask(CenterEndpoint("nowhere!"))


async def test_many_ask_at_once() -> None:
    def echo(request: Request) -> Reply:
        return said({"roleCredentials": {"accessKeyId": request.line.partition("role_name=")[2][:2]}})

    async with (
        StsServer([echo]) as server,
        identity_center_client(CenterEndpoint("eu-central-1", server.url)) as center,
    ):
        answers = await asyncio.gather(
            *(
                center.ask("get_role_credentials", accountId="1", roleName=f"{one:02}", accessToken="t")
                for one in range(20)
            )
        )
    got = [answer.members["roleCredentials"] for answer in answers]
    assert got == [{"accessKeyId": f"{one:02}"} for one in range(20)]
