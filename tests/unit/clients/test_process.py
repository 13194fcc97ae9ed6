"""What does the kernel say of a process that has asked for what we ask for?"""

import json
import subprocess
import sys

import pytest

LIMITS = """
import json, resource
from agent.clients.process import allow_many_files, forbid_dumps
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
forbid_dumps()
allow_many_files()
print(json.dumps([
    resource.getrlimit(resource.RLIMIT_CORE),
    resource.getrlimit(resource.RLIMIT_NOFILE),
]))
"""

STREAMS = """
import os, sys
for number in {closed}:
    os.close(number)
sys.stdin, sys.stdout, sys.stderr = [
    None if number in {closed} else stream for number, stream in enumerate((sys.stdin, sys.stdout, sys.stderr))
]
from agent.clients.process import fill_standard_streams
fill_standard_streams()
print("to stdout")
print("to stderr", file=sys.stderr)
assert sys.stdin is not None
assert os.open("/dev/null", os.O_RDONLY) > 2
sys.exit(7)
"""


UNALTERABLE = """
import os, resource
from agent.clients.process import forbid_dumps
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE))
"""

READ = """
import ctypes, os, signal, sys
from agent.clients.process import forbid_dumps
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # giving up root takes this away, and it is what is to be seen
readable, writable = os.pipe()
child = os.fork()
if child == 0:
    if sys.argv[1] == "forbidding":
        forbid_dumps()
    os.write(writable, b"x")
    signal.pause()
os.read(readable, 1)
try:
    open(f"/proc/{child}/mem", "rb").close()
    print("readable")
except PermissionError:
    print("refused")
os.kill(child, 9)
os.waitpid(child, 0)
"""


def run(program: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("soft", "hard", "expected"), [(64, 512, 512), (200, 200, 200)])
def test_there_is_no_core_and_as_many_files_as_may_be(soft: int, hard: int, expected: int) -> None:
    core, files = json.loads(run(LIMITS.format(soft=soft, hard=hard)).stdout)
    assert core == [0, 0]
    assert files == [expected, hard]


@pytest.mark.parametrize("closed", [(), (0,), (1,), (2,), (0, 2), (0, 1, 2)])
def test_closed_standard_streams_are_filled_with_nothing(closed: tuple[int, ...]) -> None:
    done = run(STREAMS.format(closed=closed))
    assert done.returncode == 7
    assert done.stdout == ("" if 1 in closed else "to stdout\n")
    assert done.stderr == ("" if 2 in closed else "to stderr\n")


def test_a_limit_that_cannot_be_changed_is_no_reason_not_to_start() -> None:
    assert run(UNALTERABLE).stdout == "(0, 0)\n"


@pytest.mark.parametrize(("how", "found"), [("forbidding", "refused\n"), ("as it is", "readable\n")])
def test_another_process_of_the_same_user_cannot_read_our_memory(how: str, found: str) -> None:
    assert run(READ, how).stdout == found
