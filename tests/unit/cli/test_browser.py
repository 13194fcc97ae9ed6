import io
import time
from pathlib import Path

import pytest

from agent.cli.browser import open_browser, why_no_browser


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"DISPLAY": ":0"}, ""),
        ({"WAYLAND_DISPLAY": "wayland-0"}, ""),
        ({}, "no screen"),
        ({"DISPLAY": ":0", "SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 22"}, "over SSH"),
        ({"DISPLAY": ":0", "SSH_TTY": "/dev/pts/0"}, "over SSH"),
        ({"BROWSER": "w3m", "SSH_TTY": "/dev/pts/0"}, ""),
    ],
)
def test_where_a_browser_would_be_of_no_use_is_known(environ: dict[str, str], why: str) -> None:
    found = why_no_browser(environ, Terminal())
    assert why in found
    assert bool(found) == bool(why)


def test_where_nobody_sits_none_is_opened() -> None:
    assert why_no_browser({"DISPLAY": ":0"}, io.StringIO()) == "nobody sits at a terminal"


def opened(tmp_path: Path, browser: str) -> str:
    open_browser("http://127.0.0.1/?a=1&b=2", {"BROWSER": browser})
    for _ in range(400):
        if (tmp_path / "opened").exists():
            return (tmp_path / "opened").read_text()
        time.sleep(0.01)
    pytest.fail("nothing was opened")


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A browser that notes what it was given."""
    path = tmp_path / "browser"
    there = f"{tmp_path}/opened"
    path.write_text(f'#!/bin/sh\necho noise\necho "$*" > {there}.new\nmv {there}.new {there}\n')
    path.chmod(0o755)
    return path


def test_the_address_stands_where_it_is_wanted_or_behind_the_command(tmp_path: Path, program: Path) -> None:
    assert opened(tmp_path, f"{program} --new %s --quiet") == "--new http://127.0.0.1/?a=1&b=2 --quiet\n"
    (tmp_path / "opened").unlink()
    assert opened(tmp_path, f"{program} --new") == "--new http://127.0.0.1/?a=1&b=2\n"


def test_the_first_that_can_be_started_is_taken_and_says_nothing_here(
    tmp_path: Path, program: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert opened(tmp_path, f"/nowhere/browser:{program}") == "http://127.0.0.1/?a=1&b=2\n"
    assert "noise" not in "".join(capfd.readouterr())
