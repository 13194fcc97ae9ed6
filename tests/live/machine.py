"""A machine of its own, with systemd as its first process, in which the agent is a service.

It is a container of systemd-nspawn whose files are those of this machine, seen through an overlay: what the service
needs is written into memory and gone afterwards, and nothing has to be installed or fetched. Its network is its own
loopback, so the real ports are free, and its AWS is a sandbox inside.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ISSUER = "https://oidc.example.com"
SANDBOX = "http://127.0.0.1:4566"
_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"

#: What stands for an installed rolecall: this very Python and source, at places that ProtectHome= does not hide.
_COMMAND = f"""\
#!/bin/sh
LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH=/opt/rolecall/source:/opt/rolecall/packages PYTHONDONTWRITEBYTECODE=1
export LD_LIBRARY_PATH PYTHONPATH PYTHONDONTWRITEBYTECODE
exec /opt/python/bin/{_PYTHON} """

_SANDBOX = """\
[Service]
ExecStart=/usr/bin/rolecall sandbox -c /etc/rolecall/rolecall.toml --listen 127.0.0.1:4566 --public --json
StandardOutput=truncate:/run/sandbox.json
"""
CONFIGURATION = "/etc/rolecall/rolecall.toml"


@dataclass
class Machine:
    """A running machine: its root directory as seen from here, and the id of its first process."""

    root: Path
    first: int

    def run(self, *words: str, check: bool = True) -> str:
        """Run a command in there as root, and give what it prints."""
        inside = ["nsenter", "-t", str(self.first), "-m", "-u", "-i", "-n", "-p", "--", "env", "-i"]
        plain = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8"]
        done = subprocess.run([*inside, *plain, *words], capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def show(self, *properties: str, unit: str = "rolecall.service") -> dict[str, str]:
        """Properties of a unit."""
        lines = self.run("systemctl", "show", unit, "-p", ",".join(properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def wait_for(self, seconds: float = 20.0, **wanted: str) -> dict[str, str]:
        """Wait until properties of the agent's unit are as wanted."""
        deadline = time.monotonic() + seconds
        while (found := self.show(*wanted)) != wanted:
            assert time.monotonic() < deadline, f"{found}\n{self.logged()}"
            time.sleep(0.1)
        return found

    def write(self, path: str, text: str) -> None:
        """Write a file in there."""
        there = self.root / path.lstrip("/")
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)

    def read(self, path: str) -> str:
        """Read a file in there, seen as those in there see it; empty if there is none."""
        return self.run("cat", path, check=False)

    def start(self, drop_in: str = "") -> None:
        """Start the agent anew, its unit changed by a drop-in; returns when it is ready, or has failed."""
        self.run("systemctl", "stop", "rolecall.service")
        self.run("systemctl", "reset-failed", "rolecall.service", check=False)
        self.write("/etc/systemd/system/rolecall.service.d/test.conf", f"[Service]\n{drop_in}\n")
        self.run("systemctl", "daemon-reload")
        self.run("systemctl", "start", "rolecall.service", check=False)

    def start_sandbox(self) -> None:
        """Start the sandbox AWS, and lead the agent's next start to its issuer as the world sees it."""
        self.run("rm", "-f", "/run/sandbox.json")
        self.run("systemctl", "start", "sandbox.service")
        _until(lambda: self.read("/run/sandbox.json").endswith("}\n"), lambda: "the sandbox does not listen")
        facts = json.loads(self.read("/run/sandbox.json"))
        self.write("/etc/rolecall/ca.pem", self.read(facts["ca_file"]))
        public = f'proxy = "{facts["proxy_url"]}"\nca_bundle = "/etc/rolecall/ca.pem"\n'
        written = re.sub(r'^(proxy|ca_bundle) = ".*"\n', "", self.read(CONFIGURATION), flags=re.MULTILINE)
        self.write(CONFIGURATION, written.replace(f'url = "{ISSUER}"\n', f'url = "{ISSUER}"\n{public}'))

    def logged(self) -> str:
        """What the journal has of the agent, newest last."""
        return self.run("journalctl", "-u", "rolecall.service", "-o", "cat", "-n", "40", "--no-pager")

    def journal(self) -> list[dict[str, Any]]:
        """The same, with all fields, of the agent's present run."""
        invocation = self.show("InvocationID")["InvocationID"]
        lines = self.run("journalctl", f"_SYSTEMD_INVOCATION_ID={invocation}", "-o", "json", "--no-pager")
        return [json.loads(line) for line in lines.splitlines()]

    def get(self, url: str, token_file: str = "") -> str:
        """Fetch a URL from in there; empty if that fails."""
        header = f'-H "Authorization: $(cat {token_file})"' if token_file else ""
        return self.run("sh", "-c", f"curl -sgf --max-time 5 {header} '{url}'", check=False)


def why_not() -> str:
    """Say why there can be no such machine here, if so."""
    if os.geteuid() != 0:
        return "only root can start a machine"
    missing = [tool for tool in ("systemd-nspawn", "nsenter", "curl") if shutil.which(tool) is None]
    if not Path("/lib/systemd/systemd").exists():
        missing.append("systemd")
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def machine(home: Path) -> Iterator[Machine]:
    """Furnish a machine as docs/install.md says, and boot it. Skips where that cannot be."""
    if reason := why_not():
        pytest.skip(reason)
    with _overlay(home) as root:
        _furnish(root)
        with _booted(root, home / "console") as first:
            booted = Machine(root, first)
            roles = ("--role", "backup=arn:aws:iam::123456789012:role/backup")
            where = ("--issuer", ISSUER, "--region", "eu-central-1", "--key-kind", "ec-p256")
            booted.run("rolecall", "init", "--service", "--yes", *where, *roles)
            settings = booted.read(CONFIGURATION)
            booted.write(CONFIGURATION, settings.replace("[sts]\n", f'[sts]\nendpoint_url = "{SANDBOX}"\n'))
            booted.start_sandbox()
            yield booted


def _furnish(root: Path) -> None:
    for path, text, mode in (
        ("etc/systemd/system/rolecall.service", (ROOT / "systemd/rolecall.service").read_text(), 0o644),
        ("usr/lib/sysusers.d/rolecall.conf", (ROOT / "systemd/rolecall.sysusers").read_text(), 0o644),
        ("etc/systemd/system/sandbox.service", _SANDBOX, 0o644),
        ("usr/bin/rolecall", f'{_COMMAND}-W error -m agent "$@"\n', 0o755),
        ("usr/bin/agent-python", f'{_COMMAND}"$@"\n', 0o755),
    ):
        there = root / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text)
        there.chmod(mode)
    shutil.rmtree(root / "etc/rolecall", ignore_errors=True)


@contextmanager
def _overlay(home: Path) -> Iterator[Path]:
    """This machine's files, with changes kept in memory."""
    memory = home / "memory"
    memory.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "machine", memory], check=False).returncode:
        pytest.skip("this machine does not let root mount")
    try:
        for name in ("upper", "work", "root"):
            (memory / name).mkdir()
        layers = f"lowerdir=/,upperdir={memory}/upper,workdir={memory}/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, memory / "root"], check=True)
        yield memory / "root"
    finally:
        subprocess.run(["umount", "--lazy", "--recursive", memory], check=True)


@contextmanager
def _booted(root: Path, console: Path) -> Iterator[int]:
    """Boot it up to basic.target, and say which process is its first."""
    binds = {"/opt/python": sys.base_prefix, "/opt/rolecall/source": ROOT}
    binds["/opt/rolecall/packages"] = sysconfig.get_path("purelib")
    words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", f"--directory={root}"]
    words += [f"--machine=rolecall-test-{os.getpid()}", "--link-journal=no", "--resolv-conf=off"]
    words += [f"--bind-ro={source}:{place}" for place, source in binds.items()]
    with console.open("wb") as out:
        boot = ["--boot", "systemd.unit=basic.target", "systemd.mask=dev-hugepages.mount"]
        # cgroups of the second version, as current systems have them, whatever this one has
        environ = os.environ | {"SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1"}
        nspawn = subprocess.Popen(
            [*words, *boot], env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        _until(lambda: nspawn.poll() is not None or _first_of(nspawn.pid) != 0, lambda: "there is no first process")
        assert nspawn.poll() is None, console.read_text()
        found = Machine(root, _first_of(nspawn.pid))
        _until(
            lambda: found.run("systemctl", "is-active", "basic.target", check=False) == "active\n",
            lambda: f"it does not boot:\n{console.read_text()}",
        )
        yield found.first
    finally:
        with suppress(ProcessLookupError):
            nspawn.send_signal(signal.SIGTERM)  # asks the machine to halt
        try:
            nspawn.wait(15)
        except subprocess.TimeoutExpired:
            nspawn.kill()
            nspawn.wait(5)


def _first_of(nspawn: int) -> int:
    """The id that the first process in there has out here; 0 while there is none.

    nspawn has other children before that one, and they are still out here with us: nothing may be run beside those.
    """
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children")
    with suppress(FileNotFoundError, ProcessLookupError):
        for child in children.read_text().split():
            status = Path(f"/proc/{child}/status").read_text()
            if re.search(r"^Name:\tsystemd$", status, re.MULTILINE) and re.search(
                r"^NSpid:.*\t1$", status, re.MULTILINE
            ):
                return int(child)
    return 0


def _until(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, otherwise()
        time.sleep(0.05)
