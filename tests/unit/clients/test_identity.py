"""GetCallerIdentity: signed with what is given and nothing that lies around, and told without a word of AWS's."""

from pathlib import Path

import pytest

from agent.clients.aws import StsEndpoint
from agent.clients.identity import Keys, caller_identity
from agent.credentials.sts.silence import silence
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret
from tests.fakes.clock import START
from tests.fakes.sts_server import (
    ACCESS_KEY_ID,
    CANARY_SECRET,
    CANARY_SESSION,
    SESSION_ARN,
    Reply,
    StsServer,
    error,
    http,
)

KEYS = Keys(ACCESS_KEY_ID, Secret(CANARY_SECRET), Secret(CANARY_SESSION))
IDENTITY = http(
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
    f"<Arn>{SESSION_ARN}</Arn><UserId>AROAEXAMPLE:host-1</UserId><Account>123456789012</Account>"
    "</GetCallerIdentityResult></GetCallerIdentityResponse>"
)


async def ask(url: str, **more: str | Path) -> str:
    place = StsEndpoint("eu-central-1", endpoint_url=url, **more)  # type: ignore[arg-type]  # fields of it
    return await caller_identity(place, KEYS, silence)


async def test_the_request_is_signed_with_what_was_given_whatever_lies_around(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with StsServer([IDENTITY]) as server:
        assert await ask(server.url) == SESSION_ARN
    (request,) = server.requests
    assert request.form["Action"] == "GetCallerIdentity"
    assert f"Credential={ACCESS_KEY_ID}/" in request.headers["authorization"]
    assert request.headers["x-amz-security-token"] == CANARY_SESSION
    assert CANARY_SECRET not in str(request)


async def test_a_refusal_is_told_by_its_code_alone() -> None:
    async with StsServer([error("SignatureDoesNotMatch", f"you signed {CANARY_SESSION}", 403)]) as server:
        with pytest.raises(CredentialsRefused) as caught:
            await ask(server.url)
    assert caught.value.what == "STS refuses them: SignatureDoesNotMatch"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("body", ["<html>Please sign in</html>", "{}", ""])
async def test_what_is_no_answer_of_sts_is_one_of_ours(body: str) -> None:
    async with StsServer([http(body)]) as server:
        with pytest.raises(CredentialsUnavailable):
            await ask(server.url)


async def test_one_answer_that_is_lost_is_asked_for_again() -> None:
    async with StsServer([Reply(b"", "reset"), IDENTITY]) as server:
        assert await ask(server.url) == SESSION_ARN
    assert len(server.requests) == 2


async def test_nobody_there_is_one_of_ours() -> None:
    with pytest.raises(CredentialsUnavailable, match="cannot be reached"):
        await ask("http://127.0.0.1:1")


async def test_a_setting_that_cannot_be_is_named() -> None:
    with pytest.raises(ConfigurationError, match="CA bundle"):
        await ask("https://127.0.0.1:1", ca_bundle=Path("/nonexistent.pem"))
    with pytest.raises(ConfigurationError, match="proxy"):
        await ask("http://127.0.0.1:1", proxy="nonsense")


def test_what_signs_is_not_shown() -> None:
    assert repr(KEYS) == f"Keys(access_key_id={ACCESS_KEY_ID!r})"


async def test_it_is_signed_by_the_time_that_is_told_where_that_is_known() -> None:
    async with StsServer([Reply(b"", "reset"), IDENTITY]) as server:
        place = StsEndpoint("eu-central-1", endpoint_url=server.url)
        assert await caller_identity(place, KEYS, silence, now=lambda: START) == SESSION_ARN
    for request in server.requests:
        assert request.headers["x-amz-date"] == "20261120T120000Z"
        assert f"Credential={ACCESS_KEY_ID}/20261120/eu-central-1/sts/aws4_request" in request.headers["authorization"]
        assert request.headers["x-amz-security-token"] == CANARY_SESSION
