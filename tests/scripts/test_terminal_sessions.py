"""What a person sees who sits at a terminal: colour, and what is waited for. Played on a pseudo-terminal."""

import os
import pty
import re
import select
import subprocess
import time
from pathlib import Path

import pytest

from tests.fakes.answering import answering, http
from tests.fakes.commands import ROLECALL, clean
from tests.fakes.written import role_status, status_json, write_configuration

pytestmark = pytest.mark.long


def seen(*words: str | Path, **environ: str) -> tuple[int, str]:
    """Run a command with a terminal for stdout and stderr; its exit code, and all that was written there."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [*ROLECALL, *map(str, words)], env=clean(TERM="xterm", **environ), stdin=slave, stdout=slave, stderr=slave
    )
    os.close(slave)
    written, deadline = b"", time.monotonic() + 30
    while time.monotonic() < deadline:
        if select.select([master], [], [], 0.1)[0]:
            try:
                written += os.read(master, 65536)
            except OSError:  # how Linux says that nobody holds the other end any more
                break
    os.close(master)
    return process.wait(10), written.decode()


@pytest.mark.parametrize(
    "words",
    [("wait", "backup"), ("credentials", "backup"), ("exec", "backup", "--timeout", "2s", "--", "true")],
    ids=["wait", "credentials", "exec"],
)
def test_who_waits_at_a_terminal_sees_for_what_and_the_line_is_gone_at_the_end(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    written = write_configuration(tmp_path)
    patience = () if "--timeout" in words else ("--timeout", "2s")
    here = words.index("--") if "--" in words else len(words)
    code, screen = seen(*words[:here], *patience, "-c", written.config, *words[here:], COLUMNS="200")
    assert code == 1
    shown = re.findall(
        r"\r\x1b\[K(waiting for (?:role )?backup, 1 s: no agent answers at \S+: connection refused)", screen
    )
    assert shown
    last = screen.rpartition("\r\x1b[K")[2]
    assert last.startswith("error: no agent answers at ")


@pytest.mark.parametrize(("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_is_coloured_unless_that_is_not_wanted(
    environ: dict[str, str], *, coloured: bool, tmp_path: Path
) -> None:
    with answering(http(200, status_json(role_status("backup")))) as agent:
        written = write_configuration(tmp_path, admin=agent.port)
        code, screen = seen("status", "-c", written.config, **environ)
    assert code == 0
    assert ("\x1b[32mgood" in screen) is coloured
    assert ("\x1b" in screen) is coloured
