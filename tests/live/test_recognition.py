"""Does each user and each service get its own role at one and the same URL, whatever it does with its connection?"""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from agent.callers import End, Grant, Origin
from agent.callers.kernel import KernelRecogniser, Patterns
from agent.events import CredentialsVended, VendingDenied
from agent.outputs.ecs import EcsOutput
from agent.roster import Roster
from agent.vending import Vendor
from agent.web.listener import answering
from tests.unit.callers.kernel.world import ALICE, BOB, Groups, Puppet, as_root, groups
from tests.unit.web.world import ROLES, World

pytestmark = as_root

CAROL = 54_003

#: What a puppet needs to speak to the agent: the status, and the role of what it was given.
_ASKING = """
def asked(client, *more):
    lines = ("GET /v1/credentials HTTP/1.1", "Host: localhost", *more, "", "")
    client.sendall("\\r\\n".join(lines).encode())
    return answered(client)
def answered(client):
    got = b""
    while b"\\r\\n\\r\\n" not in got:
        came = client.recv(65536)
        if not came:
            return [0, ""]
        got += came
    head, _, body = got.partition(b"\\r\\n\\r\\n")
    length = int(next(line for line in head.split(b"\\r\\n") if line.startswith(b"Content-Length")).split()[1])
    while len(body) < length:
        body += client.recv(65536)
    return [int(head.split()[1]), json.loads(body).get("RoleArn", "").rpartition("/")[2]]
"""


class Counting:
    """Asks the kernel, and counts how often."""

    def __init__(self, recogniser: KernelRecogniser) -> None:
        self._recogniser = recogniser
        self.asked = 0

    def recognise(self, client: End, server: End) -> Origin:
        self.asked += 1
        return self._recogniser.recognise(client, server)


@contextmanager
def speaking(uid: int, group: Path | None = None) -> Iterator[Puppet]:
    """A user who can ask the agent."""
    with Puppet(uid, group) as puppet:
        puppet.do(_ASKING)
        yield puppet


async def told(puppet: Puppet, program: str) -> list[Any]:
    """What the agent answers to a puppet while it does this: the status, and the role."""
    answer = await asyncio.to_thread(puppet.do, program)
    assert isinstance(answer, list)
    return answer


@pytest.fixture
def made() -> Iterator[Groups]:
    with groups() as made:
        yield made


@pytest.fixture
def world() -> World:
    return World()


class Agent:
    """A listener that knows callers by what the kernel says of them."""

    def __init__(self, world: World, kernel: KernelRecogniser, grants: Sequence[tuple[str, str, str]]) -> None:
        granted = [Grant(role, frozenset(((fact, value),))) for role, fact, value in grants]
        self.asking = Counting(kernel)
        self.output = EcsOutput(Vendor(Roster.whole(world.sessions), [], granted, world.reported), ROLES)
        self.port = 0

    @property
    def new(self) -> str:
        """Asks on a connection that stays open, in the words of a puppet."""
        return f"client = connected('127.0.0.1', {self.port}); answer = asked(client)"


@asynccontextmanager
async def agent(world: World, *grants: tuple[str, str, str], where: str = "127.0.0.1") -> AsyncIterator[Agent]:
    """The agent's listener with these grants: role, fact, value."""
    await world.fetch()
    patterns = Patterns(units=[value for _, fact, value in grants if fact == "systemd.unit.like"])
    with KernelRecogniser(world.clock, patterns) as kernel:
        made = Agent(world, kernel, grants)
        async with answering(
            made.output,
            (where, 0),
            clock=world.clock,
            stats=world.stats,
            on_bug=world.bugs.append,
            report=world.reported,
            recogniser=made.asking,
        ) as (_, made.port):
            yield made
    assert not world.bugs


def by_user(role: str, uid: int) -> tuple[str, str, str]:
    return role, "unix.uid", str(uid)


BOTH = (by_user("web", ALICE), by_user("backup", BOB))


async def test_each_user_gets_its_own_role_at_the_same_url(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice, speaking(BOB) as bob:
            for _ in range(3):
                assert await told(alice, here.new) == [200, "web"]
                assert await told(bob, here.new) == [200, "backup"]


async def test_each_service_gets_its_own_role_whoever_it_runs_as(world: World, made: Groups) -> None:
    grants = ("web", "systemd.unit", "web.service"), ("backup", "systemd.unit.like", "backup@*.service")
    async with agent(world, *grants) as here:
        with (
            speaking(ALICE, made.make("web.service")) as web,
            speaking(ALICE, made.make("backup@daily.service")) as daily,
            speaking(0, made.make("backup@weekly.service")) as weekly,
            speaking(ALICE, made.make(f"user@{ALICE}.service/app.slice/web.service")) as own,
        ):
            assert await told(web, here.new) == [200, "web"]
            assert await told(daily, here.new) == [200, "backup"]
            assert await told(weekly, here.new) == [200, "backup"]
            assert await told(own, here.new) == [403, ""]


async def test_who_is_granted_nothing_is_refused_and_named_in_the_audit(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(CAROL) as carol:
            assert await told(carol, here.new) == [403, ""]
    (denied,) = world.reported.of(VendingDenied)
    assert ("unix.uid", str(CAROL)) in denied.facts


async def test_what_is_served_is_told_of_by_user(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice:
            await told(alice, here.new)
    (vended,) = world.reported.of(CredentialsVended)
    assert (vended.role, ("unix.uid", str(ALICE)) in vended.facts) == ("web", True)


@pytest.mark.parametrize(
    "line", ["X-Forwarded-For: 127.0.0.1", "X-Unix-Uid: 54002", "Authorization: 54002", "Forwarded: for=unix.uid=54002"]
)
async def test_no_header_makes_a_caller_somebody_else(world: World, line: str) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice:
            status, role = await told(alice, here.new.replace("asked(client)", f"asked(client, {line!r})"))
    assert (status, role) == (200, "web") or (status >= 400 and role == "")


async def test_the_kernel_is_asked_once_a_connection(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice:
            await told(alice, here.new)
            for _ in range(20):
                assert await told(alice, "answer = asked(client)") == [200, "web"]
            assert here.asking.asked == 1


async def test_a_client_that_has_ended_its_side_is_answered_as_itself(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice:
            program = f"""
client = connected('127.0.0.1', {here.port})
client.sendall(b"GET /v1/credentials HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n")
client.shutdown(socket.SHUT_WR)
answer = answered(client)
"""
            assert await told(alice, program) == [200, "web"]


async def test_a_client_of_ipv6_is_recognised(world: World) -> None:
    async with agent(world, *BOTH, where="::1") as here:
        with speaking(BOB) as bob:
            program = f"client = connected('::1', {here.port}, family=socket.AF_INET6); answer = asked(client)"
            assert await told(bob, program) == [200, "backup"]


async def test_a_port_that_another_had_a_moment_ago_brings_nobody_the_others_role(world: World) -> None:
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice, speaking(BOB) as bob:
            first = f"client = connected('127.0.0.1', {here.port}, source=0); answer = [client.getsockname()[1]]"
            (source,) = await told(alice, first)
            again = f"client = connected('127.0.0.1', {here.port}, source={source}); answer = asked(client)"
            for _ in range(100):
                alice.do(
                    "client.sendall(b'GET /v1/credentials HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); reset(client)"
                )
                assert await told(bob, again) == [200, "backup"]
                bob.do(
                    "client.sendall(b'GET /v1/credentials HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); reset(client)"
                )
                assert await told(alice, again) == [200, "web"]


async def test_a_connection_that_is_handed_on_stays_its_makers(world: World) -> None:
    """Whoever hands a connection on could as well hand on what comes over it."""
    name = f"\\0rolecall-live-{os.getpid()}"
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice, speaking(BOB) as bob:
            bob.do(f"waiting = socket.socket(socket.AF_UNIX); waiting.bind('{name}'); waiting.listen()")
            assert await told(alice, here.new) == [200, "web"]
            alice.do(f"to = socket.socket(socket.AF_UNIX); to.connect('{name}')")
            alice.do("socket.send_fds(to, [b'x'], [client.fileno()]); client.close()")
            bob.do("came, _ = waiting.accept(); client = socket.socket(fileno=socket.recv_fds(came, 1, 1)[1][0])")
            bob.do("client.settimeout(5)")
            assert await told(bob, "answer = asked(client)") == [200, "web"]
            assert await told(bob, here.new) == [200, "backup"]


async def test_who_asks_through_another_gets_what_that_one_is_granted(world: World) -> None:
    """A proxy on this machine, or a forwarded port, is the caller: docs/callers.md says so."""
    name = f"\\0rolecall-proxy-{os.getpid()}"
    relay = """
came, _ = waiting.accept()
through = connected('127.0.0.1', {port})
through.sendall(came.recv(65536))
came.sendall(through.recv(65536))
"""
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as proxy, speaking(BOB) as bob:
            proxy.do(f"waiting = socket.socket(socket.AF_UNIX); waiting.bind('{name}'); waiting.listen()")
            relaying = asyncio.ensure_future(asyncio.to_thread(proxy.do, relay.format(port=here.port)))
            program = f"client = socket.socket(socket.AF_UNIX); client.connect('{name}'); answer = asked(client)"
            assert await told(bob, program) == [200, "web"]
            await relaying


async def test_a_dead_connection_is_answered_to_nobody_and_told_of_by_nobodys_name(world: World) -> None:
    """Its port may be another's by the time the kernel is asked, who would be named for what he never asked for."""
    async with agent(world, *BOTH) as here:
        with speaking(ALICE) as alice, speaking(BOB) as bob:
            source = alice.do(
                f"client = connected('127.0.0.1', {here.port}, source=0); answer = client.getsockname()[1]"
            )
            alice.do(
                "client.sendall(b'GET /v1/credentials/web HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n'); reset(client)"
            )
            again = f"client = connected('127.0.0.1', {here.port}, source={source})"
            bob.do(again)  # before the agent has had time to accept either
            assert await told(bob, "answer = asked(client)") == [200, "backup"]
    assert not world.reported.of(VendingDenied)
