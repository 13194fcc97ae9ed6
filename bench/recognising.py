"""What does it cost a connection that the kernel is asked who is at its other end?"""

import contextlib
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.callers import End
from agent.callers.kernel import KernelRecogniser
from agent.callers.kernel.cgroups import Cgroups
from agent.callers.kernel.hierarchy import Hierarchy, mounted
from agent.clock import SystemClock

#: How many connections are open while one is asked about, and how many there are of which each is asked about once.
OPEN = 1000

#: How many groups there are when a new one is looked for.
FEW, MANY = 300, 2000


@dataclass(frozen=True, slots=True)
class Cost:
    """Of recognising one caller, in seconds: the median, and what one in a hundred takes at least."""

    median: float
    p99: float


def costs(rounds: int = 5, address: str = "127.0.0.1") -> Cost:
    """Ask about each of a thousand open connections once, so many rounds: each by its own two ends."""
    took = []
    with _connections(address) as ends, KernelRecogniser(SystemClock()) as recogniser:
        for client, server in ends:  # the first round pays for what is then in the caches, as on any busy machine
            recogniser.recognise(client, server)
        for _ in range(rounds):
            for client, server in ends:
                began = time.perf_counter()
                origin = recogniser.recognise(client, server)
                took.append(time.perf_counter() - began)
                assert ("unix.uid", str(os.geteuid())) in origin.facts
    return Cost(statistics.median(took), statistics.quantiles(took, n=100)[-1])


def look(groups: int, rounds: int = 5) -> float:
    """Seconds, at the median, until a control group is found that was made among so many others.

    In the real hierarchy where this process may make some, otherwise in a folder, which costs much the same.
    """
    seen = mounted()
    with contextlib.ExitStack() as stack:
        if seen is None or not os.access(seen.folder, os.W_OK):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            seen, top = Hierarchy(str(folder)), folder / "bench.slice"
        else:
            top = Path(seen.folder, f"rolecallbench{os.getpid()}.slice")
        stack.callback(top.rmdir)
        top.mkdir()
        for number in range(groups):
            _made(top / f"{number}.service", stack)
        cgroups, took = Cgroups(SystemClock(), seen), []
        cgroups.path(top.stat().st_ino, 0)
        for number in range(rounds):
            new = _made(top / f"new{number}.service", stack)
            began = time.perf_counter()
            assert cgroups.path(new, 0)
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def _made(group: Path, stack: contextlib.ExitStack) -> int:
    group.mkdir()
    stack.callback(group.rmdir)
    return group.stat().st_ino


@contextlib.contextmanager
def _connections(address: str) -> Iterator[list[tuple[End, End]]]:
    """A thousand connections of ours to ourselves, as the ends of each: the client's, and the server's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * OPEN + 100
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted if hard < 0 else min(wanted, hard)), hard))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with contextlib.ExitStack() as stack:
            listening = stack.enter_context(socket.create_server((address, 0), family=family, backlog=64))
            ends: list[tuple[End, End]] = []
            for _ in range(OPEN):
                stack.enter_context(socket.create_connection(listening.getsockname()[:2]))
                accepted, peer = listening.accept()
                stack.enter_context(accepted)
                here = accepted.getsockname()
                ends.append(((peer[0], peer[1]), (here[0], here[1])))
            yield ends
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
