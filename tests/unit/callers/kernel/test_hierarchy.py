"""Is the hierarchy of control groups found, whatever the layout, and never taken for more than it is?"""

import os
import subprocess
from pathlib import Path

import pytest

from agent.callers.kernel.hierarchy import Hierarchy, mounted
from tests.unit.callers.kernel.world import as_root

HERE = mounted()


def mounts(folder: Path, *lines: str) -> Path:
    """A mountinfo with these lines; {} in them is a folder that is there."""
    there = folder / "mounted here"
    there.mkdir(exist_ok=True)
    written = folder / "mountinfo"
    escaped = str(there).replace(" ", "\\040")
    written.write_text("".join(f"{line.replace('{}', escaped)}\n" for line in lines))
    return written


def test_a_part_that_is_mounted_is_found_under_its_own_path(tmp_path: Path) -> None:
    seen = mounted(mounts(tmp_path, "41 31 0:38 /payload {} rw,relatime shared:1 - cgroup2 cgroup2 rw"))
    assert seen == Hierarchy(str(tmp_path / "mounted here"), "/payload", whole=False)


def test_the_top_of_a_namespace_is_found_without_a_prefix(tmp_path: Path) -> None:
    seen = mounted(mounts(tmp_path, "41 31 0:38 / {} rw,relatime - cgroup2 cgroup2 rw"))
    assert seen == Hierarchy(str(tmp_path / "mounted here"), "", whole=False)


@pytest.mark.parametrize("root", ["/..", "/../..", "/../other"])
def test_what_is_above_our_namespace_is_not_used(tmp_path: Path, root: str) -> None:
    assert mounted(mounts(tmp_path, f"41 31 0:38 {root} {{}} rw - cgroup2 cgroup2 rw")) is None


@pytest.mark.parametrize(
    "line",
    [
        "40 31 0:37 / {} rw,relatime - cgroup cgroup rw,name=systemd",
        "40 31 0:37 / {} rw,relatime - tmpfs cgroup2 rw",
        "40 31 0:37 / {}/missing rw,relatime - cgroup2 cgroup2 rw",
        "40 31 - cgroup2",
        "nonsense",
        "",
    ],
)
def test_what_is_not_that_hierarchy_or_not_there_is_not_used(tmp_path: Path, line: str) -> None:
    assert mounted(mounts(tmp_path, line)) is None


def test_without_a_list_of_mounts_there_is_none(tmp_path: Path) -> None:
    assert mounted(tmp_path / "missing") is None


def test_the_top_is_preferred_to_a_part(tmp_path: Path) -> None:
    part = "41 31 0:38 /payload {} rw - cgroup2 cgroup2 rw"
    top = "42 31 0:38 / {} rw - cgroup2 cgroup2 rw"
    seen = mounted(mounts(tmp_path, part, top))
    assert seen is not None
    assert seen.prefix == ""


@pytest.mark.skipif(HERE is None or not HERE.whole, reason="this machine does not show the top of its control groups")
def test_the_real_top_is_known_wherever_it_is_mounted(tmp_path: Path) -> None:
    assert HERE is not None
    line = f"42 31 0:38 /../.. {HERE.folder} rw - cgroup2 cgroup2 rw"
    assert mounted(mounts(tmp_path, "41 31 0:38 / {} rw - cgroup2 cgroup2 rw", line)) == HERE
    assert (Path(HERE.folder) / "cgroup.procs").exists()


@as_root
def test_a_namespace_of_control_groups_does_not_pass_for_the_whole(tmp_path: Path) -> None:
    """Mounted inside such a namespace, the hierarchy begins with the group that the process was in."""
    if HERE is None or not os.access(HERE.folder, os.W_OK):
        pytest.skip("the hierarchy of control groups cannot be written here")
    group = Path(HERE.folder, f"rolecalltest{os.getpid()}.slice")
    group.mkdir()
    script = f"""
        echo 0 > {group}/cgroup.procs
        exec unshare --cgroup --mount sh -c '
            mount -t cgroup2 none {tmp_path} && cat /proc/self/mountinfo && stat -c %i {tmp_path}
        '
    """
    try:
        told = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout.splitlines()
        inode = group.stat().st_ino
    finally:
        group.rmdir()
    assert told[-1] == str(inode) != "1"
    (line,) = (line for line in told[:-1] if f" {tmp_path} " in line)
    seen = mounted(mounts(tmp_path, line))
    assert seen == Hierarchy(str(tmp_path), "", whole=False)
