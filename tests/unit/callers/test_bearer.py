"""Are exactly those recognised who hold a token that stands, or lately stood, in a file?"""

import asyncio
import dataclasses
import hmac
import os
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.callers import Caller, Facts, Origin, Peer, bearer
from agent.callers.bearer import BearerTokens
from agent.events import CallerTokensChanged, CallerTokensReadable, CallerTokensUnreadable
from tests.fakes.clock import FakeClock, settle
from tests.fakes.report import Reported

OLD, NEW, OTHER = b"the-old-token-of-web", b"the-new-token-of-web", b"the-token-of-another"
OVERLAP = timedelta(minutes=10)
MOMENT = timedelta(seconds=0.3)  # longer than a change must stand


async def here(work: Callable[[], None]) -> None:
    """Do it in this very thread: with a clock that stands still, there is no waiting for another one."""
    work()


class Stage:
    """Token files in a folder, and who reads them."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.clock = FakeClock()
        self.reported = Reported()
        self.paths = [folder / name for name in names or ("web",)]
        self.path = self.paths[0]
        overlaps = dict.fromkeys(self.paths, OVERLAP)
        self.tokens = CountingTokens(overlaps, clock=self.clock, report=self.reported, apart=here)

    def write(self, content: bytes, path: Path | None = None, mode: int = 0o600) -> None:
        """Replace the file as careful people do: whole."""
        path = path or self.path
        fresh = path.with_suffix(".new")
        fresh.write_bytes(content)
        fresh.chmod(mode)
        fresh.replace(path)

    def knows(self, presented: bytes | None) -> bool:
        return bool(self.facts(presented))

    def facts(self, presented: bytes | None) -> Facts:
        return self.tokens.attest(Peer(Origin("127.0.0.1"), presented))

    async def later(self, seconds: float = 5) -> None:
        """Time passes, and the files are looked at."""
        await self.clock.advance(timedelta(seconds=seconds))
        await self.look()

    async def look(self) -> None:
        """Look at the files until what has changed has stood for long enough."""
        await self.tokens.read()
        await self.clock.advance(MOMENT)
        await self.tokens.read()

    def troubles(self) -> list[str]:
        return [told.error.what for told in self.reported.of(CallerTokensUnreadable)]


class CountingTokens(BearerTokens):
    """Counts how often the files are looked at."""

    looks = 0

    async def read(self) -> None:
        self.looks += 1
        await super().read()


@asynccontextmanager
async def kept_read(stage: Stage) -> AsyncIterator[None]:
    keeping = asyncio.ensure_future(stage.tokens.keep_read())
    await settle()
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


# What stands in a file


@pytest.mark.parametrize(
    "content",
    [
        OLD,
        OLD + b"\n",
        OLD + b"\r\n",
        b"\n\n" + OLD + b"\n\n",
        b"  " + OLD + b" \t\n",
        OTHER + b"\n" + OLD,
        OLD + b"\r\n\r\n" + OTHER + b"\r\n",
        OLD + b"\n" + OLD + b"\n",
    ],
)
async def test_newlines_and_blanks_around_a_token_do_not_matter(stage: Stage, content: bytes) -> None:
    stage.write(content)
    await stage.look()
    assert stage.facts(OLD) == {("token.file", str(stage.path))}
    assert stage.knows(OTHER) == (OTHER in content)


@pytest.mark.parametrize(
    "presented",
    [None, b"", OLD[:-1], OLD + b"x", OLD + b"\n", b"\n" + OLD, OLD.upper(), b"Bearer " + OLD, b" ", b"\x00" * 20],
)
async def test_a_token_is_its_exact_bytes(stage: Stage, presented: bytes | None) -> None:
    stage.write(OLD + b"\n")
    await stage.look()
    assert not stage.knows(presented)


async def test_the_shortest_and_longest_tokens_are_accepted(stage: Stage) -> None:
    stage.write(b"s" * 16 + b"\n" + b"l" * 1024)
    await stage.look()
    assert stage.knows(b"s" * 16)
    assert stage.knows(b"l" * 1024)


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", "holds no token"),
        (b"\n \r\n", "holds no token"),
        (b"s" * 15, "not a token"),
        (b"l" * 1025, "not a token"),
        (OLD + b"\nshort", "not a token"),
        (b"Bearer " + OLD, "not a token"),
        ("gültiges-token-aber-nein".encode(), "not a token"),
        (b"\xef\xbb\xbf" + OLD, "not a token"),
        (bytes(range(256)), "not a token"),
        (OLD + b"\x00", "not a token"),
        (b"\n".join(b"%064d" % n for n in range(2000)), "not a token"),
    ],
)
async def test_a_file_that_holds_anything_else_is_refused_whole(stage: Stage, content: bytes, trouble: str) -> None:
    stage.write(content)
    await stage.look()
    for line in content.splitlines():
        assert not stage.knows(line.strip())
    assert len(stage.troubles()) == 1
    assert trouble in stage.troubles()[0]
    assert OLD.decode() not in repr(stage.reported)


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o666, 0o644])
async def test_a_file_open_to_everybody_is_refused_until_it_is_closed(stage: Stage, mode: int) -> None:
    stage.write(OLD, mode=mode)
    await stage.look()
    assert not stage.knows(OLD)
    assert "by everybody on this machine" in stage.troubles()[0]
    stage.path.chmod(0o640)
    await stage.look()
    assert stage.knows(OLD)


@pytest.mark.parametrize("mode", [0o604, 0o602])
async def test_tokens_of_a_file_opened_to_everybody_are_unknown_from_the_first_look_on(stage: Stage, mode: int) -> None:
    """Whoever shows one may be anybody: there is no overlap, neither for what stands in it nor for what stood."""
    for content in (OLD, NEW):
        stage.write(content)
        await stage.look()
    assert (stage.knows(OLD), stage.knows(NEW)) == (True, True)
    stage.path.chmod(mode)
    await stage.tokens.read()
    assert (stage.knows(OLD), stage.knows(NEW)) == (False, False)
    [told] = stage.reported.of(CallerTokensUnreadable)
    assert told.good_for == timedelta(0)
    await stage.later()
    assert len(stage.troubles()) == 1


async def test_it_is_told_until_when_old_tokens_are_good_and_once_when_the_file_is_well_again(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    stage.path.unlink()
    await stage.look()
    stage.write(b"short")
    await stage.later(60)
    stage.write(OLD)
    for _ in range(3):
        await stage.later()
    first, second, *rest = stage.reported
    assert isinstance(first, CallerTokensUnreadable)
    assert isinstance(second, CallerTokensUnreadable)
    assert (first.good_for, second.good_for) == (OVERLAP, OVERLAP - timedelta(seconds=60) - MOMENT)
    assert rest == [CallerTokensReadable(str(stage.path))]


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def as_folder(path: Path) -> None:
    path.mkdir()


def as_pipe(path: Path) -> None:
    os.mkfifo(path, 0o600)


def as_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path.name)


def as_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def as_loop(path: Path) -> None:
    path.symlink_to(path)


def as_gap(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize(
    ("make", "trouble"),
    [
        (as_folder, "Is a directory"),
        (as_pipe, "is not a file"),
        (as_device, "is not a file"),
        (as_socket, "cannot be read"),
        (as_loop, "cannot be read"),
        (as_gap, "cannot be read"),
    ],
)
async def test_what_is_no_file_is_refused_without_waiting_and_without_leaving_anything_open(
    stage: Stage, make: Callable[[Path], None], trouble: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(stage.path.parent)  # a socket's path has to be short
    make(stage.path)
    await stage.look()
    opened = descriptors()
    for _ in range(20):
        await stage.look()
    assert descriptors() == opened
    assert len(stage.troubles()) == 1
    assert trouble in stage.troubles()[0]


# When it changes


async def test_old_and_new_are_accepted_during_a_change(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    assert stage.knows(OLD)
    stage.write(NEW)
    await stage.look()
    assert stage.knows(NEW)
    assert stage.knows(OLD)
    assert stage.reported == [CallerTokensChanged(str(stage.path), OVERLAP)]
    await stage.clock.advance(OVERLAP - timedelta(seconds=0.001))
    assert stage.knows(OLD)
    await stage.clock.advance(timedelta(seconds=0.002))
    assert not stage.knows(OLD)
    assert stage.knows(NEW)


async def test_the_overlap_is_measured_by_the_steady_clock(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    stage.write(NEW)
    await stage.look()
    stage.clock.step(timedelta(days=400))
    assert stage.knows(OLD)
    stage.clock.step(timedelta(days=-800))
    stage.clock.suspend(OVERLAP)
    assert not stage.knows(OLD)


async def test_each_change_has_its_own_overlap(stage: Stage) -> None:
    for content, seconds in ((OLD, 0), (OLD + b"\n" + NEW, 60), (NEW, 60), (OTHER, 300)):
        await stage.later(seconds)
        stage.write(content)
        await stage.look()
    await stage.later(300)  # the first left 600 s ago, the second 300 s ago
    assert [stage.knows(token) for token in (OLD, NEW, OTHER)] == [False, True, True]


async def test_a_token_that_comes_back_is_there_to_stay(stage: Stage) -> None:
    for content in (OLD, NEW, OLD):
        stage.write(content)
        await stage.later()
    await stage.later(OVERLAP.total_seconds() + 5)
    assert (stage.knows(OLD), stage.knows(NEW)) == (True, False)


async def test_a_file_missing_at_the_start_is_read_when_it_appears(stage: Stage) -> None:
    await stage.look()
    assert "cannot be read: No such file" in stage.troubles()[0]
    stage.write(OLD)
    await stage.look()
    assert stage.knows(OLD)
    assert stage.reported.of(CallerTokensReadable) == [CallerTokensReadable(str(stage.path))]


async def test_a_token_that_nobody_knows_has_the_files_looked_at_within_a_second(stage: Stage) -> None:
    stage.write(OLD)
    async with kept_read(stage):
        await stage.clock.advance(timedelta(seconds=2))
        looks = stage.tokens.looks
        stage.write(NEW)
        assert not stage.knows(NEW)
        await settle()
        assert stage.tokens.looks == looks + 1
        await stage.clock.advance(MOMENT)
        assert stage.knows(NEW)
        stage.write(OTHER)
        assert not stage.knows(OTHER)  # while it is too early to look again; that is not forgotten
        await stage.clock.advance(timedelta(seconds=1) + MOMENT)
        assert stage.knows(OTHER)


async def test_a_file_being_rewritten_in_place_is_not_taken_half_written(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    async with kept_read(stage):
        with stage.path.open("wb", buffering=0) as opened:
            for letter in NEW[:17]:
                opened.write(bytes([letter]))
                await stage.clock.advance(timedelta(seconds=0.2))
                stage.tokens.look()
            assert stage.tokens.looks > 5
            assert not stage.knows(NEW[:17])
            assert not stage.knows(NEW[:16])
            opened.write(NEW[17:])
        await stage.clock.advance(timedelta(seconds=0.6))
        assert stage.knows(NEW)
        assert stage.knows(OLD)
        assert not [known for known in range(1, len(NEW)) if stage.knows(NEW[:known])]
        assert stage.reported == [CallerTokensChanged(str(stage.path), OVERLAP)]


@pytest.mark.parametrize("gone", ["deleted", "emptied"])
async def test_a_token_taken_away_is_good_for_the_overlap_only_and_told_of_once(stage: Stage, gone: str) -> None:
    stage.write(OLD)
    await stage.look()
    if gone == "deleted":
        stage.path.unlink()
    else:
        os.truncate(stage.path, 0)
    for _ in range(5):
        await stage.later()
    assert stage.knows(OLD)
    [told] = stage.reported
    assert isinstance(told, CallerTokensUnreadable)
    assert told.good_for == OVERLAP
    await stage.later(OVERLAP.total_seconds())
    assert not stage.knows(OLD)
    stage.write(OLD)
    await stage.later()
    assert stage.knows(OLD)
    stage.path.unlink()
    await stage.later()
    assert len(stage.troubles()) == 2


async def test_a_rewrite_within_one_timestamp_is_noticed(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    with stage.path.open("r+b") as opened:
        opened.write(NEW)
    [file] = stage.tokens._files  # as if both writes had had one time, which not every kernel can be made to do
    found = bearer._read(stage.path, unless=())
    assert found is not None
    assert file.latest is not None
    file.latest = dataclasses.replace(file.latest, stamp=found.stamp)
    await stage.later(1)
    assert stage.knows(NEW)


async def test_a_folder_that_comes_back_brings_its_files_back(tmp_path: Path) -> None:
    folder, away = tmp_path / "tokens", tmp_path / "away"
    folder.mkdir()
    stage = Stage(folder)
    stage.write(OLD)
    for _ in range(3):
        await stage.later()
    folder.rename(away)
    await stage.later()
    away.rename(folder)  # and nothing about the file itself has changed
    await stage.later()
    await stage.later(OVERLAP.total_seconds())
    assert stage.knows(OLD)


async def test_tokens_whose_time_is_over_are_forgotten(stage: Stage) -> None:
    for number in range(100):
        stage.write(b"a-token-for-a-minute-%d" % number)
        await stage.later(60)
    [file] = stage.tokens._files
    assert len(file.earlier) <= OVERLAP / timedelta(seconds=60)


async def test_a_file_that_comes_and_goes_piles_nothing_up(stage: Stage) -> None:
    for _ in range(100):
        stage.write(OLD)
        await stage.later(1)
        stage.path.unlink()
        await stage.later(1)
    assert sum(len(file.earlier) for file in stage.tokens._files) == 1


async def test_the_files_are_looked_at_though_nobody_asks(stage: Stage) -> None:
    stage.write(OLD)
    async with kept_read(stage):
        stage.write(NEW)
        await stage.clock.advance(timedelta(seconds=5) + MOMENT)
        assert stage.reported == [CallerTokensChanged(str(stage.path), OVERLAP)]
        looks = stage.tokens.looks
        await stage.clock.advance(timedelta(seconds=60))
        assert stage.tokens.looks - looks == 12


async def test_a_thousand_wrong_tokens_a_second_make_us_look_once_a_second(stage: Stage) -> None:
    stage.write(OLD)
    async with kept_read(stage):
        for _ in range(5):
            for number in range(200):
                assert not stage.knows(b"wrong-token-%08d" % number)
                if number % 20 == 0:
                    await stage.clock.advance(timedelta(milliseconds=5))
            await stage.clock.advance(timedelta(milliseconds=950))
        assert stage.tokens.looks in {5, 6}


async def test_nobody_who_asks_touches_a_file(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()
    looks = stage.tokens.looks
    for _ in range(100):
        await stage.clock.advance(timedelta(seconds=1))
        assert not stage.knows(OTHER)
    assert stage.tokens.looks == looks


# A file system that hangs


class Hanging:
    """Reads in threads, as the agent does; reading one file takes until `let_go`."""

    def __init__(self) -> None:
        self.let_go = threading.Event()
        self.threads: list[threading.Thread] = []

    async def __call__(self, work: Callable[[], None]) -> None:
        done, loop = asyncio.Event(), asyncio.get_running_loop()

        def run() -> None:
            work()
            loop.call_soon_threadsafe(done.set)

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()
        await done.wait()

    def path(self, path: Path) -> Path:
        hanging = self

        class Stuck(type(path)):  # type: ignore[misc]  # the class for this system
            def __fspath__(self) -> str:
                hanging.let_go.wait(20)
                return str(path)

        return Stuck(path)


async def test_a_file_that_hangs_stops_neither_the_others_nor_anybody_who_asks(tmp_path: Path) -> None:
    reads, told, clock = Hanging(), Reported(), FakeClock()
    paths = [tmp_path / "first", reads.path(tmp_path / "hanging"), tmp_path / "last"]
    for path, token in zip(map(str, paths), (OLD, NEW, OTHER), strict=True):
        Path(path).write_bytes(token)
        Path(path).chmod(0o600)
    tokens = BearerTokens(dict.fromkeys(paths, OVERLAP), clock=clock, report=told, apart=reads)
    keeping = asyncio.ensure_future(tokens.keep_read())
    try:
        for _ in range(400):  # real threads, so real time
            await clock.advance(timedelta(seconds=0.1))
            await asyncio.sleep(0.001)
        known = [bool(tokens.attest(Peer(Origin("127.0.0.1"), token))) for token in (OLD, NEW, OTHER)]
        assert known == [True, False, True]
        [trouble] = told.of(CallerTokensUnreadable)
        assert "no answer for 10 s" in trouble.error.what
        assert sum(thread.is_alive() for thread in reads.threads) == 1  # one look at it, however long that takes
        reads.let_go.set()
        for _ in range(100):
            await clock.advance(timedelta(seconds=0.1))
            await asyncio.sleep(0.001)
        assert tokens.attest(Peer(Origin("127.0.0.1"), NEW))
        assert told.of(CallerTokensReadable) == [CallerTokensReadable(str(tmp_path / "hanging"))]
    finally:
        reads.let_go.set()
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_where_no_thread_is_to_be_had_what_is_known_stays_known_until_there_is_one(stage: Stage) -> None:
    stage.write(OLD)
    await stage.look()

    async def nowhere(_: Callable[[], None]) -> None:
        raise RuntimeError("can't start new thread")

    stage.tokens._apart = nowhere
    stage.write(NEW)
    for _ in range(20):
        await stage.later()
    assert (stage.knows(OLD), stage.knows(NEW), stage.reported) == (True, False, [])
    stage.tokens._apart = here
    await stage.look()
    assert stage.knows(NEW)


# Several files


async def test_each_file_is_a_caller_of_its_own(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "web", "ops")
    stage.write(OLD, stage.paths[0])
    stage.write(OTHER, stage.paths[1])
    await stage.look()
    assert stage.facts(OLD) == {("token.file", str(stage.paths[0]))}
    assert stage.facts(OTHER) == {("token.file", str(stage.paths[1]))}


async def test_one_token_in_two_files_is_known_by_both(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "web", "ops")
    for path in stage.paths:
        stage.write(OLD, path)
    await stage.look()
    assert stage.facts(OLD) == {("token.file", str(path)) for path in stage.paths}


async def test_one_broken_file_does_not_hurt_the_other(tmp_path: Path) -> None:
    stage = Stage(tmp_path, "broken", "web")
    stage.write(b"short", stage.paths[0])
    stage.write(OLD, stage.paths[1])
    await stage.look()
    assert stage.knows(OLD)


# What must not be learnt


@pytest.mark.parametrize("presented", [OLD, OTHER, NEW, b"nobody-knows-this-one", b"x"])
async def test_every_token_is_compared_whoever_asks_and_by_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, presented: bytes
) -> None:
    stage = Stage(tmp_path, "web", "ops")
    stage.write(OLD, stage.paths[0])
    stage.write(OTHER, stage.paths[1])
    await stage.look()
    stage.write(NEW, stage.paths[0])
    await stage.look()
    compared: list[tuple[bytes, bytes]] = []
    honest = hmac.compare_digest

    def counting(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return honest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    stage.facts(presented)
    assert len(compared) == 3
    assert all(len(one) == len(other) == 32 for one, other in compared)
    assert len({other for _, other in compared}) == 3


def test_a_peer_and_a_caller_do_not_show_what_was_presented() -> None:
    peer = Peer(Origin("127.0.0.1"), OLD)
    assert OLD.decode() not in f"{peer!r}{Caller(peer, frozenset())!r}{Caller(peer, frozenset()).name}"


SEARCH = """
import asyncio, gc, os, sys, time
from datetime import timedelta
from pathlib import Path
from agent.callers import Origin, Peer
from agent.callers.bearer import BearerTokens
from agent.clock import SystemClock

told = []
tokens = BearerTokens(
    {Path(name): timedelta(hours=1) for name in sys.argv[1:]}, clock=SystemClock(), report=told.append
)
asyncio.run(tokens.read())
tokens.attest(Peer(Origin("127.0.0.1"), None))
Path(sys.argv[1]).write_bytes(Path(sys.argv[1]).read_bytes()[::-1])
asyncio.run(tokens.read())
time.sleep(0.3)
asyncio.run(tokens.read())
marks = [bytes([67, 65, 78, 65, 82, 89]), bytes([89, 82, 65, 78, 65, 67])]  # CAN… and its reverse, in no text of ours
seen, todo, found = set(), [*gc.get_objects(), told, tokens], 0
while todo:
    thing = todo.pop()
    if id(thing) in seen:
        continue
    seen.add(id(thing))
    if isinstance(thing, str):
        thing = thing.encode("utf-8", "replace")
    if isinstance(thing, bytes | bytearray):
        found += 20 < len(thing) < 200 and any(mark in thing for mark in marks)
    else:
        todo += gc.get_referents(thing)
print(len(told), len(tokens._files[0].digests), found, flush=True)
os._exit(0)  # Python 3.12 does not end by itself after having been looked through like this
"""


@pytest.mark.parametrize(("kept", "found"), [("", 0), ("held = Path(sys.argv[1]).read_bytes()", 1)])
def test_memory_holds_no_token(tmp_path: Path, kept: str, found: int) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(b"CANARY-%s" % os.urandom(20).hex().encode())
    bad.write_bytes(b"CANARY-%s with a blank" % os.urandom(20).hex().encode())
    for path in (good, bad):
        path.chmod(0o600)
    script = SEARCH.replace("marks =", f"{kept}\nmarks =")  # the second time, to show that the search would find one
    done = subprocess.run([sys.executable, "-c", script, good, bad], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["2", "1", str(found)], done.stderr
