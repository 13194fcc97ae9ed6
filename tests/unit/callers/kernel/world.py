"""Real users in real control groups, each a process that does as it is told."""

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Self

import pytest

from agent.callers import End
from agent.callers.kernel import hierarchy

ALICE, BOB = 54_001, 54_002

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be other users")

#: What a puppet runs: each line it reads is a program, and what that leaves in `answer` is written back.
_PUPPET: Final = """
import ctypes, json, os, socket, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
def connected(address, port, *, source=None, family=socket.AF_INET, kind=0):
    made = socket.socket(family, socket.SOCK_STREAM, kind)
    if source is not None:  # and then the port is nobody else's meanwhile
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, source))
    made.settimeout(5)
    made.connect((address, port))
    return made
def reset(made):
    made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    made.close()
group, uid = sys.argv[1:]
if group:
    with open(group + "/cgroup.procs", "w") as procs:
        procs.write("0")
if int(uid):
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
scope = dict(globals())
for line in sys.stdin:
    scope["answer"] = None
    try:
        exec(json.loads(line), scope)
        told = {"answer": scope["answer"]}
    except OSError as error:
        told = {"errno": error.errno}
    print(json.dumps(told), flush=True)
"""

_NUMBERS = itertools.count(1)


class Puppet:
    """A process of a user, in a control group if one is given; it has gone when its context ends."""

    def __init__(self, uid: int, group: Path | None = None, *, inside: tuple[str, ...] = ()) -> None:
        """Start it; `inside` is a command that runs it somewhere else, such as unshare."""
        self._process = subprocess.Popen(
            [*inside, sys.executable, "-I", "-S", "-c", _PUPPET, str(group or ""), str(uid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid

    def do(self, program: str) -> Any:  # whatever the program leaves
        """Run this there; what it leaves in `answer`. Raises OSError as it was raised there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(program) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the puppet has died"
        told = json.loads(line)
        if "errno" in told:
            raise OSError(told["errno"], os.strerror(told["errno"]))
        return told["answer"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Server:
    """A listener, and the connections that it has accepted."""

    def __init__(self, address: str = "127.0.0.1", backlog: int = 2048) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.listening = socket.socket(family, socket.SOCK_STREAM)
        if address == "::":
            self.listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.listening.bind((address, 0))
        self.listening.listen(backlog)
        self.listening.settimeout(5)
        self.port: int = self.listening.getsockname()[1]
        self.accepted: list[socket.socket] = []

    def accept(self) -> tuple[End, End]:
        """Accept one more; the client's end, and ours."""
        accepted, peer = self.listening.accept()
        self.accepted.append(accepted)
        here = accepted.getsockname()
        return (peer[0], peer[1]), (here[0], here[1])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for each in (*self.accepted, self.listening):
            each.close()


def _top() -> Path | None:
    seen = hierarchy.mounted()
    return Path(seen.folder) if seen is not None and os.access(seen.folder, os.W_OK) else None


class Groups:
    """A slice of our own in the real hierarchy, and what is made in it."""

    def __init__(self, top: Path) -> None:
        self.name = f"rolecalltest{os.getpid()}x{next(_NUMBERS)}.slice"
        self.folder = top / self.name
        self.folder.mkdir()

    def make(self, path: str) -> Path:
        """Make a group, and those around it."""
        made = self.folder / path
        made.mkdir(parents=True)
        return made

    def remove(self, path: str = "") -> None:
        """Remove a group and all in it; those who were in it take a moment to have gone."""
        for folder, _, _ in os.walk(self.folder / path, topdown=False):
            for _ in range(200):
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
                    break
                time.sleep(0.01)


@contextlib.contextmanager
def groups() -> Iterator[Groups]:
    """Control groups of our own; skips where nobody may make any."""
    top = _top()
    if os.geteuid() != 0 or top is None:
        pytest.skip("only root can make control groups, and only where their hierarchy v2 can be written")
    made = Groups(top)
    try:
        yield made
    finally:
        made.remove()
