"""Who is measured, and how is each started? Every server runs on core 0, all that loads it on core 1."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench import ROOT

TOKEN = "bench-token-0123456789abcdef"  # noqa: S105 - good for nothing else
PATH = "/v1/credentials/web"
TOKEN_PATH = "/v1/token?aud=https://api.example.com"  # noqa: S105 - a path

_NGINX = """
worker_processes 1;
daemon off;
error_log {folder}/error.log;
pid {folder}/nginx.pid;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
    uwsgi_temp_path {folder}; scgi_temp_path {folder};
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        default_type application/json;
        add_header Cache-Control no-store;
        location = {path} {{ return 200 '{body}'; }}
    }}
}}
"""


#: The agent's listener as the daemon runs it, and otherwise: the loop, and whether the kernel is asked who calls.
_OURS = {
    "rolecall": ("uvloop", "kernel"),
    "rolecall, not asking who": ("uvloop", "off"),
    "rolecall on asyncio": ("asyncio", "kernel"),
}


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that runs."""

    name: str
    port: int
    pid: int
    path: str = PATH


def pinned(core: int, command: list[str]) -> list[str]:
    """The command, kept to one core where the machine lets us."""
    return ["taskset", "-c", str(core), *command] if shutil.which("taskset") else command


@contextlib.contextmanager
def running(folder: Path) -> Iterator[list[Peer]]:
    """Start the agent's listener and all peers whose tools are there; says which are not."""
    token_file, body_file = folder / "token", folder / "body.json"
    token_file.write_text(TOKEN)
    token_file.chmod(0o600)
    with contextlib.ExitStack() as stack:
        peers = []
        for name, words in _OURS.items():
            command = [sys.executable, "-m", "bench.agent_server", str(token_file), str(body_file), *words]
            peers.append(stack.enter_context(_server(name, command)))
        peers.append(replace(peers[0], name="rolecall, tokens", path=TOKEN_PATH))
        if shutil.which("go") is None:
            print("no Go compiler here: not compared with Go's net/http")
        else:
            binary = folder / "gopeer"
            subprocess.run(["go", "build", "-o", str(binary), str(ROOT / "bench" / "go" / "main.go")], check=True)
            peers.append(stack.enter_context(_server("Go net/http", [str(binary), str(body_file), TOKEN])))
        if shutil.which("nginx") is None:
            print("no nginx here: not compared with it")
        else:
            peers.append(stack.enter_context(_nginx(folder, body_file.read_text())))
        yield peers


@contextlib.contextmanager
def _server(name: str, command: list[str]) -> Iterator[Peer]:
    """A server that prints its port when it listens."""
    with subprocess.Popen(pinned(0, command), stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield Peer(name, int(process.stdout.readline()), process.pid)
        finally:
            process.kill()


@contextlib.contextmanager
def _nginx(folder: Path, body: str) -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    configuration = folder / "nginx.conf"
    configuration.write_text(_NGINX.format(folder=folder, port=port, body=body, path=PATH))
    command = ["nginx", "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    with subprocess.Popen(pinned(0, command)) as process:
        try:
            _await_port(port)
            yield Peer("nginx, static", port, process.pid)
        finally:
            process.terminate()


def _await_port(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.1):
            return
        time.sleep(0.05)
    raise SystemExit("nginx does not start")
