"""Does systemd get the token of the unit that it starts, and nobody else any?"""

import asyncio
import contextlib
import os
import resource
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.errors import ListenerUnavailable
from agent.events import UnitTokenIssued, UnitTokenRefused
from agent.outputs.unit_tokens import _ADDRESS, giving
from agent.secret import Secret
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

ME = os.geteuid()
needs_root = pytest.mark.skipif(ME != 0, reason="only root can become somebody else")


class Made:
    """Makes tokens that can be read."""

    def token(self, unit: str) -> Secret:
        return Secret(f"token-of-{unit}")


class Stage:
    """A socket, and what was told of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = FakeClock()
        self.reported = Reported()

    @asynccontextmanager
    async def open(self, manager: int = ME) -> AsyncIterator[Path]:
        async with giving(Made(), self.path, clock=self.clock, report=self.reported, manager=manager) as path:
            yield path


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "unit-tokens.sock")


def address(unit: str = "web.service", credential: str = "rolecall-token", random: str = "") -> bytes:
    """Where systemd connects from."""
    return f"\0{random or os.urandom(8).hex()}/unit/{unit}/{credential}".encode()


async def read(path: Path, source: bytes | str | None) -> bytes:
    """What systemd would read when it connects from there."""
    with socket.socket(socket.AF_UNIX) as client:
        client.setblocking(False)
        if source is not None:
            client.bind(source)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, str(path))
        client.shutdown(socket.SHUT_WR)
        found = b""
        while part := await asyncio.wait_for(loop.sock_recv(client, 4096), 5):
            found += part
        return found


async def test_a_unit_that_starts_is_given_its_bare_token(stage: Stage) -> None:
    async with stage.open() as path:
        assert await read(path, address("backup@daily.service")) == b"token-of-backup@daily.service"
    assert stage.reported == [UnitTokenIssued("backup@daily.service", "rolecall-token")]


@pytest.mark.parametrize(
    "unit",
    ["web.service", r"a\x2db.service", "x.socket", "-.mount", "dev-sda.swap", "a:b.service", "a" * 61 + ".service"],
)
async def test_all_that_can_have_credentials_gets_one(stage: Stage, unit: str) -> None:
    async with stage.open() as path:
        assert await read(path, address(unit)) == f"token-of-{unit}".encode()


NOT_SYSTEMD = [
    None,
    "",  # the kernel makes up an address
    b"\0nonsense",
    b"\0" + b"f" * 17 + b"/unit/web.service/t",
    b"\0FF/unit/web.service/t",
    b"\0ff/user/web.service/t",
    b"\0ff/unit//t",
    b"\0ff/unit/web.service/",
    b"\0ff/unit/web.service",
    b"\0ff/unit/web.service/a/b",
    b"\0ff/unit/web.service/a:b",
    b"\0ff/unit/web.service/t\n",
    b"\0ff/unit/web.service\n/t",
    b"\0ff/unit/web service.service/t",
    b"\0ff/unit/../web.service/t",
    b"\0ff/unit/w\xc3\xa9b.service/t",
    b"\0ff/unit/web.timer/t",
    b"\0ff/unit/web.slice/t",
    b"\0ff/unit/session-1.scope/t",
    b"\0ff/unit/web/t",
    b"\0/unit/web.service/t",
]


@pytest.mark.parametrize("source", NOT_SYSTEMD)
async def test_who_connects_from_elsewhere_gets_nothing(stage: Stage, source: bytes | str | None) -> None:
    async with stage.open() as path:
        assert await read(path, source) == b""
    assert stage.reported == [UnitTokenRefused(ME, os.getpid(), "not_systemd", 1)]


async def test_an_address_in_the_file_system_is_not_systemds(stage: Stage, tmp_path: Path) -> None:
    async with stage.open() as path:
        assert await read(path, str(tmp_path / "unit")) == b""


@given(name=some.binary(max_size=120))
def test_whatever_the_address_a_unit_that_is_read_from_it_is_in_it_whole(name: bytes) -> None:
    match = _ADDRESS.fullmatch(b"\0" + name)
    if match is not None:
        assert name.split(b"/") == [name.split(b"/")[0], b"unit", match[1], match[2]]


async def test_who_is_not_root_gets_nothing(stage: Stage) -> None:
    async with stage.open(manager=ME + 1) as path:
        assert await read(path, address()) == b""
    assert stage.reported == [UnitTokenRefused(ME, os.getpid(), "not_root", 1)]


ASK = """
import os, socket, sys
path, uid = sys.argv[1:]
os.setgroups([]); os.setgid(int(uid)); os.setuid(int(uid))
client = socket.socket(socket.AF_UNIX)
client.bind("\\0ff/unit/web.service/rolecall-token")
try:
    client.connect(path)
except PermissionError:
    print("refused")
else:
    print("read", client.recv(100))
"""


async def asked_as(uid: int, path: Path) -> str:
    words = (sys.executable, "-c", ASK, str(path), str(uid))
    process = await asyncio.create_subprocess_exec(*words, stdout=subprocess.PIPE)
    printed, _ = await asyncio.wait_for(process.communicate(), 20)
    return printed.decode().strip()


@pytest.fixture
def public() -> Iterator[Stage]:
    """A socket in a directory that others may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Stage(Path(folder) / "unit-tokens.sock")


@needs_root
async def test_another_user_cannot_even_connect(public: Stage) -> None:
    async with public.open() as path:
        assert await asked_as(65534, path) == "refused"
        path.chmod(0o666)  # and if somebody opens the door
        assert await asked_as(65534, path) == "read b''"
        assert public.reported.of(UnitTokenIssued) == []
        assert await asked_as(0, path) == "read b'token-of-web.service'"


async def test_the_mode_does_not_depend_on_the_umask(stage: Stage) -> None:
    before = os.umask(0)
    try:
        async with stage.open() as path:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


async def test_refusals_are_told_of_once_a_minute_with_how_many_there_were(stage: Stage) -> None:
    async with stage.open() as path:
        for _ in range(5):
            await read(path, b"\0nonsense" + os.urandom(4))
        await stage.clock.advance(timedelta(seconds=60))
        await read(path, b"\0nonsense")
    assert [refused.count for refused in stage.reported.of(UnitTokenRefused)] == [1, 5]


async def test_who_says_nothing_reads_nothing_or_sends_much_holds_up_nobody(stage: Stage) -> None:
    async with stage.open() as path:
        with contextlib.ExitStack() as stack:
            for number in range(100):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.bind(address(f"slow{number}.service"))
                client.connect(str(path))
                with contextlib.suppress(BlockingIOError):
                    client.send(b"GET / HTTP/1.1\r\n" * 10_000)
            assert await read(path, address()) == b"token-of-web.service"


async def test_who_is_gone_before_the_answer_harms_nobody(stage: Stage) -> None:
    async with stage.open() as path:
        for _ in range(50):
            with socket.socket(socket.AF_UNIX) as client:
                client.bind(address())
                client.connect(str(path))
        assert await read(path, address()) == b"token-of-web.service"


async def test_afterwards_the_socket_is_gone(stage: Stage) -> None:
    async with stage.open() as path:
        pass
    assert not path.exists()


async def test_a_successors_socket_is_left_alone(stage: Stage) -> None:
    async with stage.open() as path:
        path.unlink()
        with socket.socket(socket.AF_UNIX) as successor:
            successor.bind(str(path))
    assert path.exists()


@pytest.fixture
def dead(stage: Stage) -> Path:
    with socket.socket(socket.AF_UNIX) as gone:
        gone.bind(str(stage.path))
        gone.listen()
    return stage.path


async def test_the_socket_of_an_agent_that_was_killed_is_replaced(stage: Stage, dead: Path) -> None:
    async with stage.open() as path:
        assert await read(path, address()) == b"token-of-web.service"


@pytest.mark.parametrize("waiting", [0, 1])
async def test_the_socket_of_a_living_agent_is_not(stage: Stage, waiting: int) -> None:
    with socket.socket(socket.AF_UNIX) as living, contextlib.ExitStack() as stack:
        living.bind(str(stage.path))
        living.listen(0)
        for _ in range(waiting):  # its backlog is full
            stack.enter_context(socket.socket(socket.AF_UNIX)).connect(str(stage.path))
        with pytest.raises(ListenerUnavailable, match="something listens there already"):
            async with stage.open():
                pass
        assert stage.path.exists()


async def refused(stage: Stage) -> ListenerUnavailable:
    with pytest.raises(ListenerUnavailable) as error:
        async with stage.open():
            pass
    assert error.value.hint
    return error.value


async def test_what_is_no_socket_is_left_alone(stage: Stage) -> None:
    stage.path.write_text("precious")
    assert "something else than a socket" in (await refused(stage)).what
    assert stage.path.read_text() == "precious"


async def test_a_path_that_is_too_long_is_refused_with_its_length(tmp_path: Path) -> None:
    room = 107 - len(os.fsencode(tmp_path)) - 1
    async with Stage(tmp_path / ("a" * room)).open() as path:
        assert len(str(path)) == 107
    error = await refused(Stage(tmp_path / ("a" * (room + 1))))
    assert "108 bytes, and that of a socket at most 107" in error.what


async def test_a_missing_directory_is_to_be_made(tmp_path: Path) -> None:
    error = await refused(Stage(tmp_path / "none" / "socket"))
    assert "no such file or directory" in error.what
    assert f"{tmp_path}/none" in error.hint


async def test_when_no_connection_can_be_had_it_goes_on_a_moment_later(stage: Stage) -> None:

    async with stage.open() as path:
        client = socket.socket(socket.AF_UNIX)
        client.bind(address())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
        taken = []
        try:
            with contextlib.suppress(OSError):
                while True:
                    taken.append(os.dup(0))
            client.connect(str(path))
            await asyncio.sleep(0.05)
        finally:
            for descriptor in taken:
                os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.setblocking(False)
        found = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), 5)
        assert found == b"token-of-web.service"
        client.close()
