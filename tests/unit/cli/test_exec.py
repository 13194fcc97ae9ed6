import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.answering import answering, http
from tests.fakes.commands import ROLECALL, clean, rolecall
from tests.fakes.written import SET, TOKEN, Written, write_configuration

pytestmark = pytest.mark.long

SHOW = "import json, os; print(json.dumps(dict(os.environ)))"
UNIT_TOKENS = "\n[unit_tokens]\n"
IGNORED = "grep SigIgn /proc/self/status"


def ignored(status: str) -> int:
    """The signals ignored, a bit each, without those above 31, which the C library uses for itself."""
    return int(status.split()[1], 16) & 0x7FFF_FFFF


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Written]:
    with answering(http(200, SET)) as agent:
        yield write_configuration(tmp_path, credentials=agent.port)


def test_the_command_has_the_role_and_nothing_that_would_be_asked_before_it(place: Written) -> None:
    stale = {"AWS_PROFILE": "other", "AWS_ACCESS_KEY_ID": "AKIA", "AWS_WEB_IDENTITY_TOKEN_FILE": "/x", "KEPT": "yes"}
    done = rolecall(
        "exec", "backup", "-c", place.config, "--", sys.executable, "-c", SHOW, **stale, NO_PROXY="internal"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert not {"AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"} & found.keys()
    assert found["KEPT"] == "yes"
    assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"].endswith("/v1/credentials/backup")
    assert found["AWS_CONTAINER_AUTHORIZATION_TOKEN"] == TOKEN
    assert found["NO_PROXY"] == found["no_proxy"] == "internal,127.0.0.1,localhost"


def test_the_exit_code_is_that_of_the_command(place: Written) -> None:
    assert rolecall("exec", "backup", "-c", place.config, "--", "sh", "-c", "exit 42").returncode == 42


def test_the_command_takes_our_place_so_that_signals_reach_it(place: Written) -> None:
    process = subprocess.Popen(
        [*ROLECALL, "exec", "backup", "-c", str(place.config), "--", "sh", "-c", "echo $$; exec sleep 30"],
        env=clean(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert int(process.stdout.readline()) == process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    process.stdout.close()


def test_the_command_ignores_no_signal_that_it_would_not_ignore_without_us(place: Written) -> None:
    done = rolecall("exec", "backup", "-c", place.config, "--", "sh", "-c", IGNORED)
    alone = subprocess.run(["sh", "-c", IGNORED], capture_output=True, text=True, check=True)
    python = f"import os; os.execvp('sh', ['sh', '-c', {IGNORED!r}])"
    careless = subprocess.run([sys.executable, "-I", "-c", python], capture_output=True, text=True, check=True)
    assert ignored(done.stdout) == ignored(alone.stdout)
    assert ignored(careless.stdout) != ignored(alone.stdout)  # Python ignores SIGPIPE, and so would what it becomes


def test_words_after_the_dashes_are_the_command_s_own(place: Written) -> None:
    done = rolecall("exec", "backup", "-c", place.config, "--", "printf", "%s|", "--json", "-c", "x", "--", "--help")
    assert done.stdout == "--json|-c|x|--|--help|"


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("no-such-command-anywhere", 127, "error: there is no command 'no-such-command-anywhere'\n"),
        ("/etc", 126, "error: /etc cannot be run: Permission denied\n"),
        ("/etc/passwd/x", 126, "error: /etc/passwd/x cannot be run: Not a directory\n"),
    ],
)
def test_a_command_that_cannot_be_run_has_the_code_that_shells_give(
    place: Written, command: str, code: int, said: str
) -> None:
    done = rolecall("exec", "backup", "-c", place.config, "--", command)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", said)


def test_the_command_starts_only_when_the_role_is_there(tmp_path: Path) -> None:
    not_yet = http(503, {"code": "CredentialsNotReady", "message": "Not yet."})
    with answering(not_yet, not_yet, http(200, SET)) as agent:
        written = write_configuration(tmp_path, credentials=agent.port)
        done = rolecall("exec", "backup", "-c", written.config, "--", "echo", "started")
        assert (done.stdout, len(agent.requests)) == ("started\n", 3)


def test_without_an_agent_nothing_is_started(tmp_path: Path) -> None:
    written = write_configuration(tmp_path)
    done = rolecall("exec", "backup", "-c", written.config, "--timeout", "0s", "--", "touch", tmp_path / "started")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no agent answers at 127.0.0.1:")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("words", [("exec", "backup"), ("exec", "backup", "--"), ("exec", "--"), ("exec",)])
def test_a_command_is_needed(place: Written, words: tuple[str, ...]) -> None:
    done = rolecall(*words, ROLECALL_CONFIG=str(place.config))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert "usage: " in done.stderr or "hint: for example: " in done.stderr


def test_without_a_role_the_command_has_whichever_it_is_granted(place: Written) -> None:
    done = rolecall("exec", "-c", place.config, "--", sys.executable, "-c", SHOW)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"].endswith("/v1/credentials")
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN" not in found


def test_who_is_granted_several_roles_is_told_to_name_one(tmp_path: Path) -> None:
    several = http(409, {"code": "RoleAmbiguous", "message": "this caller is granted several roles: backup, reports"})
    with answering(several) as agent:
        done = rolecall("exec", "-c", write_configuration(tmp_path, credentials=agent.port).config, "--", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: this caller is granted several roles: backup, reports",
        "hint: name the role that is meant; see: rolecall who",
    ]


def test_a_role_that_only_units_can_show_a_token_for_is_not_for_a_shell(place: Written) -> None:
    text = place.config.read_text()
    place.config.write_text(
        text.replace(f'token_file = "{place.token}"', 'unit_token = "backup.service"') + UNIT_TOKENS
    )
    done = rolecall("exec", "backup", "-c", place.config, "--", "true")
    assert done.returncode == 2
    assert "hint: write a drop-in for the unit: rolecall env backup --format systemd" in done.stderr


def test_a_token_file_that_sdks_cannot_use_is_warned_of_and_not_handed_on(tmp_path: Path) -> None:
    with answering(http(200, SET)) as agent:
        written = write_configuration(tmp_path, credentials=agent.port, token=f"{TOKEN}\n")
        done = rolecall("exec", "backup", "-c", written.config, "--", sys.executable, "-c", SHOW)
    found = json.loads(done.stdout)
    assert found["AWS_CONTAINER_AUTHORIZATION_TOKEN"] == TOKEN
    assert "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" not in found
    assert done.stderr.startswith(f"warning: the token file {written.token} holds a newline or more besides the token")


def test_the_advice_on_such_a_file_can_be_pasted_and_keeps_its_mode(tmp_path: Path) -> None:
    with answering(http(200, SET)) as agent:
        written = write_configuration(tmp_path / "it's", credentials=agent.port, token=f"{TOKEN}\nof-yesterday\n")
        words = ("exec", "backup", "-c", written.config, "--", "true")
        written.token.chmod(0o640)
        advice = rolecall(*words).stderr.partition("hint: take the newline away: ")[2]
        subprocess.run(["sh", "-euc", advice], check=True)
        assert rolecall(*words).stderr == ""
    assert written.token.read_text() == TOKEN
    assert written.token.stat().st_mode & 0o777 == 0o640
