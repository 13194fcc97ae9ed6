"""What does each library cost that the daemon imports, in time and in memory?"""

import statistics
import subprocess
import sys
from dataclasses import dataclass

from bench import ROOT

#: In the order in which the daemon meets them; each is charged with what those before it have not loaded.
STEPS = (
    ("Python itself", "sys"),
    ("asyncio", "asyncio"),
    ("uvloop", "uvloop"),
    ("pydantic", "pydantic"),
    ("cryptography", "cryptography.hazmat.primitives.serialization"),
    ("aiohttp's server", "aiohttp.web"),
    ("prometheus-client", "prometheus_client"),
    ("aiobotocore, as we load it", "agent.clients.aws"),
    ("the agent itself", "agent.cli.run"),
)

_PROBE = """
import sys, time
began = time.process_time()
for name in sys.argv[1:]:
    __import__(name)
took = time.process_time() - began
resident = next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1]
print(took, resident)
"""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one step, beyond the steps before it: CPU seconds and bytes resident."""

    name: str
    seconds: float
    resident: int


def costs(rounds: int) -> list[Cost]:
    """Each step in fresh processes; medians."""
    found, seconds, resident = [], 0.0, 0
    for number, (name, _) in enumerate(STEPS):
        modules = [module for _, module in STEPS[: number + 1]]
        runs = [_probe(modules) for _ in range(rounds)]
        now_seconds = statistics.median(run[0] for run in runs)
        now_resident = int(statistics.median(run[1] for run in runs))
        found.append(Cost(name, now_seconds - seconds, now_resident - resident))
        seconds, resident = now_seconds, now_resident
    return found


def _probe(modules: list[str]) -> tuple[float, int]:
    command = [sys.executable, "-c", _PROBE, *modules]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    took, kilobytes = said.split()
    return float(took), int(kilobytes) * 1024
