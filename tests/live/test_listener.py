"""Does the listener keep its word on both event loops, and for a thousand clients at once?"""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta

import pytest
import uvloop

from agent.web.connections import Limits
from tests.fakes.clock import settle
from tests.unit.web.world import WEB, OnlyOrdinary, World, answers, ask, request, say

pytestmark = pytest.mark.long

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
HERD = 1000


@pytest.fixture(params=LOOPS)
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    """The tests here are plain functions that run something on this loop."""
    with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
        yield runner


@pytest.fixture
def room() -> Iterator[None]:
    """Room for both ends of a herd's connections in one process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * HERD + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this machine lets a process open {hard} files only, and the herd needs {wanted}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def waiting(world: World, clients: int) -> None:
    """Return when so many clients wait for the one fetch under way, which itself waits for the clock."""
    async with asyncio.timeout(30):
        while world.clock.sleepers < clients + 1:  # noqa: ASYNC110 - a fake clock has no event for it
            await asyncio.sleep(0.01)


async def herd(world: World, *, answers_in: timedelta) -> AsyncIterator[list[int]]:
    """Let a herd ask for a cold role whose fetch takes so long; the statuses, then those of a second herd."""
    world.sources["web"].answers_in = answers_in
    async with world.listening() as address:
        fetching = asyncio.ensure_future(world.sessions["web"].renew())
        asking = [asyncio.ensure_future(ask(address, request())) for _ in range(HERD)]
        await waiting(world, HERD)
        await world.clock.advance(timedelta(seconds=0.69))
        await settle()
        await world.clock.advance(timedelta(seconds=0.02))
        yield [(await one).status for one in asking]
        await world.clock.advance(answers_in)
        await fetching
        again = [asyncio.ensure_future(ask(address, request())) for _ in range(HERD)]
        yield [(await one).status for one in again]


@pytest.mark.usefixtures("room")
@pytest.mark.parametrize(("seconds", "status"), [(0.5, 200), (5.0, 503)], ids=["in time", "too slow"])
def test_a_thousand_clients_of_a_cold_role_are_all_answered_by_one_fetch(
    runner: asyncio.Runner, seconds: float, status: int
) -> None:
    async def scenario() -> None:
        world = World()
        herds = herd(world, answers_in=timedelta(seconds=seconds))
        assert await anext(herds) == [status] * HERD
        assert await anext(herds) == [200] * HERD
        assert len(world.sources["web"].fetches) == 1
        assert world.bugs == []
        with pytest.raises(StopAsyncIteration):
            await anext(herds)

    runner.run(scenario())


def test_a_mixed_pipeline_is_answered_in_order(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        world = World()
        await world.fetch()
        paths = ["/v1/credentials/web", "/nothing", "/v1/credentials/web?x", "/v1/credentials/backup"] * 10
        async with world.listening() as address:
            told = answers(await say(address, b"".join(request(path) for path in paths)))
        assert [one.status for one in told] == [200, 404, 200, 403] * 10

    runner.run(scenario())


def test_whoever_stops_sending_is_answered_and_whoever_ends_is_let_go(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        world = World()
        await world.fetch()
        for output in (world.output, OnlyOrdinary(world.output)):
            async with world.listening(output, Limits(connections=1, sweep=60)) as address:
                for sent in (
                    request() * 2,
                    request("/v1/credentials/web", WEB, b"Connection: close"),
                    b"nonsense\r\n\r\n",
                ):
                    assert b"Overloaded" not in await say(address, sent)
                    await asyncio.sleep(0.02)

    runner.run(scenario())


def test_a_refusal_reaches_who_is_still_sending(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        world = World()
        async with world.listening() as address:
            told = answers(await say(address, b"GET /" + b"x" * 20_000, *[b"x" * 50_000] * 20, pause=0.001))
        assert [(one.status, json.loads(one.body)["code"]) for one in told] == [(431, "HeadTooLarge")]

    runner.run(scenario())


def test_requests_under_way_are_answered_when_the_listener_closes(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        world = World()
        world.sources["web"].answers_in = timedelta(seconds=0.5)
        fetching = asyncio.ensure_future(world.sessions["web"].renew())
        async with world.listening() as address:
            asking = [asyncio.ensure_future(ask(address, request())) for _ in range(20)]
            await waiting(world, 20)
            asyncio.get_running_loop().call_later(
                0.1, lambda: asyncio.ensure_future(world.clock.advance(timedelta(seconds=0.6)))
            )
        assert [(await one).status for one in asking] == [200] * 20
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*address)
        await fetching

    runner.run(scenario())


def test_whoever_has_connected_when_the_listener_closes_is_answered(runner: asyncio.Runner) -> None:
    async def scenario() -> None:
        world = World()
        await world.fetch()
        async with world.listening() as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request())  # it lies in the kernel when we leave, without another turn of the loop
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
        writer.close()

    runner.run(scenario())
