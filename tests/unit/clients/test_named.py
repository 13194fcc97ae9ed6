"""Whose credentials sign: shown by what arrives at a KMS, whatever else lies around."""

import asyncio
import hashlib
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from agent.clients.signed import SignedEndpoint, kms_client
from agent.errors import AgentError, ConfigurationError, CredentialsRefused, CredentialsUnavailable
from tests.fakes.aws_behind_proxy import ASSUMED, REGION, SIGNED_IN, Aws, aws_behind_proxy
from tests.fakes.moto import held
from tests.fakes.sts_server import Reply, Request, StsServer, http
from tests.fakes.sts_server import error as sts_error

ENVIRONMENT, STATIC, OTHER = "AKIAENVIRONMENT12345", "AKIASTATICSTATIC1234", "AKIAOTHEROTHER123456"
CONTAINER, INSTANCE, PROCESS = "ASIACONTAINER1234567", "ASIAINSTANCE12345678", "ASIAPROCESS123456789"
CANARY = "canary-secret"
LATER = "2099-01-01T00:00:00Z"
ROLE = "arn:aws:iam::123456789012:role/publisher"


@pytest.fixture
async def aws(tmp_path: Path) -> AsyncIterator[Aws]:
    async with aws_behind_proxy(tmp_path) as served:
        yield served


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own, with nothing of AWS in it or in the environment."""
    for name in os.environ:
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".aws").mkdir()
    return tmp_path


@pytest.fixture
def keys_in_the_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ENVIRONMENT)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-of-the-environment")


def configured(home: Path, text: str, credentials: str = "") -> None:
    (home / ".aws" / "config").write_text(text)
    (home / ".aws" / "credentials").write_text(credentials)


def keys(name: str, access_key_id: str = STATIC) -> str:
    return f"[{name}]\naws_access_key_id = {access_key_id}\naws_secret_access_key = {CANARY}\n"


async def asked(aws: Aws, credentials: str, **more: Any) -> list[str]:
    """Ask KMS twice; what the requests were signed with."""
    endpoint = SignedEndpoint(REGION, credentials, proxy=aws.proxy, ca_bundle=aws.ca, **more)
    async with kms_client(endpoint) as client:
        await client.describe_key(KeyId="alias/rolecall")
        await client.describe_key(KeyId="alias/rolecall")
    return aws.signers("kms.")


async def refused(aws: Aws, credentials: str, **more: Any) -> AgentError:
    with pytest.raises(AgentError) as caught:
        await asked(aws, credentials, **more)
    assert caught.value.hint
    assert CANARY not in f"{caught.value.what}{caught.value.hint}"
    assert aws.asked("kms.") == []
    return caught.value


# --- the environment


@pytest.mark.usefixtures("keys_in_the_environment")
async def test_the_keys_of_the_environment_sign_when_they_are_named(aws: Aws, home: Path) -> None:
    configured(home, keys("default"))
    assert await asked(aws, "environment") == [ENVIRONMENT] * 2
    assert aws.asked("kms.")[0].headers["x-amz-security-token"] == "session-of-the-environment"
    assert f"/{REGION}/kms/aws4_request" in aws.asked("kms.")[0].headers["authorization"]


async def test_without_keys_in_the_environment_no_other_place_is_looked_at(
    aws: Aws, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(home, keys("default"))
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/")
    error = await refused(aws, "environment")
    assert isinstance(error, ConfigurationError)
    assert error.what == "there are no AWS credentials in the environment"


async def test_half_of_the_keys_are_none(aws: Aws, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ENVIRONMENT)
    assert "says only half" in (await refused(aws, "environment")).what


# --- profiles


@pytest.mark.usefixtures("keys_in_the_environment")
@pytest.mark.parametrize("file", ["config", "credentials"])
async def test_the_keys_of_a_profile_win_over_those_of_the_environment(aws: Aws, home: Path, file: str) -> None:
    texts = {"config": ("profile ", ""), "credentials": ("", "")}[file]
    text = keys("default", OTHER) + keys(f"{texts[0]}kms")
    configured(home, *((text, "") if file == "config" else ("", text)))
    assert await asked(aws, "profile:kms") == [STATIC] * 2
    assert "x-amz-security-token" not in aws.asked("kms.")[0].headers


async def test_keys_that_somebody_writes_anew_into_the_file_are_used_from_then_on(aws: Aws, home: Path) -> None:
    configured(home, "", keys("kms"))
    endpoint = SignedEndpoint(REGION, "profile:kms", proxy=aws.proxy, ca_bundle=aws.ca)
    async with kms_client(endpoint) as client:
        await client.describe_key(KeyId="x")
        configured(home, "", keys("kms", OTHER))
        await client.describe_key(KeyId="x")
    assert aws.signers("kms.") == [STATIC, OTHER]


@pytest.mark.usefixtures("keys_in_the_environment")
async def test_a_role_is_assumed_with_the_keys_of_its_source_once(aws: Aws, home: Path) -> None:
    configured(home, f"[profile kms]\nrole_arn = {ROLE}\nsource_profile = base\n", keys("base"))
    assert await asked(aws, "profile:kms") == [ASSUMED] * 2
    assert aws.signers("sts.") == [STATIC]
    assert aws.asked("sts.")[0].form["RoleArn"] == ROLE


@pytest.mark.usefixtures("keys_in_the_environment")
async def test_a_role_may_have_the_environment_as_its_source_where_the_profile_says_so(aws: Aws, home: Path) -> None:
    configured(home, f"[profile kms]\nrole_arn = {ROLE}\ncredential_source = Environment\n")
    assert await asked(aws, "profile:kms") == [ASSUMED] * 2
    assert aws.signers("sts.") == [ENVIRONMENT]


async def test_a_web_identity_is_exchanged_unsigned(aws: Aws, home: Path) -> None:
    (home / "token").write_text("a.b.c")
    configured(home, f"[profile kms]\nrole_arn = {ROLE}\nweb_identity_token_file = {home / 'token'}\n")
    assert await asked(aws, "profile:kms") == [ASSUMED] * 2
    (request,) = aws.asked("sts.")
    assert request.form["WebIdentityToken"] == "a.b.c"
    assert "authorization" not in request.headers


SSO = f"""
[profile kms]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = publisher
[sso-session corp]
sso_region = {REGION}
sso_start_url = https://corp.example.com/start
"""


async def test_a_sign_in_of_somebody_gives_them(aws: Aws, home: Path) -> None:
    configured(home, SSO)
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    token = {"accessToken": "sso-token", "expiresAt": LATER, "startUrl": "https://corp.example.com/start"}
    # The AWS CLI names the file for the session's name.
    (cache / f"{hashlib.sha1(b'corp', usedforsecurity=False).hexdigest()}.json").write_text(json.dumps(token))

    assert await asked(aws, "profile:kms") == [SIGNED_IN] * 2

    (request,) = aws.asked("portal.sso.")
    assert request.headers["x-amz-sso_bearer_token"] == "sso-token"
    assert "authorization" not in request.headers


async def test_who_has_not_signed_in_is_told_how(aws: Aws, home: Path) -> None:
    configured(home, SSO)
    error = await refused(aws, "profile:kms")
    assert isinstance(error, CredentialsRefused)
    assert "aws sso login" in error.hint


PROCESS_SAYS = json.dumps({"Version": 1, "AccessKeyId": PROCESS, "SecretAccessKey": CANARY, "SessionToken": "t"})


async def test_a_process_gives_the_keys(aws: Aws, home: Path) -> None:
    (home / "give.py").write_text(f"print('''{PROCESS_SAYS}''')")
    configured(home, f"[profile kms]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    assert await asked(aws, "profile:kms") == [PROCESS] * 2


@pytest.mark.parametrize(
    "program",
    [
        f"import sys; sys.exit('{CANARY}')",
        f"print('{CANARY}')",
        "print('{}')",
        f"print('{{\"Version\": 9}}') # {CANARY}",
    ],
)
async def test_what_a_process_says_that_fails_is_passed_on_nowhere(
    aws: Aws, home: Path, program: str, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "give.py").write_text(program)
    configured(home, f"[profile kms]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    error = await refused(aws, "profile:kms")
    assert error.what.startswith("no AWS credentials could be had from the AWS profile kms")
    assert error.__cause__ is None
    assert CANARY not in caplog.text


async def test_what_a_process_says_that_fails_later_is_not_logged_either(
    aws: Aws, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """botocore logs that credentials which it already has could not be refreshed, with all that was said."""
    ends = PROCESS_SAYS.replace("{", '{"Expiration": "2020-01-01T00:00:00Z", ', 1)
    (home / "give.py").write_text(
        f"import pathlib, sys\nonce = pathlib.Path({str(home / 'once')!r})\n"
        f"if once.exists(): sys.exit('{CANARY}')\nonce.touch()\nprint({ends!r})"
    )
    configured(home, f"[profile kms]\ncredential_process = {sys.executable} {home / 'give.py'}\n")
    assert isinstance(await refused(aws, "profile:kms"), CredentialsUnavailable)
    assert (home / "once").exists()
    assert CANARY not in caplog.text


async def test_a_process_that_hangs_ends_with_the_patience_of_whoever_wanted_credentials(aws: Aws, home: Path) -> None:
    os.mkfifo(home / "pid")
    (home / "hang.py").write_text(
        f"import os, pathlib, time\npathlib.Path({str(home / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    )
    configured(home, f"[profile kms]\ncredential_process = {sys.executable} {home / 'hang.py'}\n")
    asking = asyncio.ensure_future(asked(aws, "profile:kms"))
    pid = int(await asyncio.to_thread((home / "pid").read_text))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


LOOP = "".join(
    f"[profile {one}]\nrole_arn = {ROLE}\nsource_profile = {other}\n" for one, other in (("kms", "b"), ("b", "kms"))
)
MFA = f"[profile kms]\nrole_arn = {ROLE}\nsource_profile = base\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[profile other]\n", "there is no AWS profile kms in "),
        ("[profile kms]\nregion = x\n", "the AWS profile kms says nothing of AWS credentials"),
        ("[profile kms]\naws_access_key_id = AKIA\n", "the AWS profile kms says only half"),
        (f"[profile kms]\nrole_arn = {ROLE}\nsource_profile = gone\n", "what the AWS configuration says of"),
        (f"[profile kms]\nrole_arn = {ROLE}\n", "the AWS profile kms says only half"),
        (
            LOOP,
            "the AWS profile kms leads back to itself",
        ),
        (MFA, "the profile asks for an MFA code, and there is nobody to type one"),
        ("[[[garbage", "what the AWS configuration says of the AWS profile kms cannot be"),
    ],
)
@pytest.mark.usefixtures("keys_in_the_environment")
async def test_a_profile_that_gives_none_is_a_mistake_and_nothing_else_is_used(
    aws: Aws, home: Path, text: str, what: str
) -> None:
    configured(home, text, keys("base") + keys("default"))
    error = await refused(aws, "profile:kms")
    assert isinstance(error, ConfigurationError)
    assert error.what.startswith(what)


async def test_a_role_that_sts_does_not_give_is_said_with_its_code(aws: Aws, home: Path) -> None:
    aws.server.replies[:] = [sts_error("AccessDenied", CANARY, 403)]
    configured(home, f"[profile kms]\nrole_arn = {ROLE}\nsource_profile = base\n", keys("base"))
    error = await refused(aws, "profile:kms")
    assert isinstance(error, CredentialsRefused)
    assert error.what == "AWS gave no credentials to the AWS profile kms: AccessDenied"


# --- metadata services


def given(access_key_id: str, expires: str = LATER) -> Reply:
    about = {"AccessKeyId": access_key_id, "SecretAccessKey": CANARY, "Token": "t", "Expiration": expires}
    return http(json.dumps({"Code": "Success", **about}), content_type="application/json")


async def test_a_container_agent_gives_them_and_no_proxy_hears_of_it(
    aws: Aws, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with StsServer([given(CONTAINER)]) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{container.url}/v1/credentials/web")
        monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "the-token")
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
        assert await asked(aws, "container") == [CONTAINER] * 2
        (request,) = container.requests
        assert request.headers["authorization"] == "the-token"


async def test_credentials_that_end_are_fetched_again(aws: Aws, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with StsServer([given(OTHER, "2020-01-01T00:00:00Z"), given(CONTAINER)]) as container:
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url)
        assert await asked(aws, "container") == [CONTAINER] * 2
        assert len(container.requests) == 2


@pytest.mark.usefixtures("keys_in_the_environment")
async def test_without_a_container_agent_there_are_none(aws: Aws) -> None:
    error = await refused(aws, "container")
    assert isinstance(error, ConfigurationError)
    assert "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" in error.hint


def instance(*, version: int = 2) -> Callable[[Request], Reply]:
    def answer(request: Request) -> Reply:
        method, path, _ = request.line.split()
        if method == "PUT":
            return http("imds-token", content_type="text/plain") if version == 2 else http("", 404)
        if version == 2 and request.headers.get("x-aws-ec2-metadata-token") != "imds-token":
            return http("", 401)
        return given(INSTANCE) if path.endswith("/web") else http("web", content_type="text/plain")

    return answer


async def test_an_instance_gives_those_of_its_role_whatever_the_environment_says(
    aws: Aws, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    async with StsServer([instance()]) as metadata:
        assert await asked(aws, "instance", metadata_url=f"{metadata.url}/") == [INSTANCE] * 2
        assert [request.line.split()[0] for request in metadata.requests] == ["PUT", "GET", "GET"]


@pytest.mark.usefixtures("keys_in_the_environment")
async def test_the_first_version_of_the_metadata_service_is_not_spoken(aws: Aws) -> None:
    async with StsServer([instance(version=1)]) as metadata:
        error = await refused(aws, "instance", metadata_url=f"{metadata.url}/")
        assert isinstance(error, CredentialsUnavailable)
        assert {request.line.split()[0] for request in metadata.requests} == {"PUT"}


async def test_without_a_metadata_service_there_are_none(aws: Aws, home: Path) -> None:
    error = await refused(aws, "instance", metadata_url="http://127.0.0.1:1/")
    assert isinstance(error, CredentialsUnavailable)


# --- our own roles


async def test_those_of_our_role_are_asked_for_each_time(aws: Aws) -> None:
    times = 0

    async def ours() -> Any:
        nonlocal times
        times += 1
        if times == 3:
            raise CredentialsUnavailable("not now", hint="later")
        return await held()

    async with kms_client(SignedEndpoint(REGION, ours, proxy=aws.proxy, ca_bundle=aws.ca)) as client:
        for _ in range(2):
            await client.describe_key(KeyId="x")
        with pytest.raises(CredentialsUnavailable, match="not now"):
            await client.describe_key(KeyId="x")
    assert aws.signers("kms.") == [(await held()).access_key_id] * 2
    assert aws.asked("kms.")[0].headers["x-amz-security-token"] == "canary-session-token"
