"""The agent as a process: outages, signals, mistakes, and two of them at once."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from agent.sandbox import Fault, Sandbox
from tests.fakes.ports import own_port
from tests.live.host import TOKEN, Agent, Host, agent_on, fetch, run_to_end, running_host, sandboxed
from tests.live.walking import until


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[tuple[Agent, Sandbox]]:
    async with running_host(tmp_path) as pair:
        yield pair


async def until_served(host: Host) -> float:
    """Ask until there is a 200; how long that took in seconds."""
    started = time.monotonic()
    while True:
        status, _, _ = await fetch(host)
        if status == 200:
            return time.monotonic() - started
        assert status == 503
        assert time.monotonic() - started < 25
        await asyncio.sleep(0.1)


async def test_with_sts_down_from_the_start_it_runs_and_recovers_by_itself(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        sandbox.faults.add(Fault("status", status=503))
        async with agent_on(host) as agent:
            await agent.ready()
            asked = time.monotonic()
            status, document, headers = await fetch(host)
            assert time.monotonic() - asked < 1
            assert (status, document["code"]) == (503, "ServiceUnavailable")
            assert int(headers["Retry-After"]) >= 1
            sandbox.faults.clear()
            assert await until_served(host) < 10


async def test_an_sts_that_nobody_can_reach_is_no_reason_not_to_start(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        nowhere = f"http://127.0.0.1:{own_port()}"
        host.config.write_text(host.config.read_text().replace(host.endpoint, nowhere))
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host))[0] == 503
            failed = agent.events("renewal_failed")[0]
            assert "reach" in failed["error"] or "connect" in failed["error"].lower()
            assert failed["hint"]


async def test_a_refusal_says_whose_turn_it_is(tmp_path: Path) -> None:
    async with sandboxed(tmp_path, roles=("backup", "forgotten")) as (host, sandbox):
        known = tuple(role for role in sandbox.world.roles if role.name == "backup")
        sandbox.world = type(sandbox.world)(account_id="123456789012", providers=sandbox.world.providers, roles=known)
        async with agent_on(host) as agent:
            await agent.ready()
            assert (await fetch(host, "backup"))[0] == 200
            assert (await fetch(host, "forgotten"))[0] == 503
            code, out, _ = await host.rolecall("status", "-c", str(host.config), "--json")
            assert code == 1
            role = next(role for role in json.loads(out)["roles"] if role["role"] == "forgotten")
            assert "AccessDenied" in role["problem"]
            assert "trust policy" in role["hint"]
            assert agent.events("renewal_failed")[0]["level"] == "error"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_when_told_to_and_says_so(running: tuple[Agent, Sandbox], number: signal.Signals) -> None:
    agent, _ = running
    assert await agent.stop(number) == 0
    assert agent.events("stopping")
    assert not [line for line in agent.lines if "Traceback" in line]


async def test_a_request_in_flight_gets_its_answer_and_a_late_caller_none(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        sandbox.faults.add(Fault("slow", seconds=0.4))
        async with agent_on(host) as agent:
            await _listening(host)
            cold = asyncio.ensure_future(fetch(host))
            await asyncio.sleep(0.1)
            agent.process.terminate()
            status, document, _ = await cold
            assert status in {200, 503}
            assert document
            assert await agent.stop() == 0
            with pytest.raises(aiohttp.ClientConnectorError):
                await fetch(host)


async def test_after_kill_9_it_starts_again_at_once(running: tuple[Agent, Sandbox]) -> None:
    agent, _ = running
    assert await agent.stop(signal.SIGKILL) == -signal.SIGKILL
    async with agent_on(agent.host) as again:
        await again.ready()
        assert (await fetch(agent.host))[0] == 200


async def test_of_two_agents_the_second_says_why_it_cannot_start(running: tuple[Agent, Sandbox]) -> None:
    agent, _ = running
    code, _, err = await agent.host.rolecall("run", "-c", str(agent.host.config))
    sentences = [line for line in err.splitlines() if not line.startswith("{")]
    assert code == 1
    assert sentences[0] == (
        f"error: another agent (process {agent.process.pid}) works with the keys in {agent.host.home}/keys"
    )
    assert sentences[1].startswith("hint: ")
    assert "Traceback" not in err
    assert (await fetch(agent.host))[0] == 200


async def test_a_port_that_somebody_else_has_is_named(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        with socket.create_server(("127.0.0.1", host.ports[0])):
            code, _, err = await host.rolecall("run", "-c", str(host.config))
        sentences = [line for line in err.splitlines() if not line.startswith("{")]
        assert code == 1
        assert sentences[0] == f"error: cannot listen on 127.0.0.1:{host.ports[0]}: something listens there already"
        assert sentences[1].startswith("hint: ")
        assert "Traceback" not in err


async def test_a_taken_admin_port_closes_what_was_open_already(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        with socket.create_server(("127.0.0.1", host.ports[1])):
            code, _, err = await host.rolecall("run", "-c", str(host.config))
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{host.ports[1]}" in err
        assert "Traceback" not in err


async def test_mistakes_in_the_configuration_end_it_with_2(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        host.config.write_text(host.config.read_text() + "\n[lisen]\ncredentials = 1\n")
        code, _, err = await host.rolecall("run", "-c", str(host.config))
        assert code == 2
        assert err.startswith("error: lisen: is unknown")


async def test_a_key_that_others_can_read_ends_it_with_a_sentence(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        key = next((tmp_path / "keys").iterdir())
        key.chmod(0o644)
        code, _, err = await host.rolecall("run", "-c", str(host.config))
        assert code == 1
        assert str(key) in err
        assert "chmod" in err
        assert "Traceback" not in err


async def test_on_a_read_only_file_system_it_serves_and_who_must_write_says_so(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("takes root and unshare, for a mount of its own")
    inside = f'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec {sys.executable} -m agent "$@"'
    async with sandboxed(tmp_path) as (host, _):
        read_only = ["unshare", "--mount", "sh", "-c", inside, str(tmp_path)]
        config = ("-c", str(host.config))
        made = await run_to_end([*read_only, "keys", "new", "--directory", str(tmp_path)], host.environment())
        published = await run_to_end([*read_only, "publish", *config, "--directory", str(tmp_path)], host.environment())
        for code, _out, err in (made, published):
            assert code == 1
            assert err.splitlines()[0].endswith("Read-only file system")
            assert err.splitlines()[1].startswith("hint: ")
        async with agent_on(host, command=[*read_only, "run", *config]) as agent:
            await agent.ready()
            assert (await fetch(host))[0] == 200


async def test_on_a_file_system_that_became_read_only_the_ring_still_says_which_key_signs(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("takes root and unshare, for a mount of its own")
    inside = f'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec {sys.executable} -m agent "$@"'
    read_only = ["unshare", "--mount", "sh", "-c", inside, str(tmp_path)]
    async with sandboxed(tmp_path) as (host, _):
        config = ("-c", str(host.config))
        code, out, errors = await host.rolecall("keys", "rotate", "--json", *config)
        assert code == 0, errors
        both = [(key["kid"], key["state"]) for key in json.loads(out)]
        code, out, errors = await run_to_end([*read_only, "keys", "list", "--json", *config], host.environment())
        assert code == 0, errors
        assert [(key["kid"], key["state"]) for key in json.loads(out)] == both
        code, _, errors = await run_to_end(
            [*read_only, "keys", "retire", both[1][0].lstrip("-"), *config], host.environment()
        )
        assert code == 1
        assert errors.startswith(f"error: the ring of keys in {tmp_path}/keys cannot be written: read-only file system")
        async with agent_on(host, command=[*read_only, "run", *config]) as agent:
            await agent.ready()
            assert (await fetch(host))[0] == 200
            await until(lambda: _unwritable(agent))


async def _unwritable(agent: Agent) -> bool:
    return any("read-only file system" in one["error"] for one in agent.events("rotation_stuck"))


async def test_hup_tries_again_at_once_what_was_refused(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        trusting = sandbox.world
        sandbox.world = type(trusting)(account_id="123456789012", providers=trusting.providers)
        async with agent_on(host) as agent:
            await agent.ready()
            assert agent.events("renewal_failed")[0]["retry_in"]
            sandbox.world = trusting
            agent.process.send_signal(signal.SIGHUP)
            assert await until_served(host) < 5  # a refusal is otherwise not asked again for 10 s and more


async def test_a_token_replaced_in_its_file_is_known_in_about_a_second_and_the_old_one_still(
    running: tuple[Agent, Sandbox],
) -> None:
    host = running[0].host
    assert (await fetch(host, token="a-token-that-is-new-9876543210"))[0] == 401
    new = host.home / "token.new"
    new.write_text("a-token-that-is-new-9876543210")
    new.chmod(0o600)
    new.rename(host.home / "token")
    replaced = time.monotonic()
    while (await fetch(host, token="a-token-that-is-new-9876543210"))[0] != 200:
        assert time.monotonic() - replaced < 4.5  # some 1.25 s; a file that nobody asks about is looked at after 5 s
        await asyncio.sleep(0.05)
    assert (await fetch(host, token=TOKEN))[0] == 200


async def test_systemd_is_told_when_it_is_ready_how_it_is_and_when_it_stops(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(tmp_path / "notify"))
            manager.settimeout(20)
            environ = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "900000"}
            async with agent_on(host, **environ) as agent:
                ready, status, alive = [await asyncio.to_thread(manager.recv, 4096) for _ in range(3)]
                await agent.stop()
                rest = alive
                while rest != b"STOPPING=1":
                    rest = await asyncio.to_thread(manager.recv, 4096)
        assert ready == b"READY=1"
        assert status.startswith(b"STATUS=1 of 1 roles ready")
        assert alive == b"WATCHDOG=1"


async def _listening(host: Host) -> None:
    """Wait until its socket is there, well before it is ready."""
    for _ in range(500):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", host.ports[0])
        except OSError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
    pytest.fail("it does not listen")
