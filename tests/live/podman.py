"""Podman as root, with networks of its own, and a place for an agent beside it.

All of it is in a network namespace and a mount namespace made for it, in which cgroups are of the second version
whatever this machine has; so nothing of the machine's own network is touched. There is no registry: containers are
made of this machine's own programs and libraries.
"""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NEEDED = ("podman", "runc", "conmon", "ip", "iptables", "nsenter", "unshare", "curl")

#: Run in there first. What podman keeps in /run/netns is kept from the machine's own.
_FURNISH = """
set -e
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir -p /run/netns && mount -t tmpfs netns /run/netns && mount --make-shared /run/netns
ip link set lo up
echo ready
exec sleep infinity
"""

#: Directories of this machine that make a system of a container.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ssl")


@dataclass
class Podman:
    """A running Podman: its folder, and the process that keeps its namespaces."""

    home: Path
    keeper: int
    service: "subprocess.Popen[bytes] | None" = None

    @property
    def inside(self) -> list[str]:
        """What a command begins with that is to run in there."""
        return ["nsenter", "-t", str(self.keeper), "-n", "-m", "--"]

    @property
    def socket(self) -> Path:
        """Its API."""
        return self.home / "podman.sock"

    def sh(self, command: str, *, check: bool = True) -> str:
        """Run a command in there, on the host's side."""
        return self._run([*self.inside, "sh", "-c", command], check=check)

    def run(self, name: str, command: str, *options: str) -> str:
        """Start a container; gives its id. `command` is one of the shell."""
        mounts = [f"--volume={path}:{path}:ro" for path in (*_SYSTEM, *_python()) if Path(path).exists()]
        limits = ["--pids-limit=0", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096"]  # no more than we may
        words = ["run", "--detach", f"--name={name}", *limits, *mounts, *options]
        root = self.home / "system"
        return self(*words, "--rootfs", str(root), "/bin/sh", "-c", command).strip()

    def execute(self, name: str, command: str, *, check: bool = True) -> str:
        """Run a command of the shell in a container."""
        return self("exec", name, "/bin/sh", "-c", command, check=check)

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run podman."""
        return self._run([*self.inside, *self._podman, *words], check=check)

    def serve(self) -> None:
        """Have its API answer."""
        self.service = subprocess.Popen(
            [*self.inside, *self._podman, "system", "service", "--time=0", f"unix://{self.socket}"]
        )
        until(self.socket.exists, "podman does not serve its API")

    def fall_silent(self) -> None:
        """Have its API answer no more."""
        if self.service is not None:
            self.service.terminate()
            self.service.wait(10)
            self.service = None
            self.socket.unlink(missing_ok=True)

    @property
    def _podman(self) -> list[str]:
        places = {name: f"--{option}={self.home / name}" for name, option in _PLACES.items()}
        plain = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"]
        return ["podman", *places.values(), *plain]

    @staticmethod
    def _run(words: list[str], *, check: bool) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=40, check=False)
        assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout


_PLACES = {"storage": "root", "running": "runroot", "temporary": "tmpdir", "networks": "network-config-dir"}


def _python() -> list[str]:
    """This very Python and its packages, at the places where they are."""
    return (
        [sys.base_prefix, sysconfig.get_path("purelib")]
        if sys.base_prefix != "/usr"
        else [sysconfig.get_path("purelib")]
    )


def python(script: str) -> str:
    """A command of the shell that runs a script with the packages of these tests."""
    program = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    library = f"LD_LIBRARY_PATH={sys.base_prefix}/lib" if sys.base_prefix != "/usr" else ""
    return f"{library} PYTHONPATH={sysconfig.get_path('purelib')} PYTHONDONTWRITEBYTECODE=1 {program} -c '{script}'"


def why_not() -> str:
    """Say why there can be no Podman here, if so."""
    if os.geteuid() != 0:
        return "only root can give Podman networks of its own"
    missing = [tool for tool in _NEEDED if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def podman(home: Path) -> Iterator[Podman]:
    """Have a Podman that serves its API. Skips where that cannot be."""
    if reason := why_not():
        pytest.skip(reason)
    for place in (*_PLACES, "system"):
        (home / place).mkdir()
    words = ["unshare", "--net", "--mount", "--propagation=private", "sh", "-c", _FURNISH]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != b"ready\n":
            pytest.skip(f"this machine does not let root make namespaces: {keeper.stderr.read().decode()}")
        there = Podman(home, keeper.pid)
        try:
            there.serve()
            yield there
        finally:
            there("rm", "--all", "--force", "--time=0", check=False)
            there("rm", "--all", "--force", "--time=0", check=False)  # those that others depended on
            there.fall_silent()
            there.sh("find /sys/fs/cgroup/libpod_parent -depth -type d -exec rmdir {} +", check=False)
            keeper.send_signal(signal.SIGKILL)


def until(condition: object, otherwise: str, seconds: float = 10.0) -> None:
    """Wait until something is so."""
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
