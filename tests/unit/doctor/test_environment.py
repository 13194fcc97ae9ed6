import os
from pathlib import Path

import pytest

from agent.cli.environment import UNSET
from agent.doctor import Finding
from agent.doctor.environment import (
    FULL_URI,
    TOKEN_FILE,
    Endpoint,
    examined,
    variables,
)

ENDPOINT = Endpoint("127.0.0.1", 9170, ("backup", "files"), "https://sts.example.com")
RIGHT = {FULL_URI: "http://127.0.0.1:9170/v1/credentials/backup", "AWS_REGION": "eu-central-1"}


def found(home: Path, environ: dict[str, str], endpoint: Endpoint = ENDPOINT) -> list[Finding]:
    tried = examined({"HOME": str(home), **environ}, endpoint, home / "environment")
    assert (tried.good == "") == bool(tried.findings)
    return [*tried.findings]


def only(home: Path, environ: dict[str, str], endpoint: Endpoint = ENDPOINT) -> Finding:
    (finding,) = found(home, environ, endpoint)
    return finding


@pytest.mark.parametrize("environ", [{}, RIGHT, {"AWS_EC2_METADATA_DISABLED": "true"}, {"AWS_PROFILE": ""}])
def test_where_nothing_is_in_the_way_nothing_is_said(environ: dict[str, str], tmp_path: Path) -> None:
    assert found(tmp_path, environ) == []


@pytest.mark.parametrize(
    "name",
    [
        "AWS_ACCESS_KEY_ID",
        "AWS_PROFILE",
        "AWS_DEFAULT_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    ],
)
def test_what_sdks_take_before_the_endpoint_is_certain_only_where_they_are_to_ask_it(name: str, tmp_path: Path) -> None:
    assert name in UNSET  # what `rolecall exec` takes away is what is told of here
    meant, elsewhere = only(tmp_path, {**RIGHT, name: "/x"}), only(tmp_path, {name: "/x"})
    assert (meant.severity, meant.sure) == ("error", "certain")
    assert (elsewhere.severity, elsewhere.sure) == ("warning", "possible")
    assert meant.what.startswith(f"{name} is set")
    assert "rolecall exec ROLE" in meant.hint


def test_a_value_is_never_told(tmp_path: Path) -> None:
    finding = only(tmp_path, {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "canary"})
    assert "EXAMPLE" not in repr(finding)
    assert "canary" not in repr(finding)


def test_an_empty_relative_uri_is_one_all_the_same(tmp_path: Path) -> None:
    assert "even though it is empty" in only(tmp_path, {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": ""}).what


def test_what_is_set_for_everybody_is_named_with_its_file(tmp_path: Path) -> None:
    (tmp_path / "environment").write_text('# for all\nexport AWS_PROFILE="corporate"\nPATH=/bin\n')
    finding = only(tmp_path, {})
    assert finding.what.startswith(f"AWS_PROFILE is set in {tmp_path}/environment")
    assert only(tmp_path, {"AWS_PROFILE": "mine"}).what.startswith("AWS_PROFILE is set: ")


def test_variables_are_read_as_pam_reads_them(tmp_path: Path) -> None:
    file = tmp_path / "environment"
    file.write_text("A=1\n  export B = 2\nC='three' # the third\nD=\"x y\"\n#E=5\nbroken line\n1F=6\n")
    assert variables(file) == {"A": "1", "C": "three", "D": "x y"}
    assert variables(tmp_path / "missing") == {}


@pytest.mark.parametrize(
    ("file", "text", "word"),
    [
        (".aws/credentials", "[default]\naws_access_key_id = AKIA\n", "aws_access_key_id"),
        (".aws/config", "[default]\ncredential_process = /bin/x\n", "credential_process"),
        (".aws/config", "[default]\nsso_session = corp\n", "sso_session"),
        (".aws/config", "[default]\nrole_arn = x\nsource_profile = y\n", "role_arn"),
    ],
)
def test_a_default_profile_that_gives_credentials_is_found(file: str, text: str, word: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / file).write_text(text)
    finding = only(tmp_path, RIGHT)
    assert finding.what.startswith(f"{tmp_path}/{file} has a [default] profile with {word}")


@pytest.mark.parametrize(
    "text", ["[default]\nregion = eu-central-1\n", "[other]\naws_access_key_id = x\n", "no ini", ""]
)
def test_other_profiles_are_nobody_s_business(text: str, tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text(text)
    assert found(tmp_path, RIGHT) == []


def test_the_files_of_profiles_may_be_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("[default]\naws_access_key_id = AKIA\n")
    assert "mine has a [default]" in only(tmp_path, {"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "mine")}).what


@pytest.mark.parametrize(
    ("uri", "severity", "what"),
    [
        ("http://127.0.0.1:9999/v1/credentials/backup", "error", "leads to 127.0.0.1:9999"),
        ("http://user:pass@10.0.0.1/v1/credentials/backup", "error", "leads to 10.0.0.1:80"),
        ("https://127.0.0.1:9170/v1/credentials/backup", "error", "speaks http"),
        ("http://127.0.0.1:9170/v1/credentials/nope", "error", "asks for /v1/credentials/nope"),
        ("http://127.0.0.1:9170/creds", "error", "asks for /creds"),
        ("http://localhost:9170/v1/credentials/backup", "warning", "localhost"),
        ("http://[::1", "error", "is no URL"),
    ],
)
def test_another_address_than_the_agent_s_is_found(uri: str, severity: str, what: str, tmp_path: Path) -> None:
    finding = only(tmp_path, {**RIGHT, FULL_URI: uri})
    assert (finding.severity, what in finding.what) == (severity, True)
    assert "pass" not in finding.what
    assert "http://127.0.0.1:9170/v1/credentials/ROLE" in finding.hint


def test_the_address_without_a_role_and_one_in_brackets_are_right(tmp_path: Path) -> None:
    assert found(tmp_path, {**RIGHT, FULL_URI: "http://127.0.0.1:9170/v1/credentials"}) == []
    six = Endpoint("::1", 9170, ("backup",))
    assert found(tmp_path, {**RIGHT, FULL_URI: "http://[::1]:9170/v1/credentials/backup"}, six) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("token\n", "newline or blanks"),
        (" token", "newline or blanks"),
        ("one two", "newline or blanks"),
        ("", "is empty"),
    ],
)
def test_a_token_file_that_sdks_cannot_use_is_an_error(content: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(content)
    finding = only(tmp_path, {**RIGHT, TOKEN_FILE: str(tmp_path / "token")})
    assert (finding.severity, what in finding.what) == ("error", True)


def test_a_token_file_as_it_should_be_is_not_told(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("canary-token")
    assert found(tmp_path, {**RIGHT, TOKEN_FILE: str(tmp_path / "token")}) == []


def test_a_pipe_in_its_place_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert "is empty" in only(tmp_path, {**RIGHT, TOKEN_FILE: str(tmp_path / "pipe")}).what


def test_a_token_file_that_is_missing_or_not_named_is_an_error(tmp_path: Path) -> None:
    assert "cannot be read" in only(tmp_path, {TOKEN_FILE: str(tmp_path / "none")}).what
    assert "is empty" in only(tmp_path, {TOKEN_FILE: ""}).what


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_that_would_see_the_token_is_found(name: str, tmp_path: Path) -> None:
    finding = only(tmp_path, {**RIGHT, name: "http://user:canary@proxy.example.com:3128"})
    assert (finding.severity, "to the proxy" in finding.what) == ("error", True)
    assert "canary" not in repr(finding)


@pytest.mark.parametrize("listed", ["127.0.0.1", "example.com, 127.0.0.1 ", "*"])
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_a_proxy_that_is_not_for_us_is_none_of_our_business(name: str, listed: str, tmp_path: Path) -> None:
    assert found(tmp_path, {"HTTP_PROXY": "http://proxy.example.com:3128", name: listed}) == []


def test_a_proxy_for_https_alone_is_never_asked_for_credentials(tmp_path: Path) -> None:
    assert found(tmp_path, {"HTTPS_PROXY": "http://proxy.example.com:3128"}) == []


def test_other_endpoints_of_aws_are_told_unless_they_are_the_configuration_s(tmp_path: Path) -> None:
    assert only(tmp_path, {"AWS_ENDPOINT_URL_S3": "https://s3.example.com"}).sure == "possible"
    assert found(tmp_path, {"AWS_ENDPOINT_URL": "https://sts.example.com/"}) == []


def test_a_region_is_missed_only_where_programs_are_to_ask_us(tmp_path: Path) -> None:
    assert only(tmp_path, {FULL_URI: RIGHT[FULL_URI]}).severity == "note"
    assert found(tmp_path, {FULL_URI: RIGHT[FULL_URI], "AWS_DEFAULT_REGION": "eu-central-1"}) == []


def test_authorities_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").touch()
    assert found(tmp_path, {"AWS_CA_BUNDLE": str(tmp_path / "ca.pem")}) == []
    assert "cannot be read" in only(tmp_path, {"SSL_CERT_FILE": str(tmp_path / "none.pem")}).what
