"""How soon does the whole daemon serve, and how much memory does it take with ten roles?"""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from bench import ROOT
from bench.load import cpu_seconds
from bench.peers import TOKEN

ROLES = [f"role-{number}" for number in range(10)]
_AGENT = [sys.executable, "-m", "agent"]

_CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "{home}/keys"
[publishing]
to = "directory"
directory = "{home}/site"
[sts]
region = "eu-central-1"
endpoint_url = "http://127.0.0.1:{sandbox}"
{roles}
[[grants]]
roles = {names}
token_file = "{home}/token"
[listen]
credentials = "127.0.0.1:{credentials}"
admin = "127.0.0.1:{admin}"
"""


@dataclass(frozen=True, slots=True)
class Whole:
    """Seconds from the start of the process to its first 200, of which it had the CPU and STS took; bytes resident."""

    first: float
    cpu: float
    sts: float
    resident: int


@contextlib.contextmanager
def furnished(home: Path) -> Iterator[tuple[Path, int, int]]:
    """A configuration with ten roles, and the sandbox AWS that they are in; the ports of our two listeners."""
    with contextlib.ExitStack() as stack:
        sandbox, credentials, admin = (stack.enter_context(_held()).getsockname()[1] for _ in range(3))
        (home / "keys").mkdir(mode=0o700)
        (home / "site").mkdir()
        token = home / "token"
        token.touch(mode=0o600)
        token.write_text(TOKEN)
        configuration = home / "rolecall.toml"
        roles = "\n".join(f'[roles.{role}]\narn = "arn:aws:iam::123456789012:role/{role}"' for role in ROLES)
        configuration.write_text(
            _CONFIGURATION.format(
                home=home, sandbox=sandbox, credentials=credentials, admin=admin, roles=roles, names=json.dumps(ROLES)
            )
        )
        for words in (["keys", "new"], ["publish"]):
            subprocess.run([*_AGENT, *words, "-c", str(configuration)], check=True, capture_output=True, cwd=ROOT)
        command = [*_AGENT, "sandbox", "--json", "-c", str(configuration), "--listen", f"127.0.0.1:{sandbox}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
            assert process.stdout is not None
            process.stdout.readline()
            try:
                yield configuration, credentials, admin
            finally:
                process.terminate()


def measure(configuration: Path, credentials: int, admin: int) -> Whole:
    """Start the daemon, ask until it serves, let all roles be fetched, weigh it, stop it."""
    began = time.perf_counter()
    command = [*_AGENT, "run", "-c", str(configuration)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as process:
        try:
            with ThreadPoolExecutor(len(ROLES)) as callers:  # the first fetches are spread: each role has its caller
                served = [callers.submit(_until_served, credentials, role) for role in ROLES]
                wait(served, return_when=FIRST_COMPLETED)
                first, cpu = time.perf_counter() - began, cpu_seconds(process.pid)
            metrics = _get(admin, "/metrics")[1]
            fetches = re.findall(rb"rolecall_credentials_refresh_duration_seconds_sum\{[^}]*\} (\S+)", metrics)
            status = Path(f"/proc/{process.pid}/status").read_text()
        finally:
            process.terminate()
    resident = re.search(r"VmRSS:\s+(\d+)", status)
    assert resident is not None
    return Whole(first, cpu, min(map(float, fetches)), int(resident[1]) * 1024)


def _until_served(port: int, role: str) -> None:
    while _get(port, f"/v1/credentials/{role}")[0] != 200:
        time.sleep(0.01)


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", path, headers={"Authorization": TOKEN})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""
    finally:
        connection.close()


def _held() -> socket.socket:
    """A socket that is bound and does not listen: the kernel gives its port to nobody, and servers may listen there."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    return held
