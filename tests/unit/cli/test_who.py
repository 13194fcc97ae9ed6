import json
from pathlib import Path

import pytest

from agent.cli import main
from tests.fakes.answering import answering, http
from tests.fakes.written import write_configuration

GRANTS = """
[[grants]]
roles = ["backup"]
unit = "backup@*.service"
user = "alice"
[[grants]]
roles = ["reports"]
group = "ops"
"""


def who(home: Path, *words: str, port: int | None = None) -> int:
    written = write_configuration(home, credentials=port or 0)
    before, _, after = written.config.read_text().partition("[[grants]]")
    written.config.write_text(before + GRANTS + after[after.index("[listen]") :])
    return main(["who", *words, "-c", str(written.config)])


def seen(*facts: tuple[str, str]) -> bytes:
    return http(200, {"caller": "somebody", "facts": facts, "granted": []})


def test_it_tells_what_the_agent_sees_and_which_grants_fit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = seen(("unix.uid", "1000"), ("unix.group", "ops"), ("systemd.unit", "session-3.scope"))
    with answering(answer) as agent:
        assert who(tmp_path, port=agent.port) == 0
    assert agent.requests[0].startswith(b"GET /v1/who HTTP/1.1\r\n")
    out, _ = capsys.readouterr()
    assert "systemd.unit         session-3.scope" in out
    assert "yes  grants#2: reports" in out
    no = "no   grants#1: backup: systemd.unit must fit backup@*.service, and is session-3.scope; "
    assert no + "unix.user must be alice, and is not known" in out


def test_a_role_that_is_not_granted_is_exit_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(seen(("unix.group", "ops"))) as agent:
        assert who(tmp_path, "backup", port=agent.port) == 1
    out, err = capsys.readouterr()
    assert "reports" not in out
    assert err.endswith("not granted: backup\n")


@pytest.mark.parametrize(
    ("words", "granted"),
    [
        (["--unit", "backup@daily.service", "--user", "alice"], ["backup"]),
        (["--unit", "backup@daily.service"], []),
        (["--unit", "backup.service", "--user", "alice"], []),
        (["--group", "ops"], ["reports"]),
    ],
)
def test_another_caller_is_judged_without_asking_the_agent(
    tmp_path: Path, words: list[str], granted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert who(tmp_path, *words, "--json") == (0 if granted else 1)
    assert json.loads(capsys.readouterr().out)["granted"] == granted


def test_several_roles_are_said_to_need_a_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert who(tmp_path, "--unit", "backup@x.service", "--user", "alice", "--group", "ops") == 0
    assert "backup, reports: one of them must be asked for by name" in capsys.readouterr().err


def test_a_token_says_nothing_of_another_caller(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert who(tmp_path, "--user", "alice", "--token-file", "/nowhere") == 2
    assert "leave out --token-file" in capsys.readouterr().err


def test_a_role_that_does_not_exist_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert who(tmp_path, "nosuch") == 2
    assert "has no role 'nosuch'" in capsys.readouterr().err


def test_what_is_not_the_agent_is_said_to_be_a_stranger(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, {"facts": "none"})) as agent:
        assert who(tmp_path, port=agent.port) == 1
    assert "is not the agent" in capsys.readouterr().err
