"""Does a token prove which unit it was given to, for as long as it should and not longer?"""

import asyncio
import base64
import itertools
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.callers import Facts, Origin, Peer
from agent.callers.unit_tokens.attestor import Lifetimes, UnitTokens
from agent.callers.unit_tokens.file import SecretsFile
from agent.errors import KeyUnavailable
from agent.events import UnitTokenEnding, UnitTokensRotated, UnitTokensUnwritable
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
LIFETIMES = Lifetimes(30 * DAY, 90 * DAY)
UNIT = "backup@daily.service"


class Stage:
    """An agent with its file, which can be started again."""

    def __init__(self, folder: Path, *patterns: str) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.path = folder / "unit-tokens.json"
        self.patterns = patterns
        self.boot = "one"
        self._number = itertools.count(1)
        self.tokens = self.started()

    def started(self) -> UnitTokens:
        """The agent is started again."""
        self.tokens = UnitTokens(
            SecretsFile(self.path),
            LIFETIMES,
            self.patterns,
            clock=self.clock,
            boot=self.boot,
            report=self.reported,
            random=lambda size: next(self._number).to_bytes(size, "big"),
        )
        self.tokens.load()
        return self.tokens

    def token(self, unit: str = UNIT) -> bytes:
        return self.tokens.token(unit).reveal().encode()

    def facts(self, presented: bytes | None) -> Facts:
        return self.tokens.attest(Peer(Origin("127.0.0.1"), presented))

    def knows(self, presented: bytes) -> bool:
        return bool(self.facts(presented))

    async def live(self, span: timedelta) -> None:
        """Live for so long, and count the time each day and at the end."""
        while span > timedelta(0):
            step = min(span, DAY)
            await self.clock.advance(step)
            await self.tokens.count()
            span -= step


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path, "backup@*.service", "web.service*", "*")


def test_a_unit_is_known_by_its_token_and_by_the_patterns_that_it_fits(stage: Stage) -> None:
    fits = {("token.unit.like", "backup@*.service"), ("token.unit.like", "*")}
    assert stage.facts(stage.token()) == {("token.unit", UNIT), *fits}


def test_nobody_is_known_who_shows_none(stage: Stage) -> None:
    assert stage.facts(None) == frozenset()


@pytest.mark.parametrize(
    "unit", ["a.service", "-.mount", r"dev-disk\x2d1.swap", "a:b@c-d_e.service", "x" * 247 + ".service"]
)
def test_every_name_that_a_unit_can_have_fits_into_a_header(stage: Stage, unit: str) -> None:
    token = stage.token(unit)
    assert token.isascii()
    assert token.decode().isprintable()
    assert b" " not in token
    assert 16 <= len(token) <= 1024
    assert ("token.unit", unit) in stage.facts(token)


def test_tokens_of_two_units_and_of_two_agents_differ(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = Stage(tmp_path / "other")
    assert stage.token("a.service") != stage.token("b.service")
    other._number = itertools.count(100)
    other.path.unlink()
    other.started()
    assert not other.knows(stage.token())


def test_a_token_is_no_other_units(stage: Stage) -> None:
    beginning, generation, _, proof = stage.token().split(b".")
    name = base64.urlsafe_b64encode(b"root.service").rstrip(b"=")
    assert not stage.knows(b".".join((beginning, generation, name, proof)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=some.integers(0, 200), byte=some.integers(0, 255))
def test_a_token_with_any_byte_changed_is_nobodys(stage: Stage, place: int, byte: int) -> None:
    token = stage.token()
    changed = bytearray(token)
    changed[place % len(token)] = byte
    assert stage.knows(bytes(changed)) == (bytes(changed) == token)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=some.binary(max_size=60), size=some.integers(0, 200))
def test_more_or_less_than_a_token_is_nobodys(stage: Stage, end: bytes, size: int) -> None:
    token = stage.token()
    assert not stage.knows(token[: size % len(token)])
    assert stage.knows(token + end) == (end == b"")
    assert not stage.knows(token[:25] + end)


@pytest.mark.parametrize("spelling", [b"YQ", b"YR", b"YQ==", b"Y", b"_-_-", b"gICA"])
def test_a_name_spelt_otherwise_than_we_do_is_nobodys(stage: Stage, spelling: bytes) -> None:
    beginning, generation, name, proof = stage.token("a").split(b".")
    shown = b".".join((beginning, generation, spelling, proof))
    assert stage.knows(shown) == (spelling == name)


def test_tokens_survive_the_agents_restart(stage: Stage) -> None:
    token = stage.token()
    stage.started()
    assert stage.knows(token)
    assert stage.token() == token


async def test_a_new_secret_comes_when_it_is_due_and_old_tokens_are_good_for_the_overlap(stage: Stage) -> None:
    old = stage.token()
    await stage.live(30 * DAY - HOUR)
    assert stage.token() == old
    await stage.live(HOUR)
    new = stage.token()
    assert new != old
    assert stage.reported == [UnitTokensRotated(90 * DAY)]
    assert stage.knows(old)
    assert stage.knows(new)
    await stage.live(30 * DAY)
    await stage.clock.advance(60 * DAY - timedelta(seconds=1))
    assert stage.knows(old)
    await stage.clock.advance(timedelta(seconds=1))
    assert not stage.knows(old), "to the second, and not to the hour"
    await stage.tokens.count()
    assert not stage.knows(old)
    assert stage.knows(new)


async def test_rotation_goes_on_where_it_was_when_the_agent_is_started_again(stage: Stage) -> None:
    old = stage.token()
    await stage.live(29 * DAY)
    await stage.clock.advance(DAY)  # it is down, and the machine is not
    await stage.started().count()
    assert stage.token() != old
    await stage.live(10 * DAY)
    stage.started()
    assert stage.knows(old)
    await stage.clock.advance(80 * DAY)
    stage.started()
    assert not stage.knows(old)


async def test_a_wall_clock_that_leaps_ends_no_token(stage: Stage) -> None:
    old = stage.token()
    await stage.live(30 * DAY)
    for years in (20, -50, 30):
        stage.clock.step(years * 365 * DAY)
        await stage.live(timedelta(minutes=10))
        stage.started()
        await stage.tokens.count()
        assert stage.knows(old)
    assert stage.tokens._saved is not None
    assert len(stage.tokens._saved.generations.all) == 2


async def test_what_passes_while_the_machine_is_off_makes_nothing_older(stage: Stage) -> None:
    token = stage.token()
    stage.boot = "another"
    stage.clock = FakeClock(stage.clock.now() + 400 * DAY)
    await stage.started().count()
    assert stage.token() == token
    await stage.live(29 * DAY)
    assert stage.token() == token
    await stage.live(DAY)
    assert stage.token() != token


async def test_time_that_a_machine_is_suspended_counts(stage: Stage) -> None:
    token = stage.token()
    stage.clock.suspend(30 * DAY)
    await stage.tokens.count()
    assert stage.token() != token


async def test_a_unit_whose_token_ends_soon_is_told_of_once_a_day(stage: Stage) -> None:
    old, other = stage.token(), stage.token("web.service")
    await stage.live(30 * DAY)
    ends = stage.clock.now() + 90 * DAY
    await stage.clock.advance(83 * DAY - HOUR)
    assert stage.knows(old)
    assert stage.reported.of(UnitTokenEnding) == []
    for _ in range(48):
        await stage.clock.advance(HOUR)
        assert stage.knows(old)
    assert stage.reported.of(UnitTokenEnding) == [UnitTokenEnding(UNIT, ends)] * 2
    assert stage.knows(other)
    assert stage.reported.of(UnitTokenEnding)[2] == UnitTokenEnding("web.service", ends)
    stage.knows(stage.token())
    assert len(stage.reported.of(UnitTokenEnding)) == 3


async def test_no_token_is_made_of_a_secret_that_is_not_on_the_disk(stage: Stage) -> None:
    old = stage.token()
    await stage.live(29 * DAY)
    content = stage.path.read_bytes()
    stage.path.unlink()
    stage.path.mkdir()  # so it cannot be written
    await stage.live(2 * DAY)
    assert stage.token() == old
    (trouble,) = stage.reported.of(UnitTokensUnwritable)
    assert str(stage.path) in trouble.error.what
    stage.path.rmdir()
    stage.path.write_bytes(content)
    stage.path.chmod(0o600)
    await stage.started().count()
    assert stage.token() != old
    assert stage.knows(old)


async def test_where_no_thread_is_to_be_had_it_is_tried_again(stage: Stage) -> None:
    class Exhausted(ThreadPoolExecutor):
        def submit(self, *_: object, **__: object) -> NoReturn:
            raise RuntimeError("can't start new thread")

    loop = asyncio.get_running_loop()
    old = stage.token()
    await stage.live(29 * DAY)
    loop.set_default_executor(Exhausted())
    await stage.live(2 * DAY)
    (trouble,) = stage.reported.of(UnitTokensUnwritable)
    assert "no thread" in trouble.error.what
    assert stage.token() == old
    loop.set_default_executor(ThreadPoolExecutor())
    await stage.live(DAY)
    assert stage.token() != old


def test_what_cannot_be_read_stops_the_start_and_stays_as_it_is(stage: Stage) -> None:
    stage.path.write_bytes(b"garbage")
    with pytest.raises(KeyUnavailable, match="damaged"):
        stage.started()
    assert stage.path.read_bytes() == b"garbage"


async def test_two_secrets_never_have_one_id(stage: Stage) -> None:
    await stage.live(30 * DAY)
    assert stage.tokens._saved is not None
    taken = stage.tokens._saved.generations.all
    ids = iter([bytes.fromhex(one.id) for one in taken] + [b"\0\0\xff\xff"])
    stage.tokens._random = lambda size: next(ids) if size == 4 else b"s" * size
    await stage.live(30 * DAY)
    assert stage.tokens._saved.generations.newest.id == "0000ffff"


def test_neither_a_token_nor_a_secret_is_shown(stage: Stage) -> None:
    shown = repr(stage.tokens.token(UNIT)) + repr(stage.tokens._saved)
    proof = stage.token().split(b".")[3].decode()
    assert proof not in shown
    assert "\\x00" not in shown
