"""The command as a whole: verbs, usage, exit codes, and outputs that cannot be written."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent import __version__
from agent.cli import VERBS, main
from tests.fakes.answering import answering, http
from tests.fakes.commands import ROLECALL, clean, rolecall
from tests.fakes.written import SET, role_status, status_json, write_configuration


def test_without_a_word_it_shows_every_verb_and_that_this_was_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert all(f"\n  {verb} " in err for verb in VERBS)


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_is_a_result(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert "rolecall demo" in capsys.readouterr().out


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_told(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([word]) == 0
    assert capsys.readouterr().out == f"rolecall {__version__}\n"


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("ask", [("{}", "--help"), ("{}", "-h"), ("help", "{}")], ids=["--help", "-h", "help"])
def test_every_verb_explains_itself_with_an_example(
    verb: str, ask: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([word.format(verb) for word in ask])
    out, err = capsys.readouterr()
    assert (ended.value.code, err) == (0, "")
    assert f"usage: rolecall {verb}" in out
    assert "example:\n  " in out
    assert f"rolecall {verb}" in out.partition("example:")[2]
    assert "-c FILE" in out


def test_every_verb_that_there_is_a_file_for_is_a_verb() -> None:
    folder = Path(main.__code__.co_filename).parent
    offering = {path.stem for path in folder.glob("*.py") if "\nHELP = " in path.read_text()}
    assert offering == set(VERBS)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("stauts", "did you mean: rolecall status"),
        ("credential", "did you mean: rolecall credentials"),
        ("version", "did you mean: rolecall --version"),
        ("frobnicate", "see them all with: rolecall --help"),
        ("--frobnicate", "see them all with: rolecall --help"),
    ],
)
def test_a_misspelt_verb_is_met_with_the_one_that_was_meant(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([word]) == 2
    assert capsys.readouterr() == ("", f"error: there is no command {word!r}\nhint: {hint}\n")


@pytest.mark.parametrize(
    "words",
    [
        ["-c", "FILE", "env", "reports"],
        ["--config", "FILE", "env", "reports"],
        ["--config=FILE", "env", "reports"],
        ["-cFILE", "env", "reports"],
        ["env", "-c", "FILE", "reports"],
        ["env", "reports", "--config=FILE"],
    ],
    ids=" ".join,
)
def test_the_configuration_may_be_named_before_the_verb_or_after_it(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(write_configuration(tmp_path).config)
    assert main([word.replace("FILE", config) for word in words]) == 0
    assert "/v1/credentials/reports" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words",
    [
        ["-c"],
        ["-c", "FILE"],
        ["env", "nosuch"],
        ["env", "--nonsense"],
        ["env", "reports", "--form", "sh"],  # no abbreviations: they end when a second such option comes
        ["env", "reports", "--format", "csh"],
        ["wait", "--timeout", "soon"],
        ["wait", "--json"],
        ["status", "--", "ls"],
        ["env", "reports", "-c", "/nonexistent/rolecall.toml"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_2_and_never_a_traceback(words: list[str], tmp_path: Path) -> None:
    done = rolecall(*words, ROLECALL_CONFIG=str(write_configuration(tmp_path).config))
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr
    assert done.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("exec backup aws s3 ls", "put -- before the command: rolecall exec backup -- aws s3 ls"),
        ("exec backup sh -c 'exit 3'", "put -- before the command: rolecall exec backup -- sh -c 'exit 3'"),
        ("exec -c x.toml a git log -- a", "put -- before the command: rolecall exec -c x.toml a -- git log -- a"),
        ("exec aws aws s3 ls", "put -- before the command: rolecall exec aws -- aws s3 ls"),
        ("check x.toml", "did you mean: rolecall check -c x.toml"),
        ("status 'my own/x.toml'", "did you mean: rolecall status -c 'my own/x.toml'"),
        ("keys list x.toml", "did you mean: rolecall keys list -c x.toml"),
    ],
)
def test_words_in_the_wrong_place_are_met_with_what_was_meant(
    words: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(shlex.split(words)) == 2
    assert capsys.readouterr().err.endswith(f"\nhint: {hint}\n")


def test_init_says_where_it_writes_and_others_what_they_read(capsys: pytest.CaptureFixture[str]) -> None:
    said = {}
    for verb in ("init", "check"):
        with pytest.raises(SystemExit):
            main([verb, "--help"])
        said[verb] = " ".join(capsys.readouterr().out.split())
    assert "where to write the configuration" in said["init"]
    assert "ROLECALL_CONFIG" not in said["init"]
    assert "$ROLECALL_CONFIG, ./rolecall.toml" in said["check"]


def run_into(target: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run with stdout going where a shell would send it."""
    script = f'"$@" {target}'
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", script, "-", *ROLECALL, *words],
        env=clean(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("words", [("--version",), ("--help",), ("env", "--help")], ids=" ".join)
def test_whoever_reads_may_leave(words: tuple[str, ...]) -> None:
    assert run_into("| true", *words).stderr == ""


@pytest.mark.parametrize("words", [("--version",), ("env", "--help")], ids=" ".join)
def test_a_full_disk_is_said_to_be_one(words: tuple[str, ...]) -> None:
    done = run_into("> /dev/full", *words)
    assert (done.returncode, done.stderr) == (1, "error: the output cannot be written: no space left on device\n")


def test_a_closed_stdout_is_nobody_s_crash() -> None:
    done = run_into(">&-", "--version")
    assert (done.returncode, done.stderr) == (0, "")


def test_where_stderr_is_closed_an_error_is_no_result() -> None:
    done = run_into("2>&-", "nope")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_that_does_not_know_our_letters_gets_others(tmp_path: Path) -> None:
    with answering(http(200, status_json(role_status("backup"), role_status("reports")))) as agent:
        config = write_configuration(tmp_path, admin=agent.port).config
        done = rolecall("status", "-c", config, PYTHONIOENCODING="latin-1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u20260001" in done.stdout


def test_a_path_that_is_no_text_is_printed_byte_for_byte(tmp_path: Path) -> None:
    home = tmp_path / "home"
    write_configuration(home)
    odd = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(odd)).symlink_to(home / "backup.token")
    done = subprocess.run(
        [*ROLECALL, "env", "backup", "-c", str(home / "rolecall.toml"), b"--token-file", odd],
        env=clean(),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert odd in done.stdout


HEAVY = {"aiohttp", "aiobotocore", "botocore", "cryptography", "prometheus_client", "asyncio", "yarl", "uvloop"}

LOADED = """
import json, sys
from agent.cli import main
sys.stdout = open("/dev/null", "w")
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


@pytest.mark.parametrize("verb", ["credentials", "env", "wait", "status", "exec"])
def test_a_small_verb_loads_nothing_large(verb: str, tmp_path: Path) -> None:
    with answering(http(200, SET)) as agent, answering(http(200, status_json(role_status("reports")))) as admin:
        config = str(write_configuration(tmp_path, credentials=agent.port, admin=admin.port).config)
        words = {"status": [], "exec": ["reports", "--", "/nonexistent"]}.get(verb, ["reports"])
        done = subprocess.run(
            [sys.executable, "-c", LOADED, verb, "-c", config, *words],
            env=clean(),
            capture_output=True,
            text=True,
            check=True,
        )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == (127 if verb == "exec" else 0)
    assert HEAVY & set(modules) == set()


@pytest.mark.parametrize(
    "words", [("wait",), ("credentials", "backup"), ("exec", "backup", "--", "true")], ids=" ".join
)
def test_ctrl_c_ends_the_waiting_without_a_word(words: tuple[str, ...], tmp_path: Path) -> None:
    with answering(None) as silent, answering(None) as admin:
        config = str(write_configuration(tmp_path, credentials=silent.port, admin=admin.port).config)
        begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import agent.__main__ as us; "
        process = subprocess.Popen(
            [sys.executable, "-c", begin + "us.sys.exit(us.main())", *words],
            env=clean(ROLECALL_CONFIG=config),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 20
        while not silent.requests + admin.requests:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (130, "", "")
