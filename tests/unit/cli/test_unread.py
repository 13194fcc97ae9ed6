"""A user who may not read the configuration; root may read everything, so these commands are run as nobody."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli.unread import USUAL, settings_if_open, without
from agent.errors import ConfigurationError
from agent.settings import Address
from tests.fakes.answering import answering, http
from tests.fakes.written import SET, TOKEN, write_configuration

pytestmark = pytest.mark.long

URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI"

#: Imports all of it as whoever runs the tests, then becomes somebody else in a folder whose configuration is closed.
AS_NOBODY = """
import encodings.idna, os, sys
from agent.cli import main, env, exec, who, credentials
os.chdir(sys.argv[1])
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def closed() -> Iterator[Path]:
    """A folder that everybody may enter, unlike those of pytest, with a configuration that nobody else may read."""
    with TemporaryDirectory() as made:
        home = Path(made)
        home.chmod(0o755)
        write_configuration(home).config.chmod(0o000)
        yield home


def as_nobody(home: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(home), *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd()), "HOME": "/nonexistent", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


def test_the_environment_is_that_of_the_usual_address(closed: Path) -> None:
    done = as_nobody(closed, "env", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["set"][URI] == "http://127.0.0.1:9170/v1/credentials"
    assert done.stderr.startswith(
        "note: the configuration is not for this user to read, so the agent is taken to be at"
    )


def test_a_command_is_run_with_what_is_at_the_address_that_sdks_know(closed: Path) -> None:
    with answering(http(200, SET)) as agent:
        url = f"http://127.0.0.1:{agent.port}/v1/credentials"
        done = as_nobody(closed, "exec", "backup", "--", "printenv", URI, **{URI: url})
    assert (done.returncode, done.stdout) == (0, f"{url}/backup\n"), done.stderr
    assert f"127.0.0.1:{agent.port}, by {URI}" in done.stderr


def test_credentials_are_had_as_well(closed: Path) -> None:
    with answering(http(200, SET)) as agent:
        url = f"http://127.0.0.1:{agent.port}/v1/credentials"
        done = as_nobody(closed, "credentials", **{URI: url})
    assert json.loads(done.stdout)["AccessKeyId"] == SET["AccessKeyId"], done.stderr


def test_who_says_what_is_seen_and_granted_and_can_judge_nobody_else(closed: Path) -> None:
    answer = {"facts": [["unix.uid", "65534"]], "granted": [{"role": "backup", "by": "grants#1"}]}
    with answering(http(200, answer)) as agent:
        done = as_nobody(closed, "who", **{URI: f"http://127.0.0.1:{agent.port}/v1/credentials"})
    assert done.returncode == 0, done.stderr
    assert "  uid            65534\ngranted: backup\n" in done.stdout
    other = as_nobody(closed, "who", "--user", "alice")
    assert (other.returncode, other.stdout) == (2, "")
    assert "run this as the user of the agent" in other.stderr


def test_a_configuration_that_was_named_is_meant(closed: Path) -> None:
    for done in (
        as_nobody(closed, "env", "-c", "rolecall.toml"),
        as_nobody(closed, "env", ROLECALL_CONFIG="rolecall.toml"),
    ):
        assert (done.returncode, done.stdout) == (2, "")
        assert "may not be read by this user" in done.stderr


def test_a_configuration_that_is_wrong_or_not_there_is_no_closed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROLECALL_CONFIG", raising=False)
    Path("rolecall.toml").write_text("nonsense")
    with pytest.raises(ConfigurationError, match=r"rolecall\.toml"):
        settings_if_open(None)


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://127.0.0.1:9999/v1/credentials", Address("127.0.0.1", 9999)),
        ("http://127.0.0.1:9999/v1/credentials/backup", Address("127.0.0.1", 9999)),
        ("http://[::1]:9999/v1/credentials", Address("::1", 9999)),
        ("http://localhost:9999/v1/credentials", Address("127.0.0.1", 9999)),
        ("http://169.254.170.2/v1/credentials", Address("169.254.170.2", 80)),
        ("https://127.0.0.1:9999/v1/credentials", USUAL),
        ("http://creds.example.com/v1/credentials", USUAL),
        ("http://169.254.170.23/v1/somebody-else", USUAL),
        ("http://127.0.0.1:99999/v1/credentials", USUAL),
        ("http://[::1", USUAL),
        ("", USUAL),
    ],
)
def test_what_sdks_would_ask_is_asked_where_that_can_be_the_agent(uri: str, address: Address) -> None:
    assert without("", None, {URI: uri}).address == address


def test_a_token_is_the_one_that_sdks_would_show_unless_another_is_named(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.write_text(TOKEN)
    other.write_text("another-token-0123456789")
    value = {"AWS_CONTAINER_AUTHORIZATION_TOKEN": "a-third-token-0123456789"}
    named = {**value, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}

    def shown(token_file: Path | None, environ: dict[str, str], *, elsewhere: bool = False) -> str | None:
        token = without("", token_file, environ, elsewhere=elsewhere).token
        return None if token is None else token.reveal()

    assert shown(other, named) == "another-token-0123456789"
    assert shown(None, named) == TOKEN
    assert shown(None, value) == "a-third-token-0123456789"
    assert shown(None, {}) is None
    assert shown(None, named, elsewhere=True) is None  # what is written for others has nothing of ours in it


@pytest.mark.parametrize("role", ["../who", "a b", "x" * 64, "Backup"])
def test_what_can_be_no_role_is_asked_of_nobody(role: str) -> None:
    with pytest.raises(ConfigurationError, match="no name for a role"):
        without(role, None, {})
