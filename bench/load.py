"""How many requests a second, how slow the slowest, and what does a herd have to bear?"""

import os
import re
import selectors
import socket
import statistics
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.peers import TOKEN, Peer, pinned

_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_REQUEST = "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: " + TOKEN + "\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Run:
    """Of wrk: requests a second, the 99th percentile in s, and requests for each second of the server's CPU.

    The last is what the first would be on a core of one's own, and the one to trust when the machine is busy; so is
    the best 99th percentile of several runs.
    """

    rate: float
    p99: float
    p99_best: float
    by_cpu: float


def wrk(peer: Peer, seconds: int, connections: int, *, close: bool) -> Run:
    """One run. Raises SystemExit if any answer was not a 200: then the figures mean nothing."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-H", f"Authorization: {TOKEN}"]
    if close:
        command += ["-H", "Connection: close"]
    command.append(f"http://127.0.0.1:{peer.port}{peer.path}")
    before = cpu_seconds(peer.pid)
    said = subprocess.run(pinned(1, command), capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(peer.pid) - before
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    total = re.search(r"(\d+) requests in", said)
    if rate is None or p99 is None or total is None or "Non-2xx" in said:
        raise SystemExit(f"{peer.name}: wrk is not content:\n{said}")
    slow = float(p99[1]) * _UNITS[p99[2]]
    return Run(float(rate[1]), slow, slow, int(total[1]) / max(used, 0.01))


def cpu_seconds(pid: int) -> float:
    """What a process and its children that live have used of the CPU so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


def medians(peers: list[Peer], rounds: int, seconds: int, *, close: bool) -> dict[str, Run]:
    """Interleaved runs, so that what else the machine does meets all alike; the median of each figure."""
    runs: dict[str, list[Run]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in peers:
            runs[peer.name].append(wrk(peer, seconds, 64, close=close))
    return {
        name: Run(
            statistics.median(run.rate for run in of),
            statistics.median(run.p99 for run in of),
            min(run.p99 for run in of),
            statistics.median(run.by_cpu for run in of),
        )
        for name, of in runs.items()
    }


@dataclass(frozen=True, slots=True)
class Herd:
    """What became of clients that came all at once: how many were answered, and how late the last, in seconds."""

    answered: int
    slowest: float


def herd(peer: Peer, clients: int) -> Herd:
    """So many connections at one moment, one request on each. A client gives up after 5 s."""
    waiting: dict[socket.socket, bytes] = {}
    with selectors.DefaultSelector() as selector:
        for _ in range(clients):
            each = socket.socket()
            each.setblocking(False)
            waiting[each] = b""
        started = time.perf_counter()
        for each in waiting:
            each.connect_ex(("127.0.0.1", peer.port))
            selector.register(each, selectors.EVENT_WRITE)
        answered, slowest = 0, 0.0
        while waiting and time.perf_counter() - started < 5:
            for key, ready in selector.select(1.0):
                client = key.fileobj
                assert isinstance(client, socket.socket)
                if ready & selectors.EVENT_WRITE:
                    client.send(_REQUEST.format(path=peer.path).encode())
                    selector.modify(client, selectors.EVENT_READ)
                    continue
                waiting[client] += client.recv(65536)
                if waiting[client].endswith(b"}"):
                    answered += waiting[client].startswith(b"HTTP/1.1 200")
                    slowest = time.perf_counter() - started
                    selector.unregister(client)
                    client.close()
                    del waiting[client]
        for each in waiting:
            each.close()
    return Herd(answered, slowest)
