"""The client for STS: the right host, unsigned, whatever lies around; and nothing that it would not need."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import __version__
from agent.clients.aws import SealedSession, StsEndpoint, sts_client
from agent.credentials.sts import AwsSts, Role
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.secret import Secret
from tests.fakes.certificate import certificate
from tests.fakes.minted import CANARY_TOKEN
from tests.fakes.sts_server import ROLE_ARN, Reply, Request, StsServer, granted, http, members

pytestmark = pytest.mark.long

ROLE = Role(ROLE_ARN, "host-1", timedelta(hours=1))
NO_WAY = Reply(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def ask(endpoint: StsEndpoint) -> str:
    """Ask once; give the code of the answer. Raises what AwsSts raises."""
    async with sts_client(endpoint) as client:
        return (await AwsSts(client).assume_role_with_web_identity(ROLE, Secret(CANARY_TOKEN))).code


async def host_of(proxy: StsServer, region: str, **choices: bool) -> str:
    """Find the host and port that a client wants, as it asks a proxy to connect it there."""
    with pytest.raises(CredentialsUnavailable, match="proxy"):
        await ask(StsEndpoint(region, proxy=proxy.url, **choices))  # type: ignore[arg-type]  # switches
    method, target, _ = proxy.requests[-1].line.split()
    assert method == "CONNECT"
    return target


FIPS, DUAL = {"fips": True}, {"dualstack": True}


@pytest.mark.parametrize(
    ("region", "choices", "host"),
    [
        ("eu-central-1", {}, "sts.eu-central-1.amazonaws.com"),
        ("us-east-1", {}, "sts.us-east-1.amazonaws.com"),
        ("us-west-2", FIPS, "sts-fips.us-west-2.amazonaws.com"),
        ("eu-central-1", DUAL, "sts.eu-central-1.api.aws"),
        ("us-east-1", FIPS | DUAL, "sts-fips.us-east-1.api.aws"),
        ("us-gov-west-1", {}, "sts.us-gov-west-1.amazonaws.com"),
        ("us-gov-west-1", FIPS, "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", {}, "sts.cn-north-1.amazonaws.com.cn"),
        ("cn-north-1", DUAL, "sts.cn-north-1.api.amazonwebservices.com.cn"),
        ("eusc-de-east-1", {}, "sts.eusc-de-east-1.amazonaws.eu"),
        ("aws-global", {}, "sts.amazonaws.com"),
        ("eu-moon-7", {}, "sts.eu-moon-7.amazonaws.com"),
    ],
)
async def test_each_region_and_partition_has_its_own_host(region: str, choices: dict[str, bool], host: str) -> None:
    async with StsServer([NO_WAY]) as proxy:
        assert await host_of(proxy, region, **choices) == f"{host}:443"


POISONS: dict[str, dict[str, str]] = {
    "nothing": {},
    "a profile that is missing": {"AWS_PROFILE": "gone", "AWS_DEFAULT_PROFILE": "gone"},
    "a garbage configuration file": {"AWS_CONFIG_FILE": "{home}/garbage"},
    "a garbage credentials file": {"AWS_SHARED_CREDENTIALS_FILE": "{home}/garbage"},
    "a directory for a configuration file": {"AWS_CONFIG_FILE": "{home}"},
    "other credentials": {
        "AWS_ACCESS_KEY_ID": "AKIACANARYCANARY1234",
        "AWS_SECRET_ACCESS_KEY": "x" * 40,
        "AWS_SESSION_TOKEN": "canary-ambient",
    },
    "half of other credentials": {"AWS_ACCESS_KEY_ID": "AKIACANARYCANARY1234"},
    "another endpoint": {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
    "another endpoint for STS": {"AWS_ENDPOINT_URL_STS": "http://127.0.0.1:9"},
    "an endpoint that is none": {"AWS_ENDPOINT_URL_STS": "not a url"},
    "another region": {"AWS_REGION": "ap-south-1", "AWS_DEFAULT_REGION": "ap-south-1"},
    "a region that is none": {"AWS_REGION": "no region!", "AWS_DEFAULT_REGION": "no region!"},
    "FIPS": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "dual stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "the global endpoint": {"AWS_STS_REGIONAL_ENDPOINTS": "legacy"},
    "an endpoint mode that is none": {"AWS_STS_REGIONAL_ENDPOINTS": "nonsense"},
    "a CA bundle that is missing": {"AWS_CA_BUNDLE": "{home}/gone.pem", "REQUESTS_CA_BUNDLE": "{home}/gone.pem"},
    "a CA bundle without a name": {"AWS_CA_BUNDLE": "", "REQUESTS_CA_BUNDLE": ""},
    "a defaults mode that is none": {"AWS_DEFAULTS_MODE": "nonsense"},
    "defaults by instance metadata": {"AWS_DEFAULTS_MODE": "auto"},
    "attempts that are no number": {"AWS_MAX_ATTEMPTS": "many"},
    "ten attempts": {"AWS_MAX_ATTEMPTS": "10", "AWS_RETRY_MODE": "adaptive"},
    "a retry mode that is none": {"AWS_RETRY_MODE": "nonsense"},
    "new retries": {"AWS_NEW_RETRIES_2026": "true"},
    "a container": {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "canary-ambient",
    },
    "a web identity": {"AWS_WEB_IDENTITY_TOKEN_FILE": "{home}/gone", "AWS_ROLE_ARN": "arn:aws:iam::1:role/x"},
    "proxies": dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "ALL_PROXY"), "http://127.0.0.1:9"),
    "no proxies": {"NO_PROXY": "*", "no_proxy": "*"},
    "a bearer token": {"AWS_BEARER_TOKEN_STS": "canary-ambient", "AWS_BEARER_TOKEN_BEDROCK": "canary-ambient"},
    "an execution environment": {
        "AWS_EXECUTION_ENV": "canary-ambient\nX-Evil: 1",
        "AWS_SDK_UA_APP_ID": "canary-ambient",
    },
    "a lambda": {"AWS_LAMBDA_FUNCTION_NAME": "canary-ambient", "_X_AMZN_TRACE_ID": "canary-ambient"},
    "models of its own": {"AWS_DATA_PATH": "{home}/.aws/models"},
    "plug-ins": {"BOTOCORE_EXPERIMENTAL__PLUGINS": "evil=evil_plugin"},
    "monitoring": {"AWS_CSM_ENABLED": "true", "AWS_CSM_PORT": "nonsense"},
    "compression": {"AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES": "nonsense", "AWS_DISABLE_REQUEST_COMPRESSION": "x"},
    "checksums": {"AWS_REQUEST_CHECKSUM_CALCULATION": "nonsense", "AWS_RESPONSE_CHECKSUM_VALIDATION": "nonsense"},
    "schemes": {"AWS_AUTH_SCHEME_PREFERENCE": "sigv4a", "AWS_SIGV4A_SIGNING_REGION_SET": "x"},
    "account endpoints": {"AWS_ACCOUNT_ID_ENDPOINT_MODE": "nonsense", "AWS_ACCOUNT_ID": "nonsense"},
    "a header for the proxy": {"BOTO_EXPERIMENTAL__ADD_PROXY_HOST_HEADER": "nonsense"},
    "ignored endpoints": {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "nonsense"},
}
# What ~/.aws holds in each case besides: everything a user may have there, in the way of us.
CONFIG = """
[default]
region = ap-south-1
endpoint_url = http://127.0.0.1:9
use_fips_endpoint = true
ca_bundle = /nonexistent
retry_mode = nonsense
max_attempts = many
sts_regional_endpoints = legacy
credential_process = /bin/false
role_arn = arn:aws:iam::123456789012:role/other
source_profile = gone
sso_session = gone
"""
CREDENTIALS = "[default]\naws_access_key_id = AKIACANARYCANARY1234\naws_secret_access_key = canary-ambient\n"


def furnish(home: Path) -> None:
    models = home / ".aws" / "models" / "sts" / "2011-06-15"
    models.mkdir(parents=True)
    (models / "service-2.json").write_text("{}")
    (models / "endpoint-rule-set-1.json").write_text("garbage")
    (home / ".aws" / "models" / "endpoints.json").write_text("garbage")
    (home / ".aws" / "config").write_text(CONFIG)
    (home / ".aws" / "credentials").write_text(CREDENTIALS)
    (home / ".netrc").write_text("machine 127.0.0.1 login canary-ambient password canary-ambient\n")
    (home / ".netrc").chmod(0o600)
    (home / "garbage").write_bytes(b"[[[\x00\xff= garbage")
    (home / "evil_plugin.py").write_text("raise SystemExit('the plug-in was loaded')")


async def check_undisturbed() -> None:
    async with StsServer([granted()]) as server, StsServer([NO_WAY]) as proxy:
        assert await ask(StsEndpoint("eu-central-1", endpoint_url=server.url)) == "Success"
        (request,) = server.requests
        assert_plain(request)
        assert await host_of(proxy, "eu-central-1") == "sts.eu-central-1.amazonaws.com:443"
        assert len(proxy.requests) == 1


def assert_plain(request: Request) -> None:
    assert request.form["WebIdentityToken"] == CANARY_TOKEN
    assert request.headers["user-agent"].split()[0] == f"rolecall/{__version__}"
    for name in ("authorization", "x-amz-security-token", "x-amzn-trace-id", "x-amz-date", "cookie", "x-evil"):
        assert name not in request.headers
    for word in ("canary-ambient", "AKIA", "ap-south-1"):
        assert word not in str(request)


@pytest.mark.parametrize("poison", POISONS.values(), ids=POISONS)
async def test_nothing_that_lies_around_is_used_or_does_harm(
    poison: Mapping[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    furnish(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in poison.items():
        monkeypatch.setenv(name, value.replace("{home}", str(tmp_path)))
    await check_undisturbed()


async def test_files_that_cannot_be_read_in_the_usual_places_do_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".aws").mkdir()
    for name in ("config", "credentials"):
        (tmp_path / ".aws" / name).write_bytes(b"[[[\x00\xff= garbage")
    monkeypatch.setenv("HOME", str(tmp_path))
    await check_undisturbed()


def test_a_bearer_token_of_the_environment_is_not_even_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_BEARER_TOKEN_STS", "canary-ambient")
    assert SealedSession().get_auth_token(signing_name="sts") is None


ALL_AT_ONCE = """
import asyncio, sys
from agent.clients.aws import StsEndpoint, sts_client
from agent.credentials.sts import AwsSts, Role
from agent.secret import Secret
from datetime import timedelta
async def main():
    role = Role("arn:aws:iam::123456789012:role/path/backup", "host-1", timedelta(hours=1))
    async with sts_client(StsEndpoint("eu-central-1", endpoint_url=sys.argv[1])) as client:
        print((await AwsSts(client).assume_role_with_web_identity(role, Secret(sys.argv[2]))).code)
asyncio.run(main())
"""


async def test_all_of_it_at_once_and_from_the_start_of_the_process_does_no_harm(tmp_path: Path) -> None:
    furnish(tmp_path)
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[3])}
    for poison in POISONS.values():
        environment |= {name: value.replace("{home}", str(tmp_path)) for name, value in poison.items()}
    async with StsServer([granted()]) as server:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", ALL_AT_ONCE, server.url, CANARY_TOKEN),
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert (out.decode().strip(), err.decode()) == ("Success", "")
        (request,) = server.requests
        assert_plain(request)


@pytest.mark.parametrize("head", ["Content-Length: 100000000", "Connection: close"])
async def test_an_answer_without_end_is_not_read_to_the_end(head: str) -> None:
    too_much = Reply(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + bytes((1 << 20) + 1), "hang")
    async with StsServer([too_much]) as server:
        with pytest.raises(CredentialsUnavailable, match="no answer that STS would give") as caught:
            await ask(StsEndpoint("eu-central-1", endpoint_url=server.url))
    assert "sts.endpoint_url" in caught.value.hint


async def test_an_answer_of_a_mebibyte_is_still_read() -> None:
    async with StsServer([http(members() + " " * ((1 << 20) - len(members())))]) as server:
        assert await ask(StsEndpoint("eu-central-1", endpoint_url=server.url)) == "Success"


async def test_the_configured_proxy_is_used() -> None:
    async with StsServer([granted()]) as proxy:
        code = await ask(StsEndpoint("eu-central-1", endpoint_url="http://sts.example.com", proxy=proxy.url))
        assert code == "Success"
        (request,) = proxy.requests
        assert request.line == "POST http://sts.example.com/ HTTP/1.1"


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "http://[", "http://proxy:port", "ftp://proxy", "proxy:3128"])
async def test_a_proxy_that_is_none_or_not_there_is_named_in_the_hint(proxy: str) -> None:
    with pytest.raises((CredentialsUnavailable, ConfigurationError)) as caught:
        await ask(StsEndpoint("eu-central-1", proxy=proxy))
    assert "sts.proxy" in caught.value.hint


@pytest.mark.parametrize(
    "endpoint",
    [
        StsEndpoint("no region!"),
        StsEndpoint("eu-central-1", endpoint_url="not a url"),
        StsEndpoint("eu-central-1", endpoint_url="ftp//"),
        StsEndpoint(""),
    ],
)
async def test_an_endpoint_that_cannot_be_is_a_mistake_in_the_configuration(endpoint: StsEndpoint) -> None:
    with pytest.raises((ConfigurationError, CredentialsRefused)) as caught:
        await ask(endpoint)
    assert "sts.region" in caught.value.hint


async def test_a_private_ca_is_trusted_when_it_is_named_and_only_then(tmp_path: Path) -> None:
    ca, context = certificate(tmp_path)
    async with StsServer([granted()], tls=context) as server:
        with pytest.raises(CredentialsUnavailable, match=r"not trusted: self-signed certificate") as caught:
            await ask(StsEndpoint("eu-central-1", endpoint_url=server.url))
        assert "sts.ca_bundle" in caught.value.hint
        assert server.requests == []
        assert await ask(StsEndpoint("eu-central-1", endpoint_url=server.url, ca_bundle=ca)) == "Success"


@pytest.mark.parametrize("log", ["keys.log", "missing/keys.log"])
async def test_the_keys_of_the_connection_are_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log: str
) -> None:
    ca, context = certificate(tmp_path)
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / log))
    async with StsServer([granted()], tls=context) as server:
        assert await ask(StsEndpoint("eu-central-1", endpoint_url=server.url, ca_bundle=ca)) == "Success"
    assert not (tmp_path / log).exists()


async def test_a_certificate_for_another_name_is_not_trusted(tmp_path: Path) -> None:
    ca, context = certificate(tmp_path)
    async with StsServer([granted()], tls=context) as server:
        elsewhere = server.url.replace("127.0.0.1", "localhost")
        with pytest.raises(CredentialsUnavailable, match="not trusted: Hostname mismatch"):
            await ask(StsEndpoint("eu-central-1", endpoint_url=elsewhere, ca_bundle=ca))
        assert server.requests == []


async def test_http_where_tls_was_expected_is_said() -> None:
    async def complain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(complain, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        with pytest.raises(CredentialsUnavailable, match="TLS with STS failed"):
            await ask(StsEndpoint("eu-central-1", endpoint_url=f"https://{host}:{port}"))


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), ("no certificate", "cannot be used")])
async def test_a_ca_bundle_that_holds_none_is_refused_at_once(tmp_path: Path, content: str | None, words: str) -> None:
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    with pytest.raises(ConfigurationError, match=words) as caught:
        await ask(StsEndpoint("eu-central-1", ca_bundle=bundle))
    assert "sts.ca_bundle" in caught.value.hint


async def test_once_closed_it_is_closed() -> None:
    async with StsServer([granted()]) as server:
        async with sts_client(StsEndpoint("eu-central-1", endpoint_url=server.url)) as client:
            sts = AwsSts(client)
            await sts.assume_role_with_web_identity(ROLE, Secret(CANARY_TOKEN))
        with pytest.raises(CredentialsUnavailable):
            await sts.assume_role_with_web_identity(ROLE, Secret(CANARY_TOKEN))
        assert len(server.requests) == 1


async def test_what_happens_inside_the_client_is_not_dressed_up() -> None:
    with pytest.raises(ValueError, match="mine"):
        async with sts_client(StsEndpoint("eu-central-1")):
            raise ValueError("mine")


async def test_botocores_loggers_say_warnings_and_never_debug(caplog: pytest.LogCaptureFixture) -> None:
    async with sts_client(StsEndpoint("eu-central-1")):
        pass
    logger = logging.getLogger("botocore.endpoint")
    with caplog.at_level(logging.DEBUG, "botocore.endpoint"):
        logger.debug("a request with a token")
        logger.warning("a warning")
    assert [record.message for record in caplog.records] == ["a warning"]


LOADED = """
import asyncio, json, sys
sys.modules["awscrt"] = None  # botocore would load it wherever it is installed; we do not ask for it
from agent.clients.aws import StsEndpoint, sts_client
opened = []
looking = {"open", "os.listdir", "os.scandir"}
sys.addaudithook(lambda event, about: opened.append(str(about[0])) if event in looking else None)
async def main():
    async with sts_client(StsEndpoint("eu-central-1")):
        modules = sorted(name for name, module in sys.modules.items() if module)
        print(json.dumps([modules, [path for path in opened if "/data/" in path]]))
asyncio.run(main())
"""


def loaded() -> tuple[set[str], list[str]]:
    printed: list[Any] = json.loads(
        subprocess.run(
            [sys.executable, "-c", LOADED], capture_output=True, check=True, cwd=Path(__file__).parents[3]
        ).stdout
    )
    return set(printed[0]), [Path(path).name for path in printed[1]]


def test_only_sts_and_the_partitions_are_read_and_no_other_http_library() -> None:
    modules, files = loaded()
    small = {"partitions.json", "sdk-default-configuration.json"}  # 7 kB and 4 kB
    assert set(files) == {"sts", "service-2.json.gz", "endpoint-rule-set-1.json.gz"} | small
    assert not modules & {
        "httpx",
        "httpcore",
        "anyio",
        "boto3",
        "awscrt",
        "requests",
        "pydantic",
        "jwt",
        "agent.sandbox",
    }
