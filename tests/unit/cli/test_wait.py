import time
from pathlib import Path

import pytest

from agent.cli import main
from tests.fakes.answering import answering, http
from tests.fakes.written import role_status, status_json, write_configuration

GOOD = [role_status("backup"), role_status("reports")]
REFUSED = role_status(
    "backup",
    state="bare",
    usable=False,
    ready=False,
    problem="STS refused arn:aws:iam::123456789012:role/backup: AccessDenied",
    hint="compare the trust policy with the token",
    failures=3,
)


def wait(home: Path, port: int, *words: str) -> int:
    return main(["wait", *words, "-c", str(write_configuration(home, admin=port).config)])


def test_it_returns_without_a_word_when_all_roles_are_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering(http(200, status_json(*GOOD))) as agent:
        assert wait(tmp_path, agent.port) == 0
    assert capsys.readouterr() == ("", "")


def test_it_waits_until_the_last_role_is_there(tmp_path: Path) -> None:
    coming = status_json(GOOD[0], role_status("reports", usable=False, ready=False, state="starting"))
    with answering(http(200, coming), http(200, coming), http(200, status_json(*GOOD))) as agent:
        assert wait(tmp_path, agent.port) == 0
    assert len(agent.requests) == 3


def test_a_role_that_was_not_asked_for_is_not_waited_for(tmp_path: Path) -> None:
    with answering(http(200, status_json(REFUSED, GOOD[1]))) as agent:
        assert wait(tmp_path, agent.port, "reports", "--timeout", "0s") == 0


def test_a_role_of_which_each_caller_has_its_own_part_is_not_waited_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The configuration gives it by templates, so no session is there until somebody asks."""
    idle = role_status("backup", state="idle", usable=False, ready=True)
    with answering(http(200, status_json(idle, GOOD[1]))) as agent:
        assert wait(tmp_path, agent.port, "--timeout", "0s") == 0
    assert capsys.readouterr().err.splitlines() == [
        "role backup is fetched when a caller asks, so there was nothing to wait for",
        "hint: have the caller itself wait for what it gets: rolecall exec backup -- COMMAND",
    ]


def test_when_time_is_up_it_says_why_aws_refuses_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, status_json(REFUSED, GOOD[1]))) as agent:
        assert wait(tmp_path, agent.port, "--timeout", "0s") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "error: role backup has no credentials: STS refused arn:aws:iam::123456789012:role/backup: AccessDenied",
        "hint: compare the trust policy with the token",
    ]


def test_a_role_that_the_agent_does_not_know_yet_needs_a_restart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, status_json(GOOD[0]))) as agent:
        assert wait(tmp_path, agent.port, "reports", "--timeout", "0s") == 1
    assert "does not know role reports\nhint: restart it" in capsys.readouterr().err


def test_an_agent_of_another_configuration_may_do_and_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, status_json(GOOD[0]))) as agent:
        assert wait(tmp_path, agent.port, "backup") == 0
    assert "its roles are others: reports only here\nhint: " in capsys.readouterr().err


def test_a_role_of_no_configuration_is_a_mistake_of_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert wait(tmp_path, 0, "backup", "bakcup") == 2
    assert capsys.readouterr().err == ("error: the configuration has no role 'bakcup'\nhint: it has: backup, reports\n")


def test_an_agent_that_is_away_is_waited_for_and_then_said_to_be_away(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    started = time.monotonic()
    assert wait(tmp_path, 0, "--timeout", "1s") == 1
    assert 1 <= time.monotonic() - started < 5
    assert capsys.readouterr().err.startswith("error: no agent answers at 127.0.0.1:")


@pytest.mark.parametrize(
    "document",
    [{"hello": "world"}, {"roles": [1, 2], "version": "1"}, {"roles": [{}], "version": "1"}, {"roles": {}}],
)
def test_what_is_not_the_agent_is_not_waited_for(
    document: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with answering(http(200, document)) as stranger:
        assert wait(tmp_path, stranger.port) == 1
    assert len(stranger.requests) == 1
    assert capsys.readouterr().err.startswith(f"error: what answers at 127.0.0.1:{stranger.port} is not the agent")
