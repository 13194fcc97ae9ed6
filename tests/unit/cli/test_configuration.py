from pathlib import Path

import pytest

from agent.cli.configuration import settings_of
from agent.errors import ConfigurationError
from tests.fakes.written import write_configuration


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ROLECALL_CONFIG", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_the_command_line_is_asked_first_then_the_environment_then_the_folder(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named, meant, here = (write_configuration(nowhere / name) for name in ("named", "meant", "here"))
    assert settings_of(None).path == here.config
    monkeypatch.setenv("ROLECALL_CONFIG", str(meant.config))
    assert settings_of(None).path == meant.config
    assert settings_of(named.config).path == named.config


def test_a_configuration_that_is_not_there_is_said_to_be_missing(nowhere: Path) -> None:
    with pytest.raises(ConfigurationError, match="nothing"):
        settings_of(nowhere / "nothing.toml")


def test_the_credentials_of_the_unit_are_named_as_the_unit_has_them(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    written = write_configuration(nowhere / "unit")
    said = written.config.read_text().replace(f'token_file = "{written.token}"', 'token_file = "credential:backup"')
    written.config.write_text(said)
    paths = [grant.token_file for grant in settings_of(written.config).grants if grant.token_file]
    assert paths == [(Path("/run/credentials/rolecall.service/backup"),)]
