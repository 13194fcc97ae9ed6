"""Podman and Docker as root, with networks of their own, and a place for an agent beside them.

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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

#: Run in there first. What engines keep in /run is kept from the machine's own.
_FURNISH = """
set -e
umount -R /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup
for place in netns docker; do
  mkdir -p /run/$place && mount -t tmpfs $place /run/$place && mount --make-shared /run/$place
done
ip link set lo up
echo 1 > /proc/sys/net/ipv4/ip_forward
echo ready
exec sleep infinity
"""

#: Directories of this machine that make a system of a container.
_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc/ssl")

#: The network that they make for tests, in which containers can be given addresses.
NETWORK = "own"
SUBNET = "10.99.0.0/24"

#: Limits that root may set who cannot raise its own.
_LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")


@dataclass
class Engine:
    """A running engine: its folder, and the process that keeps its namespaces."""

    name: str
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
        return self.home / "api.sock"

    def sh(self, command: str, *, check: bool = True) -> str:
        """Run a command in there, on the host's side."""
        return _run([*self.inside, "sh", "-c", command], check=check)

    def run(self, name: str, command: str, *options: str) -> str:
        """Start a container; gives its id. `command` is one of the shell."""
        mounts = [f"--volume={path}:{path}:ro" for path in (*_SYSTEM, *_python()) if Path(path).exists()]
        system = ["--pids-limit=0", "--rootfs", str(self.home / "system")] if self.name == "podman" else ["system"]
        words = ["--detach", f"--name={name}", *_LIMITS, *mounts, *options, *system]
        return self("run", *words, "/bin/sh", "-c", command).strip()

    def execute(self, name: str, command: str) -> str:
        """Run a command of the shell in a container."""
        return self("exec", name, "/bin/sh", "-c", command)

    def remove(self, *names: str) -> None:
        """End containers, of which some may depend on others; all, if none is named."""
        for _ in range(2):
            there = names or self("ps", "--all", "--quiet", check=False).split()
            if there:
                self("rm", "--force", *(["--time=0"] if self.name == "podman" else []), *there, check=False)

    def __call__(self, *words: str, check: bool = True) -> str:
        """Run podman, or docker."""
        client = self._podman if self.name == "podman" else ["docker", f"--host=unix://{self.socket}"]
        return _run([*self.inside, *client, *words], check=check)

    def serve(self) -> None:
        """Have its API answer."""
        with (self.home / "log").open("ab") as log:
            self.service = subprocess.Popen(
                [*self.inside, *(self._podman_service if self.name == "podman" else self._dockerd)], stderr=log
            )
        until(
            lambda: self.socket.exists() and "[" in self.sh(f"curl -s --unix-socket {self.socket} {LIST}", check=False),
            f"{self.name} does not serve its API",
            30,
        )

    def fall_silent(self) -> None:
        """Have its API answer no more."""
        if self.service is not None:
            self.service.terminate()
            self.service.wait(20)
            self.service = None
            self.socket.unlink(missing_ok=True)

    @property
    def _podman(self) -> list[str]:
        places = [f"--{option}={self.home / option}" for option in ("root", "runroot", "tmpdir", "network-config-dir")]
        plain = ["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--events-backend=file", "--runtime=runc"]
        return ["podman", *places, *plain]

    @property
    def _podman_service(self) -> list[str]:
        return [*self._podman, "system", "service", "--time=0", f"unix://{self.socket}"]

    @property
    def _dockerd(self) -> list[str]:
        places = [f"--{option}={self.home / option}" for option in ("data-root", "exec-root", "pidfile")]
        plain = ["--storage-driver=vfs", "--userland-proxy=false", "--log-level=error"]
        return ["dockerd", *places, *plain, f"--host=unix://{self.socket}"]


#: What engines answer with a list.
LIST = "http://localhost/containers/json"


def _run(words: list[str], *, check: bool) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=40, check=False)
    assert done.returncode == 0 or not check, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def _python() -> list[str]:
    """This very Python and its packages, at the places where they are."""
    packages = sysconfig.get_path("purelib")
    return [packages] if sys.base_prefix == "/usr" else [sys.base_prefix, packages]


def python(script: str) -> str:
    """A command of the shell that runs a script with the packages of these tests."""
    program = Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}")
    library = "" if sys.base_prefix == "/usr" else f"LD_LIBRARY_PATH={sys.base_prefix}/lib"
    return f"{library} PYTHONPATH={sysconfig.get_path('purelib')} PYTHONDONTWRITEBYTECODE=1 {program} -c '{script}'"


def why_not(name: str) -> str:
    """Say why there can be no such engine here, if so."""
    if os.geteuid() != 0:
        return "only root can give an engine networks of its own"
    own = ("podman", "conmon") if name == "podman" else ("docker", "dockerd", "containerd")
    needed = (*own, "runc", "ip", "iptables", "nsenter", "unshare", "curl")
    missing = [tool for tool in needed if shutil.which(tool) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@contextmanager
def engine(name: str, home: Path) -> Iterator[Engine]:
    """Have an engine that serves its API. Skips where that cannot be."""
    if reason := why_not(name):
        pytest.skip(reason)
    (home / "system").mkdir()
    words = ["unshare", "--net", "--mount", "--propagation=private", "sh", "-c", _FURNISH]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as keeper:
        assert keeper.stdout is not None
        assert keeper.stderr is not None
        if keeper.stdout.readline() != b"ready\n":
            pytest.skip(f"this machine does not let root make namespaces: {keeper.stderr.read().decode()}")
        there = Engine(name, home, keeper.pid)
        try:
            there.serve()
            if name == "docker":
                there.sh(f"tar -C {home}/system -c . | docker --host=unix://{there.socket} import - system")
            there("network", "create", f"--subnet={SUBNET}", NETWORK)
            yield there
        finally:
            there.remove()
            there.fall_silent()
            groups = "/sys/fs/cgroup/docker" if name == "docker" else "/sys/fs/cgroup/libpod_parent"
            there.sh(f"find {groups} -depth -type d -exec rmdir {{}} +", check=False)
            keeper.send_signal(signal.SIGKILL)


def until(condition: Callable[[], bool], otherwise: str, seconds: float = 40.0) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.05)
