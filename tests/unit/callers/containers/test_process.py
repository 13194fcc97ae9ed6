"""A process that is held on to cannot become another."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.callers.containers.process import Process, cgroup_ids, cgroup_of, inode
from tests.fakes.engine import an_id
from tests.unit.callers.kernel.world import groups

A = an_id("a")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_it_is_alive_until_it_has_ended(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process(sleeper.pid)
    assert process.alive
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)  # ended, and its id not yet free
    assert not process.alive
    assert process.cgroups() == ""
    with pytest.raises(OSError, match="No such"):
        process.namespace()
    process.close()


def test_one_that_is_let_go_is_not_alive(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process(sleeper.pid)
    process.close()
    process.close()
    assert not process.alive


def test_there_is_no_holding_on_to_nobody(sleeper: subprocess.Popen[bytes]) -> None:
    sleeper.kill()
    sleeper.wait()
    with pytest.raises(OSError, match="No such process"):
        Process(sleeper.pid)


def test_its_namespace_and_its_cgroups_are_the_kernels_word(sleeper: subprocess.Popen[bytes]) -> None:
    process = Process(sleeper.pid)
    descriptor = process.namespace()
    assert os.fstat(descriptor).st_ino == inode("/proc/self/ns/net")
    os.close(descriptor)
    assert process.cgroups() == Path(f"/proc/{sleeper.pid}/cgroup").read_text()
    process.close()


def test_whoever_is_root_in_a_container_may_call_a_cgroup_what_is_no_text(sleeper: subprocess.Popen[bytes]) -> None:
    with groups() as made:
        group = made.make(os.fsdecode(b"odd-\xff\r\x85"))
        (group / "cgroup.procs").write_text(str(sleeper.pid))
        process = Process(sleeper.pid)
        assert f"0::/{made.name}/{group.name}" in process.cgroups().split("\n")
        process.close()
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize(
    ("cgroups", "expected"),
    [
        (f"0::/odd.scope\r0::/docker-{A}.scope\n", f"/odd.scope\r0::/docker-{A}.scope"),
        (f"0::/system.slice/docker-{A}.scope\n", f"/system.slice/docker-{A}.scope"),
        (f"0::/machine.slice/libpod-{A}.scope/container\n", f"/machine.slice/libpod-{A}.scope"),
        (f"4:memory:/docker/{A}\n1:name=systemd:/docker/{A}\n0::/docker/{A}\n", f"/docker/{A}"),
        (f"0::/docker/{A}/docker/{A}\n", f"/docker/{A}"),
        (f"4:memory:/docker/{A}\n0::/\n", None),
        ("0::/init.scope\n", None),
        (f"0::/docker/{an_id('b')}\n", None),
        ("", None),
    ],
)
def test_the_cgroup_of_a_container_bears_its_id(cgroups: str, expected: str | None) -> None:
    assert cgroup_of(A, cgroups) == (None if expected is None else Path(expected))


def test_the_ids_of_a_cgroup_are_those_of_all_below_it(tmp_path: Path) -> None:
    below = tmp_path / "v2/system.slice/x.scope/container"
    below.mkdir(parents=True)
    (tmp_path / "v2/cgroup.controllers").touch()
    (tmp_path / "v1/system.slice/x.scope").mkdir(parents=True)
    found = cgroup_ids(Path("/system.slice/x.scope"), (tmp_path / "v1", tmp_path / "v2", tmp_path / "none"))
    assert found == {below.stat().st_ino, below.parent.stat().st_ino}
    assert cgroup_ids(Path("/gone"), (tmp_path / "v2",)) == frozenset()


def test_no_more_cgroups_are_looked_through_than_a_container_needs(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").touch()
    for number in range(300):
        (tmp_path / f"x.scope/{number}").mkdir(parents=True)
    assert len(cgroup_ids(Path("/x.scope"), (tmp_path,))) == 256


def test_what_is_not_there_has_no_inode(tmp_path: Path) -> None:
    assert inode(str(tmp_path)) == tmp_path.stat().st_ino
    assert inode(str(tmp_path / "gone")) == inode("") == inode("\0") == 0
