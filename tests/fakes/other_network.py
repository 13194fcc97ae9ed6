"""A process in a network namespace of its own, with connections in there, as a container has them."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent.callers import End

#: Brings loopback up, listens there, and prints both ends of a connection for each line that it reads; "end" ends it.
_INSIDE = """
import fcntl, socket, struct, sys
server = socket.socket()
fcntl.ioctl(server, 0x8914, struct.pack("16sh22x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP, IFF_RUNNING
server.bind(("127.0.0.1", 0))
server.listen()
kept = []
print(flush=True)
for line in sys.stdin:
    client = socket.create_connection(server.getsockname())
    kept += [client, server.accept()]
    print(client.getsockname()[1], server.getsockname()[1], flush=True)
"""


@dataclass
class OtherNetwork:
    """The process; `sandbox` is a file that is its network namespace."""

    process: asyncio.subprocess.Process

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def sandbox(self) -> str:
        return f"/proc/{self.pid}/ns/net"

    async def connected(self) -> tuple[End, End]:
        """Make a connection in there: the client's end, and the server's."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"\n")
        client, server = (await self.process.stdout.readline()).split()
        return ("127.0.0.1", int(client)), ("127.0.0.1", int(server))

    async def end(self) -> None:
        """End it, and with it its namespace."""
        with suppress(ProcessLookupError):
            self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def other_network(cgroup: str = "") -> AsyncIterator[OtherNetwork]:
    """Start one, in a control group of that name if there is one. Skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("only root can make a network namespace")
    process = await asyncio.create_subprocess_exec(
        *("unshare", "--net", sys.executable, "-c", _INSIDE),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    other = OtherNetwork(process)
    try:
        assert await process.stdout.readline() == b"\n"
        with _in_cgroup(process.pid, cgroup) if cgroup else nullcontext():
            try:
                yield other
            finally:
                await other.end()
    finally:
        await other.end()


@contextmanager
def _in_cgroup(pid: int, name: str) -> Iterator[None]:
    """Put a process into a new control group of the second version."""
    roots = (Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/unified"))
    root = next((root for root in roots if (root / "cgroup.controllers").exists()), None)
    if root is None or not os.access(root, os.W_OK):
        pytest.skip("there are no control groups of the second version here, or not for us")
    group = root / name
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here: {error.strerror}")
    try:
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for _ in range(100):  # a process leaves its group a moment after its end
            with suppress(OSError):
                group.rmdir()
                break
            time.sleep(0.01)
