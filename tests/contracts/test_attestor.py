"""What every Attestor must do, however it tells who is asking."""

import asyncio
import inspect
import os
import pwd
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.callers import Attestor, Facts, Origin, Peer
from agent.callers.accounts import Accounts
from agent.callers.bearer import BearerTokens
from agent.callers.containers.attestor import Containers
from agent.callers.containers.shapes import Listed, Running
from agent.callers.executables import Executables, why_blind
from agent.callers.unit_tokens.attestor import Lifetimes, UnitTokens
from agent.callers.unit_tokens.file import SecretsFile
from agent.clock import SystemClock
from tests.fakes.clock import FakeClock


@dataclass(frozen=True, slots=True)
class Bench:
    """An attestor, a peer that it knows, the beginning of the names of its facts, and what must run meanwhile."""

    attestor: Attestor
    known: Peer
    vouches_for: str
    job: Callable[[], Awaitable[object]] | None = None

    async def says_of(self, peer: Peer) -> Facts:
        """What it says, when it has found out what it must."""
        facts = self.attestor.attest(peer)
        if facts is None:
            await self.attestor.learn(peer)
            facts = self.attestor.attest(peer)
        assert facts is not None, "after learning it must say something"
        return facts


def ignored(_: object) -> None:
    """What happened is not looked at here."""


async def bearer(folder: Path, _: ExitStack) -> Bench:
    path = folder / "web"
    path.write_bytes(b"a-token-that-is-known\n")
    path.chmod(0o600)
    attestor = BearerTokens({path: timedelta(hours=1)}, clock=FakeClock(), report=ignored)
    await attestor.read()
    return Bench(attestor, Peer(Origin("127.0.0.1"), b"a-token-that-is-known"), "token.")


async def unit_tokens(folder: Path, _: ExitStack) -> Bench:
    lifetimes = Lifetimes(timedelta(days=30), timedelta(days=90))
    file = SecretsFile(folder / "unit-tokens.json")
    attestor = UnitTokens(file, lifetimes, ["*.service"], clock=FakeClock(), boot="this", report=ignored)
    attestor.load()
    token = attestor.token("web.service").reveal().encode()
    return Bench(attestor, Peer(Origin("127.0.0.1"), token), "token.unit")


async def accounts(_: Path, __: ExitStack) -> Bench:
    me = pwd.getpwuid(os.geteuid())
    attestor = Accounts([me.pw_name], [str(me.pw_gid)], clock=SystemClock(), report=ignored, all_names=True)
    origin = Origin("127.0.0.1", facts=frozenset({("unix.uid", str(me.pw_uid))}))
    return Bench(attestor, Peer(origin, None), "unix.", attestor.keep_known)


async def executables(_: Path, stack: ExitStack) -> Bench:
    if why_blind() is not None:
        pytest.skip("programs are seen only with privileges")
    listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    client = stack.enter_context(socket.create_connection(listening.getsockname()))
    origin = Origin("127.0.0.1", socket=os.fstat(client.fileno()).st_ino)
    return Bench(Executables(SystemClock()), Peer(origin, None), "process.")


class OneContainer:
    """An engine that has one container, in which we are ourselves."""

    name = "podman"
    id = "a" * 64

    async def list(self) -> list[Listed]:
        return [Listed(self.id, "web", frozenset())]

    async def inspect(self, identity: str) -> Running | None:
        return Running(identity, "web", os.getpid(), "", "") if identity == self.id else None


async def containers(_: Path, __: ExitStack) -> Bench:
    engine = OneContainer()
    attestor = Containers(engine, line=None, clock=SystemClock(), tell=ignored, patterns=["w*"])
    known = Peer(Origin("127.0.0.1", facts=frozenset({("container.id", engine.id)})), None)
    return Bench(attestor, known, "container.", attestor.keep_known)


@pytest.fixture(params=[bearer, unit_tokens, accounts, executables, containers])
async def bench(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    build: Callable[[Path, ExitStack], Awaitable[Bench]] = request.param
    with ExitStack() as stack:
        built = await build(tmp_path, stack)
        job = None if built.job is None else asyncio.ensure_future(built.job())
        yield built
        if job is not None:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job


#: Nobody has such a number, nor such a socket.
strangers = some.builds(
    Peer,
    some.builds(
        Origin,
        some.one_of(some.sampled_from(["127.0.0.1", "::1", "", "@", "not an address"]), some.text(max_size=20)),
        facts=some.frozensets(
            some.one_of(
                some.tuples(some.just("unix.uid"), some.integers(2**31, 2**32 - 2).map(str)),
                some.tuples(some.sampled_from(["systemd.unit", "container.id"]), some.text(max_size=20)),
            ),
            max_size=3,
        ),
        socket=some.one_of(some.just(0), some.integers(2**40, 2**63)),
    ),
    some.one_of(some.none(), some.binary(max_size=100), some.binary(min_size=5_000, max_size=5_000)),
)


async def test_it_knows_whom_it_should_and_answers_the_same_each_time(bench: Bench) -> None:
    facts = await bench.says_of(bench.known)
    assert facts
    assert all(bench.attestor.attest(bench.known) == facts for _ in range(3))
    await bench.attestor.learn(bench.known)
    assert bench.attestor.attest(bench.known) == facts


async def test_its_facts_bear_its_own_name(bench: Bench) -> None:
    for name, value in await bench.says_of(bench.known):
        assert name.startswith(bench.vouches_for)
        assert isinstance(value, str)
        assert value


async def test_its_facts_do_not_show_what_was_presented(bench: Bench) -> None:
    presented = bench.known.presented
    assert presented is None or presented.decode() not in str(await bench.says_of(bench.known))


async def test_it_answers_at_once(bench: Bench) -> None:
    assert not inspect.iscoroutinefunction(bench.attestor.attest)


async def test_it_learns_in_time_and_costs_nobody_the_loop(bench: Bench) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    learning = asyncio.ensure_future(bench.attestor.learn(bench.known))
    turns = 0
    while not learning.done():
        before = loop.time()
        await asyncio.sleep(0)
        assert loop.time() - before < 0.4
        turns += 1
    await learning
    assert turns
    assert loop.time() - began < 1  # on a machine that has other things to do as well


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(peer=strangers)
async def test_it_never_raises_and_knows_nothing_of_strangers(bench: Bench, peer: Peer) -> None:
    assert await bench.says_of(peer) == frozenset()
