"""The daemon's start and end, as the service manager and the person who started it see them."""

import asyncio
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import uvloop

from agent.cli.run import BUG, in_loop
from agent.sandbox import Fault
from tests.live.host import Host, agent_on, fetch, sandboxed

pytestmark = pytest.mark.long


@asynccontextmanager
async def notified() -> AsyncIterator[tuple[str, socket.socket]]:
    """A socket as systemd has it, and where it is."""
    with TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"{folder}/notify")
        heard.setblocking(False)
        yield f"{folder}/notify", heard


async def hear(heard: socket.socket) -> str:
    return (await asyncio.wait_for(asyncio.get_running_loop().sock_recv(heard, 4096), 20)).decode()


async def test_the_service_manager_hears_that_it_is_ready_how_it_is_and_that_it_stops(tmp_path: Path) -> None:
    async with (
        notified() as (address, heard),
        sandboxed(tmp_path) as (host, _),
        agent_on(host, NOTIFY_SOCKET=address) as agent,
    ):
        assert await hear(heard) == "READY=1"
        status = await hear(heard)
        assert status.startswith("STATUS=1 of 1 roles ready; the first set ends at ")
        assert (await fetch(host))[0] == 200  # ready means that it serves
        assert await agent.stop() == 0
        assert [await hear(heard), await hear(heard)] == ["STOPPING=1", "STATUS=stopping"]


async def test_the_log_says_where_it_listens_as_the_configuration_writes_it(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        host.config.write_text(host.config.read_text().replace('admin = "127.0.0.1:', 'admin = "[::1]:'))
        async with agent_on(host) as agent:
            await agent.ready()
            (ready,) = agent.events("ready")
            assert (ready["credentials"], ready["admin"]) == (f"127.0.0.1:{host.ports[0]}", f"[::1]:{host.ports[1]}")


async def test_a_watchdog_is_told_that_it_lives(tmp_path: Path) -> None:
    async with (
        notified() as (address, heard),
        sandboxed(tmp_path) as (host, _),
        agent_on(host, NOTIFY_SOCKET=address, WATCHDOG_USEC="600000"),
    ):
        said = [await hear(heard) for _ in range(8)]
        assert said.count("WATCHDOG=1") >= 3


async def test_sighup_tries_again_at_once_whatever_waits_after_a_failure(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        sandbox.faults.add(Fault("status", status=503))
        async with agent_on(host) as agent:
            await agent.ready()
            sandbox.faults.clear()
            agent.process.send_signal(signal.SIGHUP)
            async with asyncio.timeout(5):
                while (await fetch(host))[0] != 200:
                    assert agent.process.returncode is None


def test_it_runs_on_the_fastest_loop_there_is() -> None:
    found: list[asyncio.AbstractEventLoop] = []

    async def look() -> None:
        found.append(asyncio.get_running_loop())

    in_loop(look())
    assert isinstance(found[0], uvloop.Loop)


IMPORTING = """
import contextlib, gc
from agent.cli import main
begun = []
gc.callbacks.append(lambda phase, about: begun.append(about) if phase == "start" else None)
with contextlib.suppress(SystemExit):
    main(["run", "--help"])
print(len(begun), gc.isenabled())
"""


def test_its_imports_are_not_searched_for_garbage() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTING],
        env={"PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=True,
    )
    searches, enabled = done.stdout.splitlines()[-1].split()
    assert int(searches) < 20  # for what comes after the imports
    assert enabled == "True"


LIVE = """
import asyncio, gc, os, signal, sys
from pathlib import Path
from agent.cli.run import daemon
from agent.settings import load

async def main():
    heard = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, heard.set)

    def ready(addresses):
        print(sorted(addresses), gc.isenabled(), gc.get_freeze_count() > 10_000, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)

    await daemon(load(Path(sys.argv[1]), environ={}, host=sys.argv[2]), ready=ready, until=heard.wait)
    print("ended by whoever called")

gc.disable()
asyncio.run(main())
"""


async def test_whoever_says_until_when_keeps_the_signals_and_what_is_there_when_it_is_ready_stays(
    tmp_path: Path,
) -> None:
    async with sandboxed(tmp_path) as (host, _):
        out = await _output_of(host)
        assert out == "['admin', 'credentials'] True True\nended by whoever called\n"


async def _output_of(host: Host) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LIVE,
        host.config,
        socket.gethostname(),
        env=host.environment(),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_a_bug_ends_it_with_a_code_of_its_own_and_a_traceback(tmp_path: Path) -> None:
    # A library that is not what it was: nothing that anybody could have configured.
    (tmp_path / "sitecustomize.py").write_text("import prometheus_client\nprometheus_client.CollectorRegistry = None\n")
    async with sandboxed(tmp_path) as (host, _):
        code, _out, err = await host.rolecall("run", "-c", str(host.config), PYTHONPATH=f"{tmp_path}:{Path.cwd()}")
    assert code == BUG == 70
    assert "TypeError" in err
