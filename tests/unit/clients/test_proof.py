"""Does what a workload shows hold before an AWS that stands in for AWS, and is it told what to do where it cannot?"""

import base64
from collections.abc import Mapping
from pathlib import Path

import jwt
import pytest

from agent.clients.proof import presigned, web_identity
from agent.errors import ConfigurationError, CredentialsRefused, CredentialsUnavailable
from agent.sandbox.federation import Outbound
from tests.unit.callers.aws.shown import SERVER
from tests.unit.sandbox.desk import desk, may, permitted

MAY = may("sts:GetWebIdentityToken", "*")


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which there are no AWS settings at all."""
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def be(monkeypatch: pytest.MonkeyPatch, given: Mapping[str, str], endpoint: str = "") -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", given["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", given["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", given["SessionToken"])
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    if endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)


GIVEN = {"AccessKeyId": "ASIAEXAMPLEEXAMPLEEX", "SecretAccessKey": "secret", "SessionToken": "a+token="}


def taken_apart(proof: str) -> tuple[str, str]:
    scheme, _, shown = proof.partition(" ")
    assert scheme == "AWS-Presigned"
    encoded, _, nonce = shown.partition(".")
    return base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode(), nonce


def test_a_presigned_request_is_for_the_regions_own_sts_and_bound_to_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    be(monkeypatch, GIVEN)
    url, nonce = taken_apart(presigned(SERVER).reveal())
    assert url.startswith("https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&")
    assert "X-Amz-SignedHeaders=host%3Bx-rolecall-nonce%3Bx-rolecall-server-id&" in url
    assert "X-Amz-Expires=300" in url
    assert len(nonce) >= 16


def test_no_two_are_the_same_even_in_one_second(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, GIVEN)
    assert len({presigned(SERVER).reveal() for _ in range(5)}) == 5


def test_another_region_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, GIVEN)
    assert taken_apart(presigned(SERVER, "us-gov-west-1").reveal())[0].startswith("https://sts.us-gov-west-1.")


def test_a_token_is_asked_for_that_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with desk(tmp_path, permitted(MAY, outbound=Outbound())) as here:
        be(monkeypatch, here.credentials(), here.sandbox.endpoint_url)
        proof = web_identity(SERVER).reveal()
    claims = jwt.decode(proof.removeprefix("Bearer "), options={"verify_signature": False})
    assert claims["aud"] == SERVER
    assert claims["exp"] - claims["iat"] == 60


def test_where_aws_gives_no_token_it_is_said_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with desk(tmp_path, permitted(MAY)) as here:
        be(monkeypatch, here.credentials(), here.sandbox.endpoint_url)
        with pytest.raises(CredentialsRefused, match="OutboundWebIdentityFederationDisabledException"):
            web_identity(SERVER)


def test_without_credentials_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    for prove in (presigned, web_identity):
        with pytest.raises(CredentialsUnavailable):
            prove(SERVER)


def test_without_a_region_it_is_said_how_to_name_one(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, GIVEN)
    monkeypatch.delenv("AWS_REGION")
    with pytest.raises(ConfigurationError) as error:
        presigned(SERVER)
    assert "AWS_REGION" in error.value.hint


def test_settings_that_cannot_be_are_told_of_without_quoting_them(monkeypatch: pytest.MonkeyPatch) -> None:
    be(monkeypatch, GIVEN)
    monkeypatch.setenv("AWS_PROFILE", "a-profile-that-is-not-there")
    with pytest.raises(ConfigurationError):
        presigned(SERVER)


def test_a_credential_process_that_fails_is_not_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    (tmp_path / "config").write_text("[default]\ncredential_process = sh -c 'echo a-secret >&2; exit 1'\n")
    with pytest.raises(CredentialsUnavailable) as error:
        presigned(SERVER)
    assert "a-secret" not in f"{error.value} {error.value.hint}"
    assert error.value.__context__ is None
