"""How is a client program spoken to? A line to its stdin, a line of JSON from its stdout, within its time."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.conformance.cast import ROOT, Client

Word = Literal["call", "fresh"]

#: What is said of a client that is lost, in place of an error of its own.
HANGS, ENDED = "hangs", "ends"

#: How long a program may take to end when its stdin has ended, in seconds.
_FAREWELL = 10.0
#: For how long, in seconds, a program that has done nothing is taken to have started up, and how often one looks.
_CALM, _LOOK = 0.4, 0.1
#: How many looks are enough in any case.
_LOOKS = 150


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client made of one request: what it said if it went well, its own error if not."""

    ok: bool
    seconds: float
    said: str = ""
    error: str = ""


class Conversation:
    """A client program that is running."""

    def __init__(self, client: Client, process: asyncio.subprocess.Process) -> None:
        self.client = client
        self.process = process
        self._lost = ""

    async def ask(self, word: Word) -> Answer:
        """One request. A client that outlasts its patience is ended; from then on it is lost."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        if not self._lost:
            try:
                self.process.stdin.write(f"{word}\n".encode())
                await self.process.stdin.drain()
                line = await asyncio.wait_for(self.process.stdout.readline(), self.client.patience)
            except TimeoutError:
                self._lost = HANGS
                self.process.kill()
            except ConnectionError:
                self._lost = ENDED
            else:
                if line:
                    return self._read(line)
                self._lost = ENDED
        return Answer(ok=False, seconds=self.client.patience, error=self._lost)

    def _read(self, line: bytes) -> Answer:
        """What it has answered. Fails if it has got something else than its role."""
        answer = Answer(**json.loads(line))
        assert not answer.ok or answer.said.startswith(self.client.reads), answer
        return answer

    async def end(self) -> None:
        """Close its stdin; end it, if that does not."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            # What it still writes is read, so that it does not wait for that.
            await asyncio.wait_for(self.process.communicate(), _FAREWELL)
        except TimeoutError:
            with suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def conversation(
    client: Client, environ: Mapping[str, str], before: Sequence[str] = ()
) -> AsyncIterator[Conversation]:
    """A client as a process of its own; `before` its command comes what is to run it."""
    process = await asyncio.create_subprocess_exec(
        *before,
        *client.command,
        env=environ,
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    talk = Conversation(client, process)
    try:
        yield talk
    finally:
        await talk.end()


async def calm(talks: Iterable[Conversation]) -> None:
    """Wait until all have started up: their processes have nothing to do any more."""
    pids = [talk.process.pid for talk in talks]
    spent, since = -1, 0.0
    for _ in range(_LOOKS):
        if since >= _CALM:
            return
        now = sum(map(_spent, pids))
        since = since + _LOOK if now == spent else 0.0
        spent = now
        await asyncio.sleep(_LOOK)


def _spent(pid: int) -> int:
    """The processor time of a process, in ticks; proc(5)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(fields[11]) + int(fields[12])
