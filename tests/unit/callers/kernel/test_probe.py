"""Does the probe say what the kernel can tell here, and when it cannot, whose turn it is?"""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent.callers.kernel import Wanting, probe
from agent.callers.kernel.probe import blurred
from tests.unit.callers.kernel.world import ALICE, as_root, groups

ROOT = Path(__file__).parents[4]

#: Prints what the probe says, as whoever runs it.
_PROGRAM = """
import dataclasses, json, sys
sys.path.insert(0, {root!r})
from agent.callers.kernel import probe
from agent.callers.kernel.hierarchy import Hierarchy
{before}
print(json.dumps(dataclasses.asdict(probe({there}))))
"""

#: The same behind a filter of system calls that answers socket(AF_NETLINK) with an error number, in libseccomp's words.
FILTERED = """
import ctypes, struct
libc = ctypes.CDLL(None, use_errno=True)
def code(kind, taken, missed, value):
    return struct.pack("=HBBI", kind, taken, missed, value)
filter = b"".join((
    code(0x20, 0, 0, 0),                       # the number of the system call
    code(0x15, 0, 3, {socket}),                # socket?
    code(0x20, 0, 0, 16),                      # its first argument
    code(0x15, 0, 1, 16),                      # AF_NETLINK?
    code(0x06, 0, 0, 0x00050000 | {number}),   # then this error
    code(0x06, 0, 0, 0x7FFF0000),
))
kept = ctypes.create_string_buffer(filter)
program = struct.pack("HxxxxxxP", len(filter) // 8, ctypes.addressof(kept))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, program, 0, 0) == 0
"""

#: The number of the system call socket(2).
SOCKET_CALL = {"x86_64": 41, "aarch64": 198}


def seen(before: str = "", *, inside: tuple[str, ...] = (), there: str = "") -> dict[str, Any]:
    """What a process of its own is told; skips where `inside` is not to be had."""
    program = _PROGRAM.format(root=str(ROOT), before=before, there=there)
    done = subprocess.run([*inside, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if inside and done.stderr.startswith(inside[0]):
        pytest.skip(f"not on this machine: {done.stderr}")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    for wanting in told["wanting"]:
        assert wanting["what"]
        assert wanting["hint"]
    return told


def wanting(told: dict[str, Any]) -> str:
    return "\n".join(each["what"] for each in told["wanting"])


def test_here_users_are_told() -> None:
    sight = probe()
    assert sight.users
    assert sight.units or sight.wanting


def test_nothing_is_said_to_be_wanting_that_nobody_can_mend() -> None:
    for each in probe().wanting:
        assert isinstance(each, Wanting)
        assert each.hint


@pytest.mark.parametrize(
    ("users", "units", "expected"),
    [
        (True, True, "by user and unit"),
        (True, False, "by user only"),
        (False, True, "by unit only"),
        (False, False, "not recognised"),
    ],
)
def test_the_summary_says_what_is_told(users: bool, units: bool, expected: str) -> None:  # noqa: FBT001 - rows
    sight = type(probe())(users, units)
    assert expected in sight.summary


@as_root
def test_it_works_without_any_privilege() -> None:
    become = f"({ALICE}, {ALICE}, {ALICE})"
    told = seen(f"import os; os.setgroups([]); os.setresgid{become}; os.setresuid{become}")
    assert told["users"]


@as_root
def test_in_a_unit_it_sees_itself_there() -> None:
    with groups() as made:
        group = made.make("init.scope")
        there = f"Hierarchy({str(made.folder)!r})"
        told = seen(f"open('{group}/cgroup.procs', 'w').write('0')", there=there)
    assert told["units"]
    assert not told["wanting"]
    assert told["own"]["unit"] == "init.scope"


@as_root
def test_a_machine_in_a_container_that_has_its_own_systemd_is_whole() -> None:
    with groups() as made:
        group = made.make("init.scope")
        there = f"Hierarchy({str(made.folder)!r}, whole=False)"
        told = seen(f"open('{group}/cgroup.procs', 'w').write('0')", there=there)
    assert (told["units"], told["wanting"]) == (True, [])


@as_root
def test_where_systemd_has_no_units_it_says_so() -> None:
    with groups() as made:
        group = made.make("x.service")
        told = seen(f"open('{group}/cgroup.procs', 'w').write('0')", there=f"Hierarchy({str(made.folder)!r})")
    assert not told["units"]
    assert "systemd has no units" in wanting(told)


@pytest.mark.parametrize(
    ("found", "own", "expected"),
    [
        ("/", "1:name=systemd:/x\n0::/system.slice/rolecall.service\n", True),
        ("/", "1:name=systemd:/x\n0::/\n", False),
        ("/system.slice/rolecall.service", "0::/system.slice/rolecall.service\n", False),
        ("/", "1:name=systemd:/x\n", False),
        ("/", None, False),
    ],
)
def test_a_kernel_that_takes_all_sockets_for_those_of_the_top_is_found_out(
    tmp_path: Path,
    found: str,
    own: str | None,
    expected: bool,  # noqa: FBT001 - a row of the table
) -> None:
    """Before 5.15 it does when net_cls or net_prio of v1 are in use: no newer kernel can be made to."""
    written = tmp_path / "cgroup"
    if own is not None:
        written.write_text(own)
    assert blurred(found, written) == expected


@as_root
def test_where_all_sockets_are_taken_for_those_of_the_top_it_says_so() -> None:
    with groups() as made:
        group = made.make("init.scope")
        told = seen(f"open('{group}/cgroup.procs', 'w').write('0')", there=f"Hierarchy({str(group)!r})")
    assert not told["units"]
    assert "net_cls" in wanting(told)


@as_root
def test_where_the_kernel_says_another_user_than_we_are_users_are_not_told() -> None:
    """A process whose sockets are another user's: its file-system user id is not its effective one."""
    told = seen(f"import ctypes; ctypes.CDLL(None).setfsuid({ALICE})")
    assert not told["users"]
    assert f"says that this process is user {ALICE}, and it is user 0" in wanting(told)


@as_root
def test_where_it_cannot_find_its_own_group_it_says_so(tmp_path: Path) -> None:
    told = seen(there=f"Hierarchy({str(tmp_path)!r})")
    assert not told["units"]
    assert "not to be found" in wanting(told)
    assert {each["of"] for each in told["wanting"]} == {"units"}


@pytest.mark.skipif(os.uname().machine not in SOCKET_CALL, reason="no numbers of system calls for this machine")
@pytest.mark.parametrize(
    ("number", "expected", "hint"),
    [
        (97, "may not use AF_NETLINK", "RestrictAddressFamilies="),
        (1, "a security policy", "seccomp"),
        (93, "no sock_diag", "CONFIG_INET_DIAG"),
        (23, "cannot be asked who calls: Too many open files in system", "ss"),
    ],
    ids=["RestrictAddressFamilies=", "seccomp", "no module", "something else"],
)
def test_it_says_what_keeps_it_from_asking(number: int, expected: str, hint: str) -> None:
    told = seen(FILTERED.format(number=number, socket=SOCKET_CALL[os.uname().machine]))
    assert not told["users"]
    assert not told["units"]
    assert expected in wanting(told)
    assert hint in told["wanting"][0]["hint"]


@as_root
def test_in_a_network_without_loopback_it_says_so() -> None:
    told = seen(inside=("unshare", "--net"))
    assert not told["users"]
    assert "cannot connect to itself over IPv4" in wanting(told)


@as_root
def test_in_a_network_of_its_own_it_works() -> None:
    if shutil.which("ip") is None:
        pytest.skip("no ip here to bring loopback up")
    told = seen(inside=("unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"))
    assert told["users"]


def test_in_a_user_namespace_that_lacks_users_it_says_so() -> None:
    told = seen(inside=("unshare", "--user", "--map-root-user"))
    assert "has not all users" in wanting(told)
    assert {each["of"] for each in told["wanting"] if "has not all users" in each["what"]} == {"users"}
    assert told["users"]  # its own user is there


def test_where_its_own_user_is_missing_users_are_not_told() -> None:
    told = seen(inside=("unshare", "--user"))
    assert not told["users"]


@as_root
@pytest.mark.parametrize(
    ("mounting", "expected"),
    [
        ("umount -a -t cgroup2", "no hierarchy of control groups v2 is mounted"),
        ("mkdir -p {tmp}/part && umount -a -t cgroup2; mount -t cgroup2 none {tmp}/part", "only a part"),
    ],
    ids=["none", "a part"],
)
def test_without_the_whole_hierarchy_it_says_so(tmp_path: Path, mounting: str, expected: str) -> None:
    with groups() as made:
        group = made.make("x.service")
        inner = mounting.format(tmp=tmp_path) + '; exec "$@"'
        script = f"echo 0 > {group}/cgroup.procs; exec unshare --cgroup --mount sh -c '{inner}' sh \"$@\""
        told = seen(inside=("sh", "-c", script, "sh"))
    assert told["users"]
    assert expected in wanting(told)
