"""The object graph, put together and alive in this process, against an AWS that verifies."""

import asyncio
import json
import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agent.assembly.daemon import assemble
from agent.clients.systemd import ServiceManager
from agent.clock import SystemClock
from agent.errors import KeyUnavailable
from agent.ring_file import RingFile
from agent.sandbox import Fault
from agent.service import Address, Service, run
from agent.settings import load
from tests.live.host import Host, fetch, sandboxed
from tests.live.walking import status, until


async def built(host: Host) -> Service:
    return await assemble(
        load(host.config, environ={}, host=socket.gethostname()),
        clock=SystemClock(),
        chance=random.Random(1),
        logger=logging.getLogger("tests.assembly"),
        manager=ServiceManager({}, 1),
        credentials_directory=None,
    )


@asynccontextmanager
async def alive(service: Service) -> AsyncIterator[dict[str, Address]]:
    stop, ready = asyncio.Event(), asyncio.get_running_loop().create_future()
    living = asyncio.ensure_future(
        run(service, until=stop.wait, ready=ready.set_result, stopping=lambda: None, clock=SystemClock())
    )
    try:
        await asyncio.wait({living, ready}, return_when=asyncio.FIRST_COMPLETED)
        yield await ready
    finally:
        stop.set()
        await living


async def test_it_serves_what_it_fetched_and_tells_how_it_is(tmp_path: Path) -> None:
    async with sandboxed(tmp_path, roles=("backup", "reports")) as (host, sandbox):
        service = await built(host)
        assert sandbox.requests == []  # nothing starts by being built
        async with alive(service) as addresses:
            assert addresses == {"credentials": ("127.0.0.1", host.ports[0]), "admin": ("127.0.0.1", host.ports[1])}
            for role in ("backup", "reports"):
                status, document, _ = await fetch(host, role)
                assert (status, document["RoleArn"]) == (200, f"arn:aws:iam::123456789012:role/{role}")
            assert service.state().startswith("2 of 2 roles ready; the first set ends at 20")
        assert len(sandbox.requests) == 2


async def test_it_names_the_roles_that_are_not_ready_and_tries_again_when_nudged(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        sandbox.faults.add(Fault("status", status=503))
        service = await built(host)
        async with alive(service):
            assert service.state() == "0 of 1 roles ready; not ready: backup"
            sandbox.faults.clear()
            service.nudge()
            async with asyncio.timeout(20):
                while (await fetch(host))[0] != 200:  # which waits a little itself
                    assert service.state() == "0 of 1 roles ready; not ready: backup"
            assert service.state().startswith("1 of 1 roles ready; the first")


async def test_however_many_roles_are_not_ready_the_line_that_says_so_is_short(tmp_path: Path) -> None:
    host = Host(tmp_path, "http://127.0.0.1:9", roles=[f"role-{number:04}" for number in range(1000)])
    await host.furnish()
    state = (await built(host)).state()
    assert state.startswith("0 of 1000 roles ready; not ready: role-0000, role-0001, ")
    assert len(state) < 220
    named, rest = state.split(": ")[1].split(", … and ")
    assert len(named.split(", ")) + int(rest.removesuffix(" more")) == 1000


async def test_the_status_shows_the_key_that_signs_and_the_listeners_that_are_open(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _), alive(await built(host)):
        code, out, _ = await host.rolecall("status", "-c", str(host.config), "--json")
        status = json.loads(out)
        kid = next((tmp_path / "keys").glob("*.pem")).stem
        assert code == 0
        assert [(key["kid"], key["state"]) for key in status["keys"]] == [(kid, "signing")]
        assert {one["name"]: one["address"] for one in status["listeners"]} == {
            "credentials": host.url,
            "admin": host.admin,
        }


async def test_each_key_is_shown_with_what_is_next_for_it_and_whether_the_world_sees_it(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, sandbox):
        code, out, errors = await host.rolecall("keys", "rotate", "--json", "-c", str(host.config))
        assert code == 0, errors
        both = [key["kid"] for key in json.loads(out)]
        sandbox.faults.add(Fault("site", site="key_dropped", about=both[1]))
        async with alive(await built(host)):
            await until(lambda: has_missed(host, both[1]))
            keys = (await status(host))["keys"]
            looked_at = (await status(host))["issuer_looked_at"]
        assert [(key["kid"], key["state"], key["published"]) for key in keys] == [
            (both[0], "signing", True),
            (both[1], "announced", False),
        ]
        assert [key["next"] for key in keys] == ["is retired, once its successor signs", "signs, once it is seen"]
        assert {key["custodian"] for key in keys} == {"pem"}
        assert looked_at.startswith("20")


async def has_missed(host: Host, kid: str) -> bool:
    """Whether a look of the agent's own, and not only that of the command before it, has not found the key."""
    (key,) = [key for key in (await status(host))["keys"] if key["kid"] == kid]
    return key["published"] is False and key["next"] == "signs, once it is seen"


async def test_while_a_service_runs_the_ring_is_its_own_and_afterwards_free(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        ring = RingFile(tmp_path / "keys")
        service = await built(host)
        assert not ring.in_use()
        async with alive(service):
            assert ring.in_use()
        assert not ring.in_use()


async def test_without_its_key_it_is_not_even_built(tmp_path: Path) -> None:
    async with sandboxed(tmp_path) as (host, _):
        next((tmp_path / "keys").glob("*.pem")).unlink()
        with pytest.raises(KeyUnavailable, match="names no key that is there"):
            await built(host)
