"""A container is held on to only if it is what the engine says."""

import asyncio
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from agent.callers.containers.held import by_address, by_namespace, told
from agent.callers.containers.process import inode
from agent.callers.containers.shapes import Running
from agent.callers.kernel.sock_diag import SockDiag
from agent.errors import ConfigurationError
from tests.fakes.engine import an_id
from tests.fakes.other_network import OtherNetwork, other_network

A = an_id("a")
OWN = inode("/proc/self/ns/net")


class Said:
    """An engine that says one thing after another, the last for ever."""

    def __init__(self, *answers: Running | None) -> None:
        self.answers: Sequence[Running | None] = answers

    async def inspect(self, identity: str) -> Running | None:
        assert identity == A
        answer, *rest = self.answers
        self.answers = rest or [answer]
        await asyncio.sleep(0)
        return answer


def running(there: OtherNetwork) -> Running:
    return Running(A, "web", there.pid, "2026-11-20T12:00:00Z", there.sandbox)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def ended() -> int:
    """The id of a process that is no more."""
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


@pytest.fixture
def sleeper() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


async def test_the_kernel_can_be_asked_in_the_namespace_that_the_engine_names() -> None:
    async with other_network() as there:
        container = await by_namespace(Said(running(there)), A, SockDiag, OWN)
        assert container is not None
        assert container.owner(*await there.connected()) is not None
        assert container.owner(("127.0.0.1", 1), ("127.0.0.1", 2)) is None
        container.close()


async def test_it_is_alive_as_long_as_its_first_process_is() -> None:
    async with other_network() as there:
        container = await by_namespace(Said(running(there)), A, SockDiag, OWN)
        assert container is not None
        ends = await there.connected()
        assert container.alive
        await there.end()
        assert not container.alive
        assert container.owner(*ends) is None
        container.close()


async def test_a_process_in_another_namespace_than_the_engine_names_is_not_its() -> None:
    async with other_network() as there, other_network() as elsewhere:
        said = replace(running(there), sandbox=elsewhere.sandbox)
        with pytest.raises(ConfigurationError, match=f"process {there.pid} is not that of container web"):
            await by_namespace(Said(said), A, SockDiag, OWN)


async def test_a_process_of_which_the_engine_proves_nothing_is_not_its() -> None:
    async with other_network() as there:
        with pytest.raises(ConfigurationError, match="is not that of container aaaaaaaaaaaa"):
            await by_namespace(Said(replace(running(there), sandbox="", name="")), A, SockDiag, OWN)


async def test_nothing_stays_open_of_one_that_is_not_held() -> None:
    async with other_network() as there:
        before = open_files()
        with pytest.raises(ConfigurationError):
            await by_namespace(Said(replace(running(there), sandbox="")), A, SockDiag, OWN)
        container = await by_namespace(Said(running(there)), A, SockDiag, OWN)
        assert container is not None
        container.close()
        assert open_files() == before


async def test_who_has_the_network_of_this_machine_is_not_asked_for_in_there(sleeper: int) -> None:
    container = await by_namespace(Said(Running(A, "web", sleeper, "", "")), A, SockDiag, OWN)
    assert container is not None
    assert container.line is None
    assert container.alive
    container.close()


@pytest.mark.parametrize("way", ["namespace", "address"])
async def test_what_does_not_run_is_not_held(way: str) -> None:
    assert await _hold(Said(None), way) is None


@pytest.mark.parametrize("way", ["namespace", "address"])
async def test_a_process_that_has_ended_is_none(way: str) -> None:
    assert await _hold(Said(Running(A, "web", ended(), "", ""), None), way) is None


@pytest.mark.parametrize("way", ["namespace", "address"])
async def test_an_engine_that_counts_processes_otherwise_is_told(way: str) -> None:
    with pytest.raises(ConfigurationError, match="is not that of container web") as raised:
        await _hold(Said(Running(A, "web", ended(), "", "")), way)
    assert "count processes alike" in raised.value.hint


async def test_by_its_address_it_is_held_without_a_look_into_its_namespace(sleeper: int) -> None:
    container = await by_address(Said(Running(A, "web", sleeper, "noon", "")), A)
    assert container is not None
    assert container.alive
    assert container.namespace == 0
    container.close()


@pytest.mark.parametrize(
    "again", [None, Running(A, "web", 1, "noon", ""), Running(A, "web", 0, "one o'clock", "")], ids=repr
)
async def test_one_that_started_anew_meanwhile_is_not_held(sleeper: int, again: Running | None) -> None:
    first = Running(A, "web", sleeper, "noon", "")
    if again is not None and again.pid == 0:
        again = replace(again, pid=sleeper)
    assert await by_address(Said(first, again), A) is None


def test_its_facts_are_its_id_its_engine_and_its_name_with_the_patterns_that_fit() -> None:
    assert set(told(A, "web", "podman", ["w*", "x*"])) == {
        ("container.id", A),
        ("container.engine", "podman"),
        ("container.name", "web"),
        ("container.name.like", "w*"),
    }
    assert set(told(A, "", "podman", ["*"])) == {("container.id", A), ("container.engine", "podman")}


async def _hold(engine: Said, way: str) -> object:
    return await (by_address(engine, A) if way == "address" else by_namespace(engine, A, SockDiag, OWN))
