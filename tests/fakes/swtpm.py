"""A TPM 2.0 in software, a real swtpm process of its own, and keys in it.

It speaks through a socket in the file system and keeps its state in a directory, so that it can be killed and started
again as the same TPM. Where swtpm or tpm2_pytss is missing, `requirements` says so.
"""

import asyncio
import importlib.util
import os
import shlex
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

#: What a test that uses this needs, and this machine lacks; empty if nothing.
MISSING: Final = ", ".join(
    [name for name in ("swtpm", "tpm2") if shutil.which(name) is None]
    + [name for name in ("tpm2_pytss",) if importlib.util.find_spec(name) is None]
)

_STARTING: Final = 10.0  # seconds; it takes a hundredth of one


@dataclass
class Swtpm:
    """One TPM; its state outlives its process. Use it with `running`."""

    state: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def socket(self) -> Path:
        return self.state / "tpm"

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self.socket}"

    def start(self) -> None:
        """Power on."""
        assert self.process is None
        ready = self.state / "pid"
        for path in (self.socket, Path(f"{self.socket}.ctrl"), ready):
            path.unlink(missing_ok=True)
        command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={self.state}", "--flags", "startup-clear"]
        command += ["--server", f"type=unixio,path={self.socket}"]
        command += ["--ctrl", f"type=unixio,path={self.socket}.ctrl", "--pid", f"file={ready}"]
        with (self.state / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + _STARTING
        # Seen by the file that it writes when it listens: it does not bear well to be connected to and left alone.
        while not ready.exists():
            assert self.process.poll() is None, (self.state / "log").read_text()
            assert time.monotonic() < deadline, "swtpm does not listen"
            time.sleep(0.005)

    def kill(self) -> None:
        """Cut the power."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def freeze(self) -> None:
        """Let it answer nobody until `thaw`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def tool(self, command: str) -> str:
        """Run one of the tpm2-tools ("create -C owner.ctx …") in the TPM's directory; what it printed."""
        name, *words = shlex.split(command)
        environment = {**os.environ, "TPM2TOOLS_TCTI": self.tcti, "TSS2_LOG": "all+none"}
        done = subprocess.run(
            ["tpm2", name, "-Q", *words], env=environment, cwd=self.state, check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    def persisted(self, algorithm: str, attributes: str, handle: str = "0x81000042", auth: str = "") -> str:
        """Make a key with the tools, and put it at a handle, as an operator would; the handle."""
        parts = "-u new.pub -r new.priv"
        self.tool("createprimary -C o -G ecc256 -c primary.ctx")
        self.tool(f"create -C primary.ctx -G {algorithm} -a '{attributes}' {parts}" + (f" -p {auth}" if auth else ""))
        self.tool("flushcontext -t")
        self.tool("load -C primary.ctx -u new.pub -r new.priv -c new.ctx")
        self.tool(f"evictcontrol -C o -c new.ctx {handle}")
        self.tool("flushcontext -t")
        return handle


@contextmanager
def running() -> Iterator[Swtpm]:
    """A new TPM, switched on; gone with all it held at the end."""
    # Not pytest's directory, whose path may be too long for a socket.
    with tempfile.TemporaryDirectory(prefix="swtpm-") as state:
        tpm = Swtpm(Path(state))
        try:
            tpm.start()
            yield tpm
        finally:
            tpm.kill()


@dataclass
class Bus:
    """Stands between us and a TPM: hears everything, and answers what it is told to in the TPM's place.

    `refusals` are the numbers to answer a command with, each once, before the TPM is asked again; `commands` are the
    commands that came, by their codes; `heard` are all bytes that went either way. In the answers to the command
    `garbled` a bit is turned. `contexts` counts how often the TSS has begun to speak.
    """

    tpm: Swtpm
    refusals: dict[int, list[int]] = field(default_factory=dict)
    commands: list[int] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)
    garbled: int | None = None
    contexts: int = 0
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _under_way: set["asyncio.Task[object] | None"] = field(default_factory=set)

    @property
    def tcti(self) -> str:
        return f"swtpm:path={self._path}"

    @property
    def _path(self) -> Path:
        return self.tpm.state / "bus"

    @asynccontextmanager
    async def tapped(self) -> AsyncIterator[Self]:
        """As long as this is open, the TPM can be reached through `tcti`."""
        async with (
            await asyncio.start_unix_server(self._commands, self._path),
            await asyncio.start_unix_server(self._control, f"{self._path}.ctrl"),
        ):
            try:
                yield self
            finally:
                await asyncio.gather(*filter(None, self._under_way), return_exceptions=True)

    async def _commands(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._under_way.add(asyncio.current_task())
        async with self._one:  # swtpm wants the one connection to be closed before there is another
            there, back = await asyncio.open_unix_connection(self.tpm.socket)
            with suppress(asyncio.IncompleteReadError):
                while True:
                    command = await _message(reader)
                    answer = self._answer_to(command)
                    if answer is None:
                        back.write(command)
                        answer = await _message(there)
                    if int.from_bytes(command[6:10]) == self.garbled:
                        answer = answer[:30] + bytes([answer[30] ^ 1]) + answer[31:]
                    self.heard += command + answer
                    writer.write(answer)
            await _closed(back)
        await _closed(writer)

    def _answer_to(self, command: bytes) -> bytes | None:
        code = int.from_bytes(command[6:10])
        self.commands.append(code)
        if not self.refusals.get(code):
            return None
        return struct.pack(">HII", 0x8001, 10, self.refusals[code].pop(0))

    async def _control(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._under_way.add(asyncio.current_task())
        self.contexts += 1
        there, back = await asyncio.open_unix_connection(f"{self.tpm.socket}.ctrl")
        while data := await reader.read(4096):
            back.write(data)
            writer.write(await there.read(4096))
        await _closed(back)
        await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def _message(reader: asyncio.StreamReader) -> bytes:
    """A command or an answer: two bytes of tag, four of the length of it all (TPM 2.0 part 1, §18)."""
    head = await reader.readexactly(6)
    return head + await reader.readexactly(int.from_bytes(head[2:]) - 6)
