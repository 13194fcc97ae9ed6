"""The demo as its users run it: look at the screen, paste what it says, end it at any moment."""

import json
import os
import re
import shlex
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock
from tests.fakes.commands import ROLECALL, clean
from tests.fakes.ports import own_port

pytestmark = pytest.mark.long

ARN = re.compile(r"arn:aws:sts::123456789012:assumed-role/backup/[\w+=,.@-]+")


@contextmanager
def demo(folder: Path, *words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*ROLECALL, "demo", *words],
        env=clean(TMPDIR=str(folder), **environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=20)


def screen_of(process: subprocess.Popen[str]) -> list[str]:
    """All that it prints before it waits."""
    assert process.stdout is not None
    lines: list[str] = []
    while not lines or not lines[-1].startswith("Ctrl-C"):
        line = process.stdout.readline()
        assert line, "it ended"
        lines.append(line.rstrip("\n"))
    return lines


def paste(script: str) -> str:
    """Run lines of the screen as a person would, in a shell where other roles lie around."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-ec", script],
        env=clean(PATH=path, AWS_ACCESS_KEY_ID="AKIASTALE", AWS_PROFILE="stale"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, (script, done.stderr)
    return done.stdout


def test_once_prints_who_we_are_and_nothing_else(tmp_path: Path) -> None:
    with demo(tmp_path, "--once") as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert ARN.fullmatch(out.removesuffix("\n"))
    assert err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_configuration_is_not_passed_over_in_silence(tmp_path: Path) -> None:
    with demo(tmp_path, "--once", "-c", "my own.toml") as process:
        _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.splitlines() == [
        "error: the demo has a configuration of its own, and takes no other",
        "hint: yours is run by: rolecall run -c 'my own.toml'; without AWS, beside: rolecall sandbox -c 'my own.toml'",
    ]


def test_once_can_be_read_by_programs(tmp_path: Path) -> None:
    with demo(tmp_path, "--once", "--json") as process:
        out, _ = process.communicate(timeout=30)
    document = json.loads(out)
    assert document.keys() == {"arn", "account", "expiration"}
    assert ARN.fullmatch(document["arn"])
    assert document["account"] == "123456789012"


def test_nothing_that_lies_around_can_break_it(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{own_port()}"
    around = {
        "AWS_PROFILE": "missing",
        "AWS_CA_BUNDLE": "/nonexistent",
        "AWS_ENDPOINT_URL": nowhere,
        "AWS_STS_REGIONAL_ENDPOINTS": "nonsense",
        "HTTP_PROXY": nowhere,
        "http_proxy": nowhere,
        "ROLECALL_CONFIG": "/nonexistent",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent",
    }
    with demo(tmp_path, "--once", **around) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert ARN.fullmatch(out.removesuffix("\n"))


def test_a_port_that_is_taken_between_look_and_use_is_no_reason_not_to_start(tmp_path: Path) -> None:
    with socket.socket() as rival:
        rival.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            rival.bind(("127.0.0.1", 9170))
        except OSError:
            return  # another test listens there, so that the demo would not want it in the first place
        with demo(tmp_path) as process:
            began = time.monotonic()
            while not list(tmp_path.glob("*/rolecall.toml")):
                assert time.monotonic() - began < 20
                time.sleep(0.001)
            rival.listen()
            assert "9170" not in "".join(screen_of(process))


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[str]]:
    """The screen of a demo that runs, beside whatever has its usual ports, in a folder with a blank in its name."""
    folder = tmp_path_factory.mktemp("a demo")
    with ExitStack() as taken:
        for port in (9170, 9171):
            probe = taken.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                probe.listen()
            except OSError:
                continue  # somebody has it already, which is as good
        with demo(folder) as process:
            yield screen_of(process)


def pasted(shown: list[str], beginning: str) -> str:
    """The one line to paste that begins so, without the remark behind it."""
    line = next(line.strip() for line in shown if line.startswith(f"  {beginning}"))
    return re.sub(r"\s{2,}# .*$", "", line)


def test_the_screen_is_a_dozen_lines_or_so_and_without_colour_in_a_pipe(shown: list[str]) -> None:
    assert 10 <= len(shown) <= 15
    assert "\x1b" not in "".join(shown)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("aws sts", r'"Arn": "arn:aws:sts::123456789012:assumed-role/backup/'),
        ("aws s3", r"^Fetched with a role"),
        (f"{sys.executable} -c", r"^b'Fetched with a role"),
    ],
)
def test_what_it_says_to_paste_works_when_pasted(command: str, expected: str, shown: list[str]) -> None:
    said = paste("\n".join([pasted(shown, ". "), pasted(shown, command)]))
    assert re.search(expected, said), said


def test_the_other_role_may_read_and_not_write(shown: list[str]) -> None:
    source = pasted(shown, ". ").replace("backup.env", "reports.env")
    assert "assumed-role/reports/" in paste(f"{source}\naws sts get-caller-identity")
    bucket = re.search(r"s3://[\w-]+", pasted(shown, "aws s3"))
    assert bucket is not None
    refused = f"if aws s3 cp - {bucket[0]}/new.txt </dev/null 2>&1; then exit 9; fi"
    assert "AccessDenied" in paste(f"{source}\n{refused}")


def test_the_status_and_the_pages_it_names_are_there(shown: list[str]) -> None:
    said = paste(next(line.strip() for line in shown if " status -c " in line))
    assert re.search(r"backup +good", said)
    urls = re.findall(r"http://\S+?/(?:metrics)?(?= |,)", "\n".join(line for line in shown if line.startswith("Look")))
    assert len(urls) == 2
    assert "<html" in paste(f"curl -sf {urls[0]}")
    assert "rolecall_build_info" in paste(f"curl -sf {urls[1]}")


def test_whom_the_agent_sees_is_shown(shown: list[str]) -> None:
    said = paste(next(line.strip() for line in shown if " who -c " in line))
    assert re.search(r"yes +grants#2: reports\n", said)
    assert re.search(r"no +grants#1: backup: the token in .+ must be shown, and was not", said)


def test_aws_can_be_made_to_misbehave_as_it_says(shown: list[str]) -> None:
    line = pasted(shown, "curl -X PUT")
    paste(line.replace("curl", "curl -sSf", 1))
    control = re.search(r"http://\S+/faults", line)
    assert control is not None
    assert "503" in paste(f"curl -sf {control[0]}")
    paste(f"curl -sSf -X DELETE {control[0]}")


def test_an_outage_is_announced_with_the_time_until_which_nobody_notices(shown: list[str]) -> None:
    (until,) = re.findall(r"nobody notices: what is held lasts until (\d\d:\d\d)$", "\n".join(shown), re.MULTILINE)
    said = paste(next(line.strip() for line in shown if " status -c " in line) + " --json")
    left = timedelta(seconds=min(role["left_seconds"] for role in json.loads(said)["roles"]))
    end = SystemClock().now().astimezone() + left
    assert until in {f"{end + timedelta(minutes=minutes):%H:%M}" for minutes in (-1, 0, 1)}


def test_the_token_and_what_holds_it_are_for_their_owner_alone(shown: list[str]) -> None:
    home = Path(shlex.split(pasted(shown, ". "))[1]).parent
    for name in ("backup.token", "backup.env", "keys"):
        assert stat.S_IMODE((home / name).stat().st_mode) & 0o077 == 0, name


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_nothing_is_left(number: signal.Signals, tmp_path: Path) -> None:
    with demo(tmp_path) as process:
        screen_of(process)
        assert list(tmp_path.iterdir())
        process.send_signal(number)
        process.send_signal(number)  # as people do who are in a hurry
        _, err = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("after", [0.0, 0.2])
@pytest.mark.parametrize("words", [(), ("--once",)], ids=["demo", "once"])
def test_a_signal_during_the_start_leaves_nothing_either(words: tuple[str, ...], after: float, tmp_path: Path) -> None:
    with demo(tmp_path, *words) as process:
        began = time.monotonic()
        while process.poll() is None and not any(tmp_path.iterdir()):
            assert time.monotonic() - began < 20
            time.sleep(0.001)
        time.sleep(after)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert process.returncode in ({0, 130} if words else {0})
        assert "Traceback" not in err
        assert process.returncode == 0 or out == ""
    assert list(tmp_path.iterdir()) == []
