"""The ring as it stands: the file is the truth, and time is what one clock has counted."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.events import ClockWentBack, Event
from agent.ledger import Ledger
from agent.ring import Held, Ring
from agent.ring_file import RingFile
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import MemoryKey

HOUR = timedelta(hours=1)
HELD = Held("memory", "key-1", ours=True)


def a_ring(clock: FakeClock) -> Ring:
    return Ring.founded(MemoryKey().public, HELD, clock.now())


def a_ledger(home: Path | None, clock: FakeClock, boot: str = "boot-1", told: list[Event] | None = None) -> Ledger:
    report = (told if told is not None else []).append
    return Ledger(RingFile(home) if home else None, clock=clock, boot=boot, report=report)


async def test_what_one_writes_the_other_reads_once(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = a_ledger(tmp_path, clock), a_ledger(tmp_path, clock)
    one.found(a_ring(clock))
    assert not await other.load()
    await one.change(lambda ring: ring.order("rotate"))
    assert await other.load()
    assert other.ring == one.ring
    assert not await other.load()
    assert not await one.load()  # its own writing is no news


async def test_a_change_starts_from_the_file_and_not_from_memory(tmp_path: Path) -> None:
    clock = FakeClock()
    one, other = a_ledger(tmp_path, clock), a_ledger(tmp_path, clock)
    one.found(a_ring(clock))
    await one.change(lambda ring: ring)
    await other.load()
    second = MemoryKey().public
    await other.change(lambda ring: ring.announce(second, HELD, clock.now()))
    await one.change(lambda ring: ring.order("rotate"))
    assert one.ring.announced is not None
    assert one.ring.announced.public == second


async def test_a_ring_that_somebody_has_taken_away_is_put_back(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = a_ledger(tmp_path, clock)
    ledger.found(a_ring(clock))
    await ledger.load()
    assert not (tmp_path / "ring.json").exists()  # nothing has changed yet
    await ledger.change(lambda ring: ring.order("rotate"))
    (tmp_path / "ring.json").unlink()
    assert not await ledger.load()
    other = a_ledger(tmp_path, clock)
    assert await other.load()
    assert other.ring == ledger.ring


async def test_a_directory_that_somebody_has_taken_away_is_missed_at_once(tmp_path: Path) -> None:
    home = tmp_path / "state"
    home.mkdir()
    ledger = a_ledger(home, FakeClock())
    ledger.found(a_ring(FakeClock()))
    await ledger.change(lambda ring: ring.order("rotate"))
    before = ledger.ring
    shutil.rmtree(home)
    with pytest.raises(KeyUnavailable, match="no such file or directory"):
        await ledger.load()
    assert ledger.ring == before
    home.mkdir()
    await ledger.load()
    assert (home / "ring.json").exists()


async def test_a_step_that_refuses_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = a_ledger(tmp_path, clock)
    ledger.found(a_ring(clock))
    await ledger.change(lambda ring: ring)
    before = (tmp_path / "ring.json").read_bytes()
    with pytest.raises(ConfigurationError):
        await ledger.change(lambda ring: ring.take_back(ring.signing.public.kid))
    assert (tmp_path / "ring.json").read_bytes() == before


async def test_time_passes_between_changes_and_not_while_the_machine_is_off(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = a_ledger(tmp_path, clock)
    ledger.found(a_ring(clock))
    await clock.advance(HOUR)
    assert ledger.ring.signing.counted == HOUR
    await ledger.change(lambda ring: ring)
    await clock.advance(HOUR)
    same_run, next_run = a_ledger(tmp_path, clock), a_ledger(tmp_path, clock, "boot-2")
    await same_run.load()
    await next_run.load()
    assert same_run.ring.signing.counted == 2 * HOUR
    assert next_run.ring.signing.counted == HOUR


async def test_a_look_is_told_how_long_after_the_end_of_the_one_before_it_began(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = a_ledger(tmp_path, clock)
    ledger.found(a_ring(clock))
    told: list[timedelta | None] = []

    def step(ring: Ring, since: timedelta | None) -> Ring:
        told.append(since)
        return ring

    for _ in range(2):
        began = ledger.moment()
        await clock.advance(timedelta(minutes=5))  # what the look itself takes
        await ledger.look(began, step)
        await clock.advance(HOUR)
    assert told == [None, HOUR]
    assert ledger.looked_at is not None


async def test_in_memory_alone_nothing_is_written_and_there_is_no_file_to_ask_for(tmp_path: Path) -> None:
    clock = FakeClock()
    ledger = a_ledger(None, clock)
    ledger.found(a_ring(clock))
    await ledger.change(lambda ring: ring)
    assert not ledger.is_kept
    with pytest.raises(ConfigurationError, match="nowhere to keep"):
        ledger.file()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("back", "tells"), [(timedelta(minutes=1), 0), (timedelta(days=365), 1)])
async def test_a_clock_that_went_back_is_told_unless_it_is_drift(tmp_path: Path, back: timedelta, tells: int) -> None:
    clock = FakeClock()
    ledger = a_ledger(tmp_path, clock)
    ledger.found(a_ring(clock))
    await ledger.change(lambda ring: ring)
    clock.step(-back)
    told: list[Event] = []
    await a_ledger(tmp_path, clock, told=told).load()
    assert told == [ClockWentBack(back)] * tells
