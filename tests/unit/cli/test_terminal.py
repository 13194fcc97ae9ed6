import io
import json

import pytest

from agent.cli.terminal import Progress, paint, say, show_json


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "30")


def test_a_terminal_is_painted_and_a_pipe_is_not() -> None:
    assert paint("on call", "green", Screen()) == "\x1b[32mon call\x1b[0m"
    assert paint("on call", "green", io.StringIO()) == "on call"


@pytest.mark.parametrize(
    ("name", "value", "painted"),
    [("NO_COLOR", "1", False), ("NO_COLOR", "", True), ("TERM", "dumb", False), ("TERM", "", True)],
)
def test_who_wants_no_colour_gets_none(
    name: str, value: str, *, painted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert ("\x1b" in paint("on call", "red", Screen())) is painted


def test_what_is_no_result_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    say("by the way")
    assert capsys.readouterr() == ("", "by the way\n")


def test_a_result_for_programs_is_json_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"was": "Zürich"})
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ({"was": "Zürich"}, "")
    assert "Zürich" in out


def test_progress_is_one_line_written_over_and_gone_at_the_end() -> None:
    screen = Screen()
    with Progress(screen) as progress:
        progress.show("one")
        progress.show("a line\nthat is longer than the screen is wide")
    written = screen.getvalue()
    assert "\n" not in written
    assert written.split("\r\x1b[K") == ["", "one", "a line that is longer than th", ""]


def test_progress_is_gone_even_if_the_waiting_ends_badly() -> None:
    screen = Screen()
    with pytest.raises(KeyboardInterrupt), Progress(screen) as progress:
        progress.show("waiting")
        raise KeyboardInterrupt
    assert screen.getvalue().endswith("\r\x1b[K")


@pytest.mark.parametrize("stream", [io.StringIO(), Screen()], ids=["pipe", "dumb terminal"])
def test_where_no_line_can_be_written_over_there_is_no_progress(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    with Progress(stream) as progress:
        progress.show("waiting")
    assert stream.getvalue() == ""
