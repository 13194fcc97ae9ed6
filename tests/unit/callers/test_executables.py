"""Is a program named only where there is no doubt which one holds the connection?"""

import asyncio
import os
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from agent.callers import Facts, Origin, Peer
from agent.callers.executables import Executables, why_blind
from agent.clock import SystemClock
from agent.threads import aside
from tests.fakes.clock import FakeClock

SLEEP = os.path.realpath(shutil.which("sleep") or "/bin/sleep")
needs_sight = pytest.mark.skipif(why_blind() is not None, reason="programs are seen only with privileges")


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """A connection's client end."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as end:
        yield end


@pytest.fixture
def start(client: socket.socket) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start a program that holds the client's end as well; it ends with the test."""
    started = []

    def start(*words: str, user: str | None = None, program: str = "") -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(words, pass_fds=[client.fileno()], stdout=subprocess.PIPE, user=user)
        started.append(process)
        program = program or os.path.realpath(words[0])
        while os.path.realpath(f"/proc/{process.pid}/exe") != program and process.poll() is None:
            pass  # it is still a copy of us
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def peer(client: socket.socket) -> Peer:
    return Peer(Origin("127.0.0.1", socket=os.fstat(client.fileno()).st_ino), None)


async def known(asking: Peer, executables: Executables | None = None) -> Facts:
    there = executables or Executables(FakeClock())  # which makes nobody impatient
    assert there.attest(asking) is None
    await there.learn(asking)
    found = there.attest(asking)
    assert found is not None
    return found


def program(path: str | Path, pid: int | None = None) -> Facts:
    facts = {("process.executable", str(path))}
    return frozenset(facts if pid is None else facts | {("process.pid", str(pid))})


@needs_sight
async def test_the_one_process_that_holds_a_connection_is_known(client: socket.socket) -> None:
    assert await known(peer(client)) == program(os.path.realpath("/proc/self/exe"), os.getpid())


@needs_sight
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
async def test_what_runs_as_another_user_is_known_as_well(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    process = start(SLEEP, "60", user="nobody")
    asking = peer(client)
    client.close()
    assert await known(asking) == program(SLEEP, process.pid)


@needs_sight
async def test_two_programs_that_hold_one_connection_are_neither(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    start(SLEEP, "60")
    assert await known(peer(client)) == frozenset()


@needs_sight
async def test_of_two_processes_of_one_program_no_number_is_known(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    start(SLEEP, "60")
    start(SLEEP, "60")
    asking = peer(client)
    client.close()
    assert await known(asking) == program(SLEEP)


@needs_sight
@pytest.mark.parametrize("change", ["deleted", "replaced"])
async def test_a_program_whose_file_is_another_now_is_not_known(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path, change: str
) -> None:
    copy, newer = tmp_path / "backup", tmp_path / "backup.new"
    shutil.copy(SLEEP, copy)
    shutil.copy(SLEEP, newer)
    process = start(str(copy), "60")
    asking, again = peer(client), peer(client)
    client.close()
    assert await known(asking) == program(copy, process.pid)
    if change == "deleted":
        copy.unlink()
    else:
        newer.rename(copy)
    assert await known(again) == frozenset()


@needs_sight
async def test_a_program_that_was_moved_is_known_by_where_it_is_now(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    copy = tmp_path / "backup"
    shutil.copy(SLEEP, copy)
    process = start(str(copy), "60")
    asking = peer(client)
    client.close()
    copy.rename(tmp_path / "backup.old")
    assert await known(asking) == program(tmp_path / "backup.old", process.pid)


@needs_sight
@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
async def test_a_program_under_anothers_name_in_a_namespace_of_its_own_is_not_known(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"], tmp_path: Path
) -> None:
    trusted, own = tmp_path / "trusted", tmp_path / "own"
    shutil.copy(shutil.which("true") or "/bin/true", trusted)
    shutil.copy(SLEEP, own)
    if subprocess.run(["unshare", "--mount", "mount", "--bind", own, trusted], check=False).returncode:  # noqa: ASYNC221
        pytest.skip("this machine does not let us mount")
    mounted = f'mount --bind "{own}" "{trusted}" && exec "{trusted}" 60'
    start("unshare", "--mount", "sh", "-c", mounted, program=str(trusted))
    asking = peer(client)
    client.close()
    assert await known(asking) == frozenset()


async def test_a_socket_that_nobody_holds_is_nobodys() -> None:
    assert await known(Peer(Origin("127.0.0.1", socket=2**60), None)) == frozenset()


async def test_where_the_socket_is_not_known_nobody_is_looked_for() -> None:
    executables = Executables(SystemClock(), proc=Path("/no/such/place"))
    assert executables.attest(Peer(Origin("10.0.0.1"), None)) == frozenset()


@needs_sight
async def test_what_was_known_of_a_connection_holds_as_long_as_it_does(
    client: socket.socket, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    executables, asking = Executables(FakeClock()), peer(client)
    before = await known(asking, executables)
    start(SLEEP, "60")  # the socket is handed on
    await executables.learn(asking)
    assert executables.attest(asking) == before != frozenset()
    assert await known(peer(client), executables) == frozenset(), "and is asked anew for another connection"
    del asking
    assert len(executables._known) == 0


@needs_sight
async def test_one_look_serves_all_who_wait_for_it() -> None:
    looks = 0

    async def counted(work: Callable[[], None]) -> None:
        nonlocal looks
        looks += 1
        await aside(work)

    executables = Executables(FakeClock(), apart=counted)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        clients = [socket.create_connection(listening.getsockname()) for _ in range(50)]
        asking = [peer(client) for client in clients]
        await asyncio.gather(*(executables.learn(one) for one in asking))
        assert looks <= 2
        assert {executables.attest(one) for one in asking} == {program(os.path.realpath("/proc/self/exe"), os.getpid())}
        for client in clients:
            client.close()


async def test_a_look_that_hangs_holds_nobody_longer_than_half_a_second_and_no_second_thread() -> None:
    release, looks = threading.Event(), 0

    async def hanging(work: Callable[[], None]) -> None:
        nonlocal looks
        looks += 1
        await aside(release.wait)
        work()

    executables = Executables(SystemClock(), apart=hanging)
    began = asyncio.get_running_loop().time()
    results = await asyncio.gather(*(known(Peer(Origin("::1", socket=7), None), executables) for _ in range(5)))
    assert set(results) == {frozenset()}
    assert await known(Peer(Origin("::1", socket=8), None), executables) == frozenset()
    assert 0.9 < asyncio.get_running_loop().time() - began < 2
    assert looks == 1
    release.set()
    with suppress(TimeoutError):
        assert executables._looking is not None
        await asyncio.wait_for(executables._looking, 5)


@pytest.mark.parametrize(
    ("held", "missing"),
    [
        (0x80004, []),
        (0x1FFFFFFFFFF, []),
        (0x80000, ["CAP_DAC_READ_SEARCH"]),
        (0x4, ["CAP_SYS_PTRACE"]),
        (0, ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]),
    ],
)
def test_who_may_not_see_other_users_is_told_what_is_missing(tmp_path: Path, held: int, missing: list[str]) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/status").write_text(f"Name:\trolecall\nCapPrm:\t{2**40 - 1:016x}\nCapEff:\t{held:016x}\n")
    blind = why_blind(tmp_path)
    assert (blind is None) == (not missing)
    if blind is not None:
        assert blind.what.endswith(f"without {' and '.join(missing)}")
        assert "AmbientCapabilities=CAP_SYS_PTRACE CAP_DAC_READ_SEARCH" in blind.hint


def test_where_nothing_can_be_told_of_ourselves_we_are_blind(tmp_path: Path) -> None:
    assert why_blind(tmp_path / "none") is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_as_somebody_else_we_know_nothing_though_our_own_processes_could_be_seen(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            with socket.create_server(("127.0.0.1", 0)) as listening:
                end = socket.create_connection(listening.getsockname())
                found = asyncio.run(known(peer(end)))
                code = 0 if (found, why_blind() is None) == (frozenset(), False) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
