"""The clients for Cognito: the right host, unsigned, whatever lies around."""

from pathlib import Path
from typing import Any

import pytest

from agent.clients.cognito import CognitoEndpoint, Service, cognito_client
from agent.errors import ConfigurationError
from tests.fakes.sts_server import Reply, StsServer, http

NO_WAY = Reply(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
JSON = "application/x-amz-json-1.1"


async def ask(service: Service, endpoint: CognitoEndpoint) -> Any:
    async with cognito_client(service, endpoint) as client:
        if service == "cognito-idp":
            return await client.initiate_auth(AuthFlow="USER_SRP_AUTH", ClientId="c", AuthParameters={})
        return await client.get_id(IdentityPoolId="eu-central-1:0", Logins={"a": "b"})


@pytest.mark.parametrize(
    ("service", "region", "host"),
    [
        ("cognito-idp", "eu-central-1", "cognito-idp.eu-central-1.amazonaws.com"),
        ("cognito-idp", "us-gov-west-1", "cognito-idp.us-gov-west-1.amazonaws.com"),
        ("cognito-identity", "eu-central-1", "cognito-identity.eu-central-1.amazonaws.com"),
        ("cognito-identity", "cn-north-1", "cognito-identity.cn-north-1.amazonaws.com.cn"),
    ],
)
async def test_each_service_and_region_has_its_own_host(service: Service, region: str, host: str) -> None:
    async with StsServer([NO_WAY]) as proxy:
        with pytest.raises(Exception, match="proxy"):
            await ask(service, CognitoEndpoint(region, proxy=proxy.url))
        assert proxy.requests[-1].line.split()[1] == f"{host}:443"


@pytest.mark.parametrize("service", ["cognito-idp", "cognito-identity"])
async def test_nothing_of_the_environment_is_used_and_nothing_signed(
    service: Service, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[default]\nendpoint_url = http://127.0.0.1:1\n")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY1234",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": "canary-ambient",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
        "AWS_PROFILE": "gone",
    }.items():
        monkeypatch.setenv(name, value)
    async with StsServer([http("{}", content_type=JSON)]) as server:
        await ask(service, CognitoEndpoint("eu-central-1", server.url))
        sent = str(server.requests)
    assert "authorization" not in server.requests[0].headers
    assert "anary" not in sent
    assert "CANARY" not in sent


@pytest.mark.parametrize(
    ("endpoint", "setting"),
    [
        (CognitoEndpoint("eu-central-1", ca_bundle=Path("/gone.pem")), "identity.ca_bundle"),
        (CognitoEndpoint("eu-central-1", proxy="ftp://x"), "identity.proxy"),
        (CognitoEndpoint("eu-central-1", "no url"), "identity.endpoint_url"),
    ],
)
async def test_what_cannot_be_is_said_with_its_setting(endpoint: CognitoEndpoint, setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await ask("cognito-idp", endpoint)
    assert setting in caught.value.hint
