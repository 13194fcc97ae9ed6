import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli import main
from agent.cli.status import lines
from tests.fakes.answering import answering, http
from tests.fakes.commands import clean
from tests.fakes.written import role_status, status_json, write_configuration

pytestmark = pytest.mark.long

GOOD = status_json(role_status("backup", callers=["token.file=/tokens/backup"]), role_status("reports"))
FAILING = status_json(
    role_status("backup", state="failing", problem="STS answered 503", hint="wait", failures=2),
    role_status("reports", state="starting", usable=False, ready=False, age_seconds=None, next_attempt_in_seconds=None),
)


def status(home: Path, port: int, *words: str) -> int:
    return main(["status", *words, "-c", str(write_configuration(home, admin=port).config)])


def test_a_person_reads_what_is_held_and_for_how_long(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, GOOD)) as agent:
        assert status(tmp_path, agent.port) == 0
    assert capsys.readouterr().out.splitlines() == [
        "rolecall 1.2.3, running for 1d 2h",
        "  backup   good      …0001, 50m left, refreshed 10m ago, next refresh in 20m",
        "           given to token.file=/tokens/backup",
        "  reports  good      …0001, 50m left, refreshed 10m ago, next refresh in 20m",
        "key kid-1 RS256 signing",
        "credentials at http://127.0.0.1:9170",
    ]


def test_a_role_that_is_not_ready_makes_it_1_and_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, FAILING)) as agent:
        assert status(tmp_path, agent.port) == 1
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[1:5] == [
        "  backup   failing   …0001, 50m left, refreshed 10m ago, next refresh in 20m",
        "           STS answered 503 (2 in a row)",
        "           wait",
        "  reports  starting  nothing to give",
    ]


def test_tokens_for_others_are_told_of_with_what_is_wrong() -> None:
    idle = {"audience": "orders", "state": "idle", "kept": 0, "held": 0, "problem": None, "hint": None, "callers": []}
    stuck = {
        "audience": "https://vault.example.com", "state": "bare", "kept": 3, "held": 2, "failures": 4,
        "problem": "the key is locked", "hint": "unlock it", "callers": ["systemd.unit=web.service"],
    }  # fmt: skip
    told = list(lines(GOOD | {"tokens": [idle, stuck]}))
    assert told[told.index("tokens for orders idle, made when somebody asks") + 1 :][:4] == [
        "tokens for https://vault.example.com bare, 2 of 3 held",
        "  the key is locked (4 in a row)",
        "  unlock it",
        "  given to systemd.unit=web.service",
    ]


def test_rules_for_tokens_of_others_are_told_of_with_what_is_wrong() -> None:
    good = {
        "rule": "own",
        "issuer": "https://oidc.example.com",
        "state": "good",
        "keys": 1,
        "problem": None,
        "hint": None,
    }
    stuck = good | {"rule": "api", "state": "bare", "keys": 0, "problem": "no answer", "hint": "look there"}
    told = list(lines(GOOD | {"roles": [], "rules": [good, stuck]}))
    assert told[told.index("rule own good, 1 key of https://oidc.example.com") + 1 :][:3] == [
        "rule api bare, no keys of https://oidc.example.com",
        "  no answer",
        "  look there",
    ]


@pytest.mark.parametrize(
    ("offset", "said"),
    [(3700.0, "1h 1m behind AWS's"), (-75.0, "1m 15s ahead of AWS's"), (59.0, None), (None, None)],
)
def test_a_wrong_clock_is_told_of(offset: float | None, said: str | None) -> None:
    told = "\n".join(lines(GOOD | {"clock_offset_seconds": offset}))
    assert (said or "clock") in told if said else "clock" not in told


def test_programs_get_all_that_the_agent_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, FAILING | {"something": "new"})) as agent:
        assert status(tmp_path, agent.port, "--json") == 1
    assert json.loads(capsys.readouterr().out) == FAILING | {"something": "new"}


def test_an_agent_of_another_version_is_no_reason_for_a_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, {"version": "9", "ready": True, "roles": [{"role": "backup"}]})) as agent:
        assert status(tmp_path, agent.port) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "in other words than this command knows\nhint: are they of one version" in err


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["", "--json"])
def test_an_agent_of_another_configuration_is_shown_and_said_to_be_one(
    words: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, status_json(role_status("backup"), role_status("web")))) as agent:
        assert status(tmp_path, agent.port, *words) == 0
    out, err = capsys.readouterr()
    assert "web" in out
    warning, hint = err.splitlines()
    assert warning.startswith(
        f"warning: the agent at 127.0.0.1:{agent.port} does not run with {tmp_path}/rolecall.toml"
    )
    assert warning.endswith("its roles are others: web only there; reports only here")
    assert "look at [listen]" in hint


def test_an_agent_whose_roles_are_none_of_ours_is_no_crash(tmp_path: Path) -> None:
    with answering(http(200, {"version": "9", "ready": True, "roles": [1, {"role": 2}]})) as agent:
        assert status(tmp_path, agent.port, "--json") == 0


def test_without_an_agent_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(tmp_path, 0) == 1
    assert capsys.readouterr().err.endswith("hint: is it running? systemctl status rolecall\n")


def watching(home: Path, port: int, *words: str) -> subprocess.Popen[str]:
    config = str(write_configuration(home, admin=port).config)
    begin = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import agent.__main__ as us; "
    return subprocess.Popen(  # from a script that runs behind others, SIGINT would be ignored
        [sys.executable, "-c", begin + "us.sys.exit(us.main())", "status", "--watch", "-c", config, *words],
        env=clean(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_watching_writes_at_once_outlives_the_agent_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with answering(http(200, GOOD), http(200, GOOD), b"", http(200, FAILING)) as agent:
        process = watching(tmp_path, agent.port, "--json")
        assert process.stdout is not None
        read = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert read == [GOOD, GOOD, FAILING]  # one document a line
    assert (process.returncode, out) == (0, "")
    assert err.startswith("error: no agent answers at")
    assert len(err.splitlines()) == 1


def test_whoever_reads_the_watching_may_leave(tmp_path: Path) -> None:
    with answering(http(200, GOOD)) as agent:
        process = watching(tmp_path, agent.port)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(10) == 1
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
