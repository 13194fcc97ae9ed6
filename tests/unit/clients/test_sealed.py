"""What keeps a client from all that lies around; test_aws.py and test_signed.py show it of whole clients."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore.exceptions import ClientError

from agent import __version__
from agent.clients.sealed import OneHop, OwnData, Sealed, check_ca_bundle, check_proxy, sealed_config
from agent.errors import ConfigurationError
from tests.fakes.sts_server import Reply, StsServer, http


@pytest.fixture
def poisoned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    models = tmp_path / ".aws" / "models" / "kms" / "2014-11-01"
    models.mkdir(parents=True)
    (models / "service-2.json").write_text("{}")
    (tmp_path / ".aws" / "config").write_text("[default]\nregion = ap-south-1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_DATA_PATH", str(tmp_path / ".aws" / "models"))
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    monkeypatch.setenv("AWS_BEARER_TOKEN_KMS", "canary")
    return tmp_path


def test_the_data_are_botocores_own(poisoned: Path) -> None:
    assert OwnData(["kms"]).load_service_model("kms", "service-2")["metadata"]["serviceId"] == "KMS"


def test_only_the_services_that_were_named_are_known() -> None:
    assert Sealed("kms", "s3").get_available_services() == ["kms", "s3"]


def test_a_session_knows_nothing_of_files_and_environment(poisoned: Path) -> None:
    session = Sealed("kms")
    assert session.full_config == {"profiles": {}}
    assert session.get_config_variable("region") is None
    assert session.get_auth_token(signing_name="kms") is None


async def test_a_client_of_it_has_the_endpoint_of_its_region(poisoned: Path) -> None:
    opening = Sealed("kms").create_client(
        "kms", region_name="eu-central-1", config=AioConfig(), aws_access_key_id="a", aws_secret_access_key="b"
    )
    async with opening as client:
        assert client.meta.endpoint_url == "https://kms.eu-central-1.amazonaws.com"


async def test_a_client_asks_once_says_who_it_is_and_takes_only_the_proxy_that_it_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with StsServer([http("", 500)]) as server, StsServer([http("", 500)]) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        for given, reached in ((None, server), (proxy.url, proxy)):
            config = sealed_config(proxy=given, connect_timeout=timedelta(seconds=5), read_timeout=timedelta(seconds=5))
            opening = Sealed("kms").create_client(
                *("kms", "eu-central-1"),
                endpoint_url=server.url,
                config=config,
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )
            async with opening as client:
                with pytest.raises(ClientError):
                    await client.get_public_key()  # without the parameter that it wants, which KMS would say
            assert len(server.requests) == 1
            assert f"rolecall/{__version__}" in str(reached.requests[0])
        assert len(proxy.requests) == 1


def test_how_long_a_client_waits_and_what_else_it_wants_is_for_whoever_opens_it() -> None:
    config: Any = sealed_config(
        proxy=None, connect_timeout=timedelta(seconds=2), read_timeout=timedelta(seconds=3), use_fips_endpoint=True
    )
    assert (config.connect_timeout, config.read_timeout, config.use_fips_endpoint) == (2, 3, True)


async def test_no_redirect_is_followed() -> None:
    async with StsServer([http("")]) as elsewhere:
        moved = Reply(f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere.url}/\r\nContent-Length: 0\r\n\r\n".encode())
        async with StsServer([moved]) as server:
            config = AioConfig(http_session_cls=OneHop, retries={"mode": "standard", "total_max_attempts": 1})
            opening = Sealed("kms").create_client(
                *("kms", "eu-central-1"),
                endpoint_url=server.url,
                config=config,
                aws_access_key_id="a",
                aws_secret_access_key="b",
            )
            async with opening as client:
                with pytest.raises(Exception, match="307"):
                    await client.list_keys()
        assert elsewhere.requests == []


def test_what_is_wrong_with_a_ca_bundle_or_proxy_is_said_with_its_section(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_ca_bundle(tmp_path / "gone", "publishing")
    assert "publishing.ca_bundle" in caught.value.hint
    with pytest.raises(ConfigurationError) as caught:
        check_proxy("ftp://proxy", "publishing")
    assert "publishing.proxy" in caught.value.hint


def test_what_is_not_configured_is_not_wrong() -> None:
    check_ca_bundle(None, "key")
    check_proxy(None, "key")
    check_proxy("http://proxy.example.com:3128", "key")
