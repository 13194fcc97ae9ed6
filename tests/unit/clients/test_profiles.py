from pathlib import Path

import pytest
from aiobotocore.config import AioConfig

from agent.clients.profiles import ProfileSession
from agent.errors import ConfigurationError


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".aws").mkdir()
    return tmp_path


def profiles(profile: str = "kms") -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = ProfileSession(profile, AioConfig(), None).full_config["profiles"]
    return found


def test_a_profile_is_what_both_files_say_of_it(home: Path) -> None:
    (home / ".aws" / "config").write_text("[profile kms]\nregion = eu-central-1\nrole_arn = a\n")
    (home / ".aws" / "credentials").write_text("[kms]\nrole_arn = b\n[other]\n")
    assert profiles() == {"kms": {"region": "eu-central-1", "role_arn": "b"}, "other": {}}


@pytest.mark.parametrize("file", ["config", "credentials"])
def test_either_file_is_enough(home: Path, file: str) -> None:
    (home / ".aws" / file).write_text("[profile kms]\n" if file == "config" else "[kms]\n")
    assert profiles() == {"kms": {}}


def test_the_files_may_be_elsewhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "elsewhere").write_text("[profile kms]\n[sso-session corp]\nsso_region = x\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", "~/elsewhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(home / "gone"))
    read = ProfileSession("kms", AioConfig(), None).full_config
    assert read["profiles"] == {"kms": {}}
    assert read["sso_sessions"] == {"corp": {"sso_region": "x"}}


def test_a_profile_that_is_nowhere_is_a_mistake_that_names_both_files(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "kms")
    with pytest.raises(ConfigurationError) as caught:
        profiles()
    assert caught.value.what == f"there is no AWS profile kms in {home}/.aws/config or {home}/.aws/credentials"


def test_of_the_environment_no_more_is_known(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / ".aws" / "config").write_text("[profile kms]\nendpoint_url = http://127.0.0.1:9\nregion = x\n")
    monkeypatch.setenv("AWS_CA_BUNDLE", "/gone.pem")
    monkeypatch.setenv("AWS_REGION", "ap-south-1")
    session = ProfileSession("kms", AioConfig(), None)
    assert session.get_config_variable("ca_bundle") is None
    assert session.get_config_variable("region") is None
    assert session.get_scoped_config() == {}
    assert session.get_config_variable("profile") == "kms"
