from pathlib import Path

import pytest

from agent.cli import main

CENTER = """
[identity_center]
start_url = "https://example.awsapps.com/start"
region = "eu-central-1"
endpoint_url = "http://127.0.0.1:1"
cache = "cache"
"""
ROLE = """
[roles.dev]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
[[grants]]
roles = ["dev"]
anyone = true
"""
STS = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
"""
COGNITO = """
[identity]
source = "cognito"
region = "eu-central-1"
user_pool = "eu-central-1_AbCdEf123"
client_id = "1example23456789"
user = "me"
state = "/var/lib/rolecall/cognito.json"
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "rolecall.toml"


def login(config: Path, *words: str) -> int:
    return main(["login", "-c", str(config), *words])


def test_where_nobody_signs_in_it_says_what_that_would_take(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(STS)
    assert login(config, "--device") == 2
    assert "knows of no sign-in" in capsys.readouterr().err


@pytest.mark.skipif(Path("/etc/rolecall/rolecall.toml").exists(), reason="this machine has a configuration of its own")
def test_where_there_is_no_configuration_it_says_how_to_do_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROLECALL_CONFIG", raising=False)
    assert main(["login"]) == 2
    told = capsys.readouterr().err
    assert "there is no configuration" in told
    assert "or do without, by --start-url and --region" in told


def test_of_two_places_one_has_to_be_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CENTER + STS.replace("[sts]", COGNITO + "[sts]") + ROLE)
    assert login(config, "--device") == 2
    assert "hint: say which: --to identity_center or --to cognito" in capsys.readouterr().err
    assert login(config, "--device", "--to", "cognito") == 2
    assert "--device is for IAM Identity Center" in capsys.readouterr().err
    assert login(config, "--device", "--to", "identity_center") == 1
    assert "IAM Identity Center cannot be reached" in capsys.readouterr().err


def test_a_place_that_is_not_there_cannot_be_named(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CENTER + ROLE)
    assert login(config, "--to", "cognito") == 2
    assert "knows of no sign-in at cognito" in capsys.readouterr().err


def test_without_a_screen_it_says_how_to_do_without(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config.write_text(CENTER + ROLE)
    for name in ("BROWSER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert login(config) == 2
    assert "hint: sign in with: rolecall login --device" in capsys.readouterr().err


@pytest.mark.parametrize("words", [("--device", "--list"), ("--port", "0"), ("--port", "http")])
def test_what_makes_no_sense_is_told(config: Path, words: tuple[str, ...]) -> None:
    config.write_text(CENTER + ROLE)
    with pytest.raises(SystemExit) as caught:
        login(config, *words)
    assert caught.value.code == 2


def test_options_stand_for_the_configuration_and_are_judged_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["login", "--list", "--start-url", "http://example.com", "--region", "Frankfurt"]) == 2
    err = capsys.readouterr().err
    assert "--start-url" in err
    assert "--region" in err
    assert main(["login", "--list", "--start-url", "https://example.awsapps.com/start"]) == 2
    assert "--region is missing" in capsys.readouterr().err


def test_who_was_not_signed_in_can_sign_out(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config.write_text(CENTER + ROLE)
    assert login(config, "--logout") == 0
    assert capsys.readouterr().out == "Signed out at https://example.awsapps.com/start.\n"
    assert login(config, "--logout", "--json") == 0
    assert '"signed_out": true' in capsys.readouterr().out
