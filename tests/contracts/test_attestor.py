"""What every Attestor must do, however it tells who is asking."""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.callers import Attestor, Origin, Peer
from agent.callers.bearer import BearerTokens
from tests.fakes.clock import FakeClock


@dataclass(frozen=True, slots=True)
class Bench:
    """An attestor, a peer that it knows, and the beginning of the names of its facts."""

    attestor: Attestor
    known: Peer
    vouches_for: str


def bearer(folder: Path) -> Bench:
    path = folder / "web"
    path.write_bytes(b"a-token-that-is-known\n")
    path.chmod(0o600)
    attestor = BearerTokens({path: timedelta(hours=1)}, clock=FakeClock(), report=lambda _: None)
    asyncio.run(attestor.read())
    return Bench(attestor, Peer(Origin("127.0.0.1"), b"a-token-that-is-known"), "token.")


@pytest.fixture(params=[bearer])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    build: Callable[[Path], Bench] = request.param
    return build(tmp_path)


peers = some.builds(
    Peer,
    some.one_of(some.sampled_from(["127.0.0.1", "::1", "", "@", "not an address"]), some.text(max_size=20)),
    some.one_of(some.none(), some.binary(max_size=100), some.binary(min_size=5_000, max_size=5_000)),
)


def test_it_knows_whom_it_should_and_answers_the_same_each_time(bench: Bench) -> None:
    facts = bench.attestor.attest(bench.known)
    assert facts
    assert all(bench.attestor.attest(bench.known) == facts for _ in range(3))


def test_its_facts_bear_its_own_name(bench: Bench) -> None:
    for name, value in bench.attestor.attest(bench.known):
        assert name.startswith(bench.vouches_for)
        assert isinstance(value, str)
        assert value


def test_its_facts_do_not_show_what_was_presented(bench: Bench) -> None:
    presented = bench.known.presented
    assert presented is None or presented.decode() not in str(bench.attestor.attest(bench.known))


def test_it_answers_at_once(bench: Bench) -> None:
    assert not inspect.iscoroutinefunction(bench.attestor.attest)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(peer=peers)
def test_it_never_raises_and_knows_nothing_of_strangers(bench: Bench, peer: Peer) -> None:
    assert bench.attestor.attest(peer) == frozenset()
