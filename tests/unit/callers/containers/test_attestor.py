"""Callers are known by their container: in real namespaces, and by what a real server says for an engine."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.callers import End, Facts, Origin, Peer
from agent.callers.containers.attestor import Containers
from agent.callers.containers.engine import Engine
from agent.callers.kernel.sock_diag import SockDiag
from agent.clock import SystemClock
from agent.errors import AgentError
from tests.fakes.clock import FakeClock, settle
from tests.fakes.engine import Contained, EngineApi, an_id, engine_api
from tests.fakes.other_network import OtherNetwork, other_network

pytestmark = pytest.mark.long

A, B = an_id("a"), an_id("b")
HERE = ("169.254.170.2", 80)


#: Connects to where it is told, says from which port, and waits.
_CONNECT = """
import socket, sys
client = socket.create_connection({})
print(client.getsockname()[1], flush=True)
sys.stdin.read()
"""


@dataclass
class Bench:
    """Containers whose engine is at hand, and what it told."""

    api: EngineApi
    containers: Containers
    told: list[str]

    async def facts(self, peer: Peer) -> dict[str, str]:
        """What is known of a peer, as the vendor asks for it."""
        known = self.containers.attest(peer)
        if known is None:
            await self.containers.learn(peer)
            known = self.containers.attest(peer)
        assert known is not None
        return dict(known)

    async def looked(self) -> None:
        """Have the engine asked once more."""
        looked = self.containers._looked
        self.containers._wanted.set()
        await looked.wait()


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def stranger() -> Peer:
    return from_there(("192.0.2.1", 1), HERE)


def from_there(client: End, server: End = HERE, facts: Facts = frozenset()) -> Peer:
    return Peer(Origin(client[0], server[0], facts, ends=(client, server)), None)


@asynccontextmanager
async def bench(api: EngineApi, *, by: str = "address", patterns: tuple[str, ...] = ()) -> AsyncIterator[Bench]:
    told: list[str] = []

    def tell(trouble: AgentError | None) -> None:
        told.append("well" if trouble is None else trouble.what)

    line = SockDiag if by == "namespace" else None
    engine = Engine("podman", api.path, patience=2)
    containers = Containers(engine, line=line, clock=SystemClock(), tell=tell, patterns=patterns)
    keeping = asyncio.ensure_future(containers.keep_known())
    try:
        yield Bench(api, containers, told)
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError):
            await keeping


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[EngineApi]:
    async with engine_api(tmp_path / "api.sock") as api:
        yield api


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def contained(there: OtherNetwork, letter: str, name: str) -> Contained:
    return Contained(an_id(letter), name, there.pid, {"bridge": "127.0.0.1"}, sandbox=there.sandbox)


async def test_a_socket_in_its_namespace_makes_a_container_known(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        assert await at.facts(from_there(*await there.connected())) == {
            "container.id": A,
            "container.name": "web",
            "container.engine": "podman",
        }


async def test_two_that_claim_one_address_are_told_apart_by_the_socket(api: EngineApi) -> None:
    async with other_network() as one, other_network() as two, bench(api, by="namespace") as at:
        api.containers = [contained(one, "a", "web"), contained(two, "b", "mail")]
        for there, name in ((one, "web"), (two, "mail"), (one, "web")):
            assert (await at.facts(from_there(*await there.connected())))["container.name"] == name


async def test_one_that_uses_an_address_the_engine_does_not_know_is_known_by_its_socket(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        api.containers[0].networks = {}
        assert (await at.facts(from_there(*await there.connected())))["container.name"] == "web"


async def test_an_address_is_no_proof_where_the_namespace_is_asked(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        assert await at.facts(from_there(("127.0.0.1", 1), ("127.0.0.1", 2))) == {}


async def test_of_two_that_share_a_namespace_neither_is_taken_for_the_other(api: EngineApi) -> None:
    """The kernel's word for the cgroup is what tells them apart; these two have none that bears their id."""
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web"), contained(there, "b", "sidecar")]
        assert await at.facts(from_there(*await there.connected())) == {}


async def test_a_container_in_its_own_cgroup_is_recognised_without_asking_the_engine(api: EngineApi) -> None:
    async with other_network(f"docker-{A}.scope") as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        await at.facts(from_there(*await there.connected()))
        asked = list(api.asked)
        known = at.containers.attest(from_there(*await there.connected()))
        assert known is not None
        assert ("container.name", "web") in known
        assert api.asked == asked


async def test_somebody_who_joined_its_namespace_is_not_taken_for_it(api: EngineApi) -> None:
    async with other_network(f"docker-{A}.scope") as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        assert await at.facts(from_there(*await there.connected()))
        joined = await asyncio.create_subprocess_exec(
            *(
                "nsenter",
                "-t",
                str(there.pid),
                "--net",
                sys.executable,
                "-c",
                _CONNECT.format((await there.connected())[1]),
            ),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert joined.stdout is not None
        client = ("127.0.0.1", int(await joined.stdout.readline()))
        server = (await there.connected())[1]
        assert await at.facts(from_there(client, server)) == {}
        joined.kill()
        await joined.communicate()


async def test_one_in_a_cgroup_that_is_no_containers_is_alone_only_if_the_engine_says_so_now(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        assert await at.facts(from_there(*await there.connected()))
        api.containers.append(contained(there, "b", "sidecar"))
        assert await at.facts(from_there(*await there.connected())) == {}


async def test_it_stays_known_while_the_engine_is_down(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        kept = from_there(*await there.connected())
        await at.facts(kept)
        api.status = 500
        await at.looked()
        for peer in (kept, from_there(*await there.connected())):
            assert (await at.facts(peer))["container.name"] == "web"


async def test_with_the_container_its_connections_end(api: EngineApi) -> None:
    async with other_network() as there, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web")]
        peer = from_there(*await there.connected())
        assert await at.facts(peer)
        await there.end()
        assert await at.facts(peer) == {}


async def test_nothing_stays_open_when_all_ends(api: EngineApi) -> None:
    before = open_files()
    async with other_network() as there:
        async with bench(api, by="namespace") as at:
            api.containers = [contained(there, "a", "web")]
            assert await at.facts(from_there(*await there.connected()))
            inside = open_files()
        assert open_files() < inside
    assert open_files() <= before


async def test_by_address_it_is_the_one_that_has_it(api: EngineApi, sleepers: list[subprocess.Popen[bytes]]) -> None:
    async with bench(api) as at:
        api.containers = [
            Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5", "own": "fd00::5"}),
            Contained(B, "mail", sleepers[1].pid, {"podman": "10.88.0.6"}),
        ]
        for address, name in (("10.88.0.5", "web"), ("fd00::5", "web"), ("10.88.0.6", "mail")):
            assert (await at.facts(from_there((address, 40000))))["container.name"] == name
        assert await at.facts(from_there(("10.88.0.7", 40000))) == {}


async def test_an_address_that_two_have_is_nobodys(api: EngineApi, sleepers: list[subprocess.Popen[bytes]]) -> None:
    async with bench(api) as at:
        api.containers = [
            Contained(A, "web", sleepers[0].pid, {"one": "10.88.0.5"}),
            Contained(B, "mail", sleepers[1].pid, {"two": "10.88.0.5"}),
        ]
        assert await at.facts(from_there(("10.88.0.5", 40000))) == {}


async def test_an_address_that_another_shares_is_nobodys(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        api.containers = [
            Contained(A, "web", sleepers[0].pid, {"bridge": "172.17.0.2"}),
            Contained(B, "sidecar", sleepers[1].pid, joined=A),
        ]
        assert await at.facts(from_there(("172.17.0.2", 40000))) == {}


async def test_who_takes_over_an_address_is_known_as_himself(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        api.containers = [Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5"})]
        earlier = from_there(("10.88.0.5", 40000))
        assert (await at.facts(earlier))["container.name"] == "web"
        sleepers[0].kill()
        sleepers[0].wait()
        assert await at.facts(earlier) == {}
        api.containers = [Contained(B, "mail", sleepers[1].pid, {"podman": "10.88.0.5"})]
        assert (await at.facts(from_there(("10.88.0.5", 40000))))["container.name"] == "mail"
        assert await at.facts(earlier) == {}, "a connection was never another's"


async def test_an_address_that_is_taken_from_one_that_runs_is_not_its_any_more(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        api.containers = [
            Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5"}),
            Contained(B, "mail", sleepers[1].pid, {"podman": "10.88.0.6"}),
        ]
        assert (await at.facts(from_there(("10.88.0.5", 40000))))["container.name"] == "web"
        api.containers[0].networks, api.containers[1].networks = {}, {"podman": "10.88.0.5"}
        assert (await at.facts(from_there(("10.88.0.5", 40001))))["container.name"] == "mail"


async def test_by_address_those_who_were_known_stay_so_while_the_engine_is_down(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        api.containers = [Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5"})]
        assert await at.facts(from_there(("10.88.0.5", 40000)))
        api.status = 500
        assert (await at.facts(from_there(("10.88.0.5", 40001))))["container.name"] == "web"
        sleepers[0].kill()
        sleepers[0].wait()
        assert await at.facts(from_there(("10.88.0.5", 40002))) == {}


async def test_one_that_the_engine_lists_a_moment_late_is_waited_for(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        peer = from_there(("10.88.0.5", 40000))
        assert at.containers.attest(peer) is None
        learning = asyncio.ensure_future(at.containers.learn(peer))
        await asyncio.sleep(0.05)
        api.containers = [Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5"})]
        await learning
        assert (await at.facts(peer))["container.name"] == "web"


async def test_who_has_the_network_of_the_machine_is_named_by_the_id_that_the_kernel_gives(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api, by="namespace", patterns=("w*", "w?b", "*", "W*", "w[e]b", "x*")) as at:
        api.containers = [Contained(A, "web", sleepers[0].pid)]
        known = Peer(Origin("169.254.170.2", facts=frozenset({("container.id", A)})), None)
        await at.containers.learn(known)
        assert set(at.containers.attest(known) or ()) == {
            ("container.id", A),
            ("container.name", "web"),
            ("container.engine", "podman"),
            *(("container.name.like", pattern) for pattern in ("w*", "w?b", "*")),
        }


async def test_a_container_of_another_engine_is_nobody_here(api: EngineApi) -> None:
    async with bench(api) as at:
        other = Peer(Origin("127.0.0.1", facts=frozenset({("container.id", B)})), None)
        assert await at.facts(other) == {}
        assert at.containers.attest(other) == frozenset(), "and is not asked about with each request"


async def test_who_came_in_elsewhere_is_not_asked_about(api: EngineApi) -> None:
    async with bench(api) as at:
        assert at.containers.attest(Peer(Origin("127.0.0.1"), None)) == frozenset()


async def test_strangers_are_looked_for_ten_times_a_second_at_most(api: EngineApi) -> None:
    async with bench(api) as at:
        started = asyncio.get_running_loop().time()
        await asyncio.gather(*(at.facts(from_there(("192.0.2.7", port))) for port in range(200)))
        took = asyncio.get_running_loop().time() - started
        assert took < 2
        assert len(api.asked) <= took * 10 + 2


async def test_who_is_a_stranger_is_waited_for_only_once(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    async with bench(api) as at:
        now = asyncio.get_running_loop().time
        assert await at.facts(from_there(("192.0.2.7", 1))) == {}
        started = now()
        assert await at.facts(from_there(("192.0.2.7", 2))) == {}
        assert now() - started < 0.3, "most likely it shows a token"
        api.containers = [Contained(A, "web", sleepers[0].pid, {"podman": "192.0.2.7"})]
        assert (await at.facts(from_there(("192.0.2.7", 3))))["container.name"] == "web"


async def test_learning_takes_less_than_half_a_second_whatever_the_engine_does(api: EngineApi) -> None:
    api.slow = 30
    async with bench(api) as at:
        started = asyncio.get_running_loop().time()
        assert await at.facts(stranger()) == {}
        assert asyncio.get_running_loop().time() - started < 0.5


async def test_trouble_with_the_engine_is_told_once_and_so_is_its_end(api: EngineApi) -> None:
    api.status = 500
    async with bench(api) as at:
        for _ in range(3):
            await at.looked()
        assert at.told == [f"podman at {api.path} answered 500"]
        api.status = 200
        await at.looked()
        await at.looked()
        assert at.told[1:] == ["well"]


async def test_a_container_whose_process_is_not_its_is_nobody_and_that_is_told(api: EngineApi) -> None:
    async with other_network() as there, other_network() as elsewhere, bench(api, by="namespace") as at:
        api.containers = [contained(there, "a", "web"), contained(elsewhere, "b", "mail")]
        api.containers[0].sandbox = elsewhere.sandbox
        assert await at.facts(from_there(*await there.connected())) == {}
        assert (await at.facts(from_there(*await elsewhere.connected())))["container.name"] == "mail"
        assert at.told == [f"process {there.pid} is not that of container web, as the engine says"]


async def test_a_new_name_is_noticed(api: EngineApi, sleepers: list[subprocess.Popen[bytes]]) -> None:
    async with bench(api) as at:
        api.containers = [Contained(A, "web", sleepers[0].pid, {"podman": "10.88.0.5"})]
        peer = from_there(("10.88.0.5", 40000))
        assert (await at.facts(peer))["container.name"] == "web"
        api.containers[0].name = "old-web"
        await at.looked()
        assert (await at.facts(peer))["container.name"] == "old-web"


async def test_without_callers_the_engine_is_asked_every_half_minute(tmp_path: Path) -> None:
    class Counting:
        name = "docker"
        asked = 0

        async def list(self) -> list[object]:
            self.asked += 1
            return []

        async def inspect(self, identity: str) -> None:
            raise AssertionError(identity)

    clock, engine = FakeClock(), Counting()
    containers = Containers(engine, line=None, clock=clock, tell=lambda _: None)  # type: ignore[arg-type]
    keeping = asyncio.ensure_future(containers.keep_known())
    await settle()
    assert engine.asked == 1
    await clock.advance(timedelta(seconds=29))
    assert engine.asked == 1
    await clock.advance(timedelta(seconds=61))
    assert engine.asked == 3
    keeping.cancel()
    with suppress(asyncio.CancelledError):
        await keeping


async def test_one_that_is_found_is_known_with_all_that_is_known_of_it(
    api: EngineApi, sleepers: list[subprocess.Popen[bytes]]
) -> None:
    """Also while others of the same list are still being looked at."""
    async with bench(api) as at:
        api.containers = [Contained(A, "web", sleepers[0].pid), Contained(B, "mail", sleepers[1].pid)]
        known = Peer(Origin("127.0.0.1", facts=frozenset({("container.id", A)})), None)
        at.containers._wanted.set()
        while (facts := at.containers.attest(known)) is None:  # noqa: ASYNC110 - the first moment is what counts
            await asyncio.sleep(0)
        assert ("container.name", "web") in facts
