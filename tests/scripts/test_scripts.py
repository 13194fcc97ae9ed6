"""Whole sessions at the command line, played as they are written in sessions/*.txt.

A line `$ rolecall …` is run, in a shell whose folder is the host's; the lines below it are all that must come out,
stdout first, then stderr. `[2]` at the end of a command is the exit code expected, if not 0. In what is expected,
`{HOME}`, `{CREDENTIALS}` and `{ADMIN}` stand for the host's folder and its two addresses, and `…` for anything at
all within one line, a line of nothing but `…` for any number of lines. A line `= up`, `= down`, `= outage`,
`= recovered` changes the world; everything else is said to the reader.
"""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.sandbox import Fault, Sandbox
from tests.live.host import Host, agent_on, sandboxed

pytestmark = pytest.mark.long

SESSIONS = sorted((Path(__file__).parent / "sessions").glob("*.txt"))
_EXIT = re.compile(r"^(?P<words>.*?)(?:\s+\[(?P<code>\d+)\])?$")


@dataclass
class Step:
    """One command or change of the world, where it stands, and what is to come of it."""

    where: str
    said: str
    expected: list[str] = field(default_factory=list)


def steps(path: Path) -> Iterator[Step]:
    """Read a session. A blank line ends what is expected of a command."""
    step: Step | None = None
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith(("$ ", "= ")):
            if step:
                yield step
            step = Step(f"{path.name}:{number}", line)
        elif not line:
            if step:
                yield step
            step = None
        elif step and step.said.startswith("$ "):
            step.expected.append(line)
    if step:
        yield step


def pattern(expected: list[str], host: Host) -> re.Pattern[str]:
    """What is expected, as a pattern for all that comes out."""
    known = {
        "{HOME}": str(host.home),
        "{CREDENTIALS}": host.url.removeprefix("http://"),
        "{ADMIN}": host.admin.removeprefix("http://"),
    }
    parts = []
    for line in expected:
        said = line
        for name, value in known.items():
            said = said.replace(name, value)
        parts.append("(?:.*\n)*" if said == "…" else ".*".join(map(re.escape, said.split("…"))) + "\n")
    return re.compile("".join(parts))


class Player:
    """Plays one session on a host of its own."""

    def __init__(self, host: Host, sandbox: Sandbox) -> None:
        self._host = host
        self._sandbox = sandbox
        self._agent = AsyncExitStack()
        self._bin = host.home / "bin"
        self._bin.mkdir()
        for name, module in (("rolecall", "-W error -m agent"), ("aws", "-m awscli")):
            command = self._bin / name
            command.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
            command.chmod(0o755)

    async def play(self, step: Step) -> None:
        if step.said.startswith("= "):
            await self._change(step.said[2:])
            return
        matched = _EXIT.match(step.said[2:])
        assert matched
        code, said = await self._run(matched["words"])
        assert pattern(step.expected, self._host).fullmatch(said), f"{step.where}: {step.said}\n{said}"
        assert code == int(matched["code"] or 0), f"{step.where}: {step.said}\n{said}"

    async def close(self) -> None:
        await self._agent.aclose()

    async def _change(self, world: str) -> None:
        match world:
            case "up":
                agent = await self._agent.enter_async_context(agent_on(self._host))
                await agent.ready()
            case "down":
                await self._agent.aclose()
            case "outage":
                self._sandbox.faults.add(Fault("status", status=503))
            case "recovered":
                self._sandbox.faults.clear()
            case _:
                raise AssertionError(world)

    async def _run(self, words: str) -> tuple[int, str]:
        """Run a line as a shell does; `rolecall` and `aws` are those of this environment."""
        clean = self._host.environment()
        environ = {
            "PATH": f"{self._bin}:{clean['PATH']}",
            "AWS_ENDPOINT_URL": self._host.endpoint,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": str(self._host.home / "aws.ini"),
        }
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-c",
            words,
            env=clean | environ,
            cwd=self._host.home,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return process.returncode, "".join(_lines(out) + _lines(err))


def _lines(raw: bytes) -> list[str]:
    return [f"{line}\n" for line in raw.decode().splitlines()]


@pytest.fixture
async def player(tmp_path: Path) -> AsyncIterator[Player]:
    async with sandboxed(tmp_path, roles=("backup", "reports")) as (host, sandbox):
        player = Player(host, sandbox)
        yield player
        await player.close()


@pytest.mark.parametrize("session", SESSIONS, ids=lambda path: path.stem)
async def test_a_session_goes_as_it_is_written(session: Path, player: Player) -> None:
    played = list(steps(session))
    assert any(step.said.startswith("$ ") for step in played), "nothing is played"
    for step in played:
        await player.play(step)


def test_a_session_that_goes_otherwise_is_noticed(tmp_path: Path) -> None:
    host = Host(tmp_path, "http://127.0.0.1:1")
    for expected, said in [
        (["one"], "two\n"),
        (["one"], "one\ntwo\n"),
        (["one", "two"], "one\n"),
        ([], "one\n"),
        (["a … c"], "a b\n"),
        (["…", "end"], "more\n"),
        (["{HOME}"], "/elsewhere\n"),
    ]:
        assert not pattern(expected, host).fullmatch(said), expected
    assert pattern(["…", "in {HOME}: … done"], host).fullmatch(f"a\nb\nin {tmp_path}: really done\n")


def test_every_session_is_played() -> None:
    assert SESSIONS
    assert {path.suffix for path in (Path(__file__).parent / "sessions").iterdir()} == {".txt"}
    assert os.access("/bin/bash", os.X_OK)
