"""Does the agent keep its promises of speed? Prints every figure beside what it is held to.

    python bench/run.py                     everything, a few minutes
    python bench/run.py --seconds 1 rates   one part, quickly

Ratios carry over from one machine to the next, absolute figures do not. On a machine that is busy with other things,
look at the requests for each second of the server's CPU.
"""

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

if not __package__:  # started as a file: its neighbours are found from the folder above
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import idle, imports, recognising, verifying, whole
from bench.load import Run, herd, medians
from bench.peers import Peer, running

OURS, BLIND, TOKENS = "rolecall", "rolecall, not asking who", "rolecall, tokens"
GO, NGINX = "Go net/http", "nginx, static"


def verdict(name: str, figure: float, promised: float, *, at_least: bool) -> str:
    """One line: what was measured, and whether that is what was promised."""
    kept = figure >= promised if at_least else figure <= promised
    word = "at least" if at_least else "at most"
    return f"  {'ok  ' if kept else 'MISS'}  {name}: {figure:.2f} ({word} {promised:g})"


def ratios(runs: dict[str, Run], against: str, title: str, promised: float) -> Iterator[str]:
    """How we compare with one peer, by the clock and by the CPU."""
    if against in runs:
        ours, theirs = runs[OURS], runs[against]
        yield verdict(f"{title}, x {against}", ours.rate / theirs.rate, promised, at_least=True)
        yield verdict(f"{title}, by CPU, x {against}", ours.by_cpu / theirs.by_cpu, promised, at_least=True)


def rates(peers: list[Peer], rounds: int, seconds: int) -> None:
    """Requests a second with connections kept, and with one for each request."""
    for title, close in (("keep-alive", False), ("connection per request", True)):
        runs = medians(peers, rounds, seconds, close=close)
        print(f"\n{title}, 64 connections: median of {rounds} interleaved runs of {seconds} s")
        for name, run in runs.items():
            print(
                f"  {name:24} {run.rate:9,.0f} requests/s {run.by_cpu:9,.0f} per CPU second"
                f"   p99 {run.p99 * 1e3:6.2f} ms, at best {run.p99_best * 1e3:6.2f} ms"
            )
        promises = [(GO, 0.95)] if close else [(GO, 1.4), (NGINX, 0.8)]
        for against, promised in promises:
            print("\n".join(ratios(runs, against, title, promised)))
        alike = [runs[TOKENS].rate / runs[OURS].rate, runs[TOKENS].by_cpu / runs[OURS].by_cpu]
        print(verdict(f"{title}, tokens, x credentials", alike[0], 0.9, at_least=True))
        print(verdict(f"{title}, tokens, by CPU, x credentials", alike[1], 0.95, at_least=True))
        if close:
            print("\n".join(ratios(runs, BLIND, title, 0.75)))
        if GO in runs:
            print(verdict(f"{title}, p99 at best, x {GO}", runs[OURS].p99_best / runs[GO].p99_best, 1, at_least=False))


def herds(peers: list[Peer], rounds: int) -> None:
    """A thousand clients at once."""
    runs = {peer.name: [herd(peer, 1000) for _ in range(rounds)] for peer in peers}
    print(f"\n1,000 clients at once: median of {rounds}")
    slowest = {name: statistics.median(run.slowest for run in of) for name, of in runs.items()}
    for name, of in runs.items():
        print(f"  {name:24} answered {min(run.answered for run in of):5}   slowest after {slowest[name] * 1e3:6.1f} ms")
    print(verdict("answered", min(run.answered for run in runs[OURS]), 1000, at_least=True))
    if NGINX in slowest:
        print(verdict("the slowest, x nginx's", slowest[OURS] / slowest[NGINX], 3, at_least=False))


def daemon(rounds: int) -> None:
    """Start and memory of the whole."""
    with tempfile.TemporaryDirectory() as folder, whole.furnished(Path(folder)) as host:
        runs = [whole.measure(*host) for _ in range(rounds)]
    first, cpu, sts, resident = (
        statistics.median(getattr(run, name) for run in runs) for name in ("first", "cpu", "sts", "resident")
    )
    print(f"\nthe whole daemon, 10 roles, RSA-2048: median of {rounds}")
    print(f"  first credentials after {first:.2f} s, of which STS {sts:.3f} s; {cpu:.2f} s of CPU until then")
    best = min(run.first - run.sts for run in runs)
    print(verdict("start to first credentials without STS, s", first - sts, 0.5, at_least=False))
    print(verdict("start to first credentials without STS, at best, s", best, 0.5, at_least=False))
    print(verdict("resident memory, MB", resident / 1e6, 85, at_least=False))


def recognition(rounds: int) -> None:
    """What a connection pays for being recognised."""
    print(f"\nrecognising a caller, {recognising.OPEN} connections open")
    print(verdict("recognition, us at the median", recognising.costs(rounds).median * 1e6, 40, at_least=False))
    if os.geteuid() == 0:
        look = recognising.look(recognising.FEW) * 1e3
        print(verdict(f"a new control group among {recognising.FEW}, ms", look, 5, at_least=False))


def verification(rounds: int) -> None:
    """What a token of somebody else costs."""
    cost = verifying.costs(rounds)
    print(f"\nverifying an RS256 token, key at hand: {cost.ours * 1e6:.1f} us, PyJWT {cost.theirs * 1e6:.1f} us")
    print(verdict("verification, x PyJWT", cost.ours / cost.theirs, 1.3, at_least=False))
    print(verdict("a token of an unknown key, us", cost.unknown * 1e6, 100, at_least=False))


def idleness() -> None:
    """What a thousand roles cost while nobody asks."""
    print(f"\n{idle.ROLES} roles, nobody asking: 10 s watched")
    print(verdict("CPU, ms a minute", idle.cpu_a_minute(10) * 1e3, 20, at_least=False))


def libraries(rounds: int) -> None:
    """What each import costs."""
    print("\nimports, each beyond those above it")
    for cost in imports.costs(rounds):
        print(f"  {cost.name:28} {cost.seconds * 1e3:5.0f} ms of CPU {cost.resident / 1e6:6.1f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = "rates, herd, daemon, idle, recognising, verifying, imports"
    parser.add_argument("parts", nargs="*", metavar="PART", help=kinds)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind (default 5)")
    parser.add_argument("--seconds", type=int, default=4, help="how long each run of wrk takes (default 4)")
    arguments = parser.parse_args()
    against_peers: dict[str, Callable[[list[Peer]], None]] = {
        "rates": lambda peers: rates(peers, arguments.rounds, arguments.seconds),
        "herd": lambda peers: herds(peers, arguments.rounds),
    }
    alone: dict[str, Callable[[], None]] = {
        "daemon": lambda: daemon(arguments.rounds),
        "idle": idleness,
        "recognising": lambda: recognition(arguments.rounds),
        "verifying": lambda: verification(arguments.rounds),
        "imports": lambda: libraries(arguments.rounds),
    }
    wanted = arguments.parts or [*against_peers, *alone]
    if unknown := set(wanted) - {*against_peers, *alone}:
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    busy = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {busy:.1f} before we begin" + (": the machine is busy" if busy > 0.5 else ""))
    if "rates" in wanted and shutil.which("wrk") is None:
        print("no wrk here: rates are not measured")
        del against_peers["rates"]
    if set(wanted) & set(against_peers):
        with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as peers:
            for part, run in against_peers.items():
                if part in wanted:
                    run(peers)
    for name, measure in alone.items():
        if name in wanted:
            measure()


if __name__ == "__main__":
    main()
