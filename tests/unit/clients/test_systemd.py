"""What the service manager hears, on a socket as systemd has it."""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.clients.systemd import ServiceManager
from agent.tasks import children
from tests.fakes.clock import FakeClock, settle


class Heard:
    """The service manager's end."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.setblocking(False)

    def all(self) -> list[str]:
        """What has come since the last time."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture(params=["path", "abstract"])
def heard(request: pytest.FixtureRequest) -> Iterator[Heard]:
    with TemporaryDirectory() as folder:  # a socket's path may have 108 bytes at most
        name = f"{folder}/notify" if request.param == "path" else f"@rolecall-tests-{os.getpid()}-{folder}"
        heard = Heard(name)
        yield heard
        heard.socket.close()


def test_states_arrive_as_they_are_each_in_a_datagram_of_its_own(heard: Heard) -> None:
    ServiceManager({"NOTIFY_SOCKET": heard.address}, 1).tell("READY=1", "STATUS=2 of 2 roles ready")
    assert heard.all() == ["READY=1", "STATUS=2 of 2 roles ready"]


@pytest.mark.parametrize(
    "environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nonexistent/notify"}, {"NOTIFY_SOCKET": "/" + "x" * 200}]
)
def test_where_nobody_listens_telling_does_nothing(environ: dict[str, str]) -> None:
    ServiceManager(environ, 1).tell("READY=1")


def test_a_service_manager_that_does_not_read_holds_nobody_up(heard: Heard) -> None:
    manager = ServiceManager({"NOTIFY_SOCKET": heard.address}, 1)
    for _ in range(5000):
        manager.tell("WATCHDOG=1")
    assert 0 < len(heard.all()) < 5000


NO_FILES_LEFT = """
import resource, sys
from agent.clients.systemd import ServiceManager
manager = ServiceManager({"NOTIFY_SOCKET": sys.argv[1]}, 1)
resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
manager.tell("WATCHDOG=1")
print("alive")
"""


def test_a_process_that_can_open_nothing_any_more_lives_on(heard: Heard) -> None:
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 3
    done = subprocess.run(
        [sys.executable, "-c", NO_FILES_LEFT, heard.address],
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("alive\n", "")


async def said_in(minutes: float, heard: Heard, **environ: str) -> list[str]:
    """What is said while so many minutes pass."""
    manager, clock = ServiceManager({"NOTIFY_SOCKET": heard.address, **environ}, 42), FakeClock()
    async with children() as group:
        telling = group.create_task(manager.keep_told(clock, lambda: "well"))
        await settle()
        await clock.advance(timedelta(minutes=minutes))
        telling.cancel()
    return heard.all()


async def test_the_watchdog_is_told_three_times_as_often_as_it_asks(heard: Heard) -> None:
    assert await said_in(0.5, heard, WATCHDOG_USEC="30000000") == ["WATCHDOG=1", "STATUS=well"] * 3


async def test_a_patient_watchdog_does_not_make_the_status_stale(heard: Heard) -> None:
    assert (await said_in(3, heard, WATCHDOG_USEC=str(3600 * 1_000_000))).count("STATUS=well") == 3


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "41"},
    ],
)
async def test_without_a_watchdog_of_ours_only_the_status_is_told(environ: dict[str, str], heard: Heard) -> None:
    assert await said_in(2, heard, **environ) == ["STATUS=well"] * 2


async def test_a_watchdog_meant_for_us_is_told(heard: Heard) -> None:
    said = await said_in(1, heard, WATCHDOG_USEC="30000000", WATCHDOG_PID="42")
    assert said[0] == "WATCHDOG=1"
