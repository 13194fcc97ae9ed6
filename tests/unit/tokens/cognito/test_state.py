import asyncio
import json
import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import TokenUnavailable
from agent.secret import Secret
from agent.tokens.cognito.state import Kept, StateFile, version_of
from tests.fakes.clock import FakeClock

KEPT = Kept("eu-central-1_Ab129faBb", "client", "machine", Secret("canary.refresh.token"))


@pytest.fixture
def state(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "cognito.json", FakeClock())


async def test_what_was_written_is_read_again(state: StateFile) -> None:
    state.write(KEPT)

    assert await state.read() == KEPT


async def test_there_may_be_nothing(state: StateFile) -> None:
    assert await state.read() is None
    assert state.version() is None


def test_it_is_for_its_owner_alone_and_nothing_is_left_beside_it(state: StateFile) -> None:
    state.write(KEPT)
    state.write(KEPT)

    assert stat.S_IMODE(state.path.stat().st_mode) == 0o600
    assert [one.name for one in state.path.parent.iterdir()] == ["cognito.json"]


def test_a_write_that_fails_leaves_what_was_there(state: StateFile) -> None:
    state.write(KEPT)
    broken = StateFile(state.path.parent / ("c" * 250), FakeClock())  # the draft beside it would have too long a name
    broken.path.write_text("{}")

    with pytest.raises(OSError, match="too long"):
        broken.write(KEPT)

    assert broken.path.read_text() == "{}"


def test_each_write_is_another_version(state: StateFile) -> None:
    versions = set()
    for number in range(3):
        state.write(Kept("p_p", "c", "u", Secret("x" * (number + 1))))
        versions.add(state.version())
    assert len(versions) == 3


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"[" * 30_000,
        b"x" * 100_000,
        json.dumps({"format": 1}).encode(),
        json.dumps({"format": 2, "user_pool": "p", "client_id": "c", "user": "u", "refresh_token": "t"}).encode(),
        json.dumps({"format": 1, "user_pool": "p", "client_id": "c", "user": "u", "refresh_token": ""}).encode(),
        json.dumps({"format": 1, "user_pool": "p", "client_id": "c", "user": 7, "refresh_token": "t"}).encode(),
    ],
)
async def test_what_is_not_ours_counts_as_nothing(state: StateFile, content: bytes) -> None:
    state.path.write_bytes(content)

    assert await state.read() is None


async def test_a_pipe_holds_nobody_up(state: StateFile) -> None:
    os.mkfifo(state.path)

    assert await state.read() is None


async def test_a_directory_in_its_place_is_said(state: StateFile) -> None:
    state.path.mkdir()
    with pytest.raises(TokenUnavailable, match=r"cannot be read: Is a directory"):
        await state.read()  # in a thread, which stays, with descriptors of its own
    before = len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with pytest.raises(TokenUnavailable, match=r"cannot be read: Is a directory"):
            await state.read()
    assert len([*Path("/proc/self/fd").iterdir()]) == before


async def test_one_after_the_other_holds_it(state: StateFile) -> None:
    clock = FakeClock()
    first, second = StateFile(state.path, clock), StateFile(state.path, clock)
    order: list[str] = []

    async def renew(who: StateFile, name: str) -> None:
        async with who.held():
            order.append(f"{name} begins")
            await clock.sleep(1)
            order.append(f"{name} ends")

    async with asyncio.TaskGroup() as both:
        both.create_task(renew(first, "one"))
        both.create_task(renew(second, "two"))
        await clock.advance(timedelta(seconds=3))

    assert order == ["one begins", "one ends", "two begins", "two ends"]


async def test_one_that_another_process_holds_is_waited_for_only_so_long(tmp_path: Path) -> None:
    clock = FakeClock()
    state = StateFile(tmp_path / "cognito.json", clock)
    hold = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.flock(file, fcntl.LOCK_EX); print(1, flush=True)"
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        f"{hold}; sys.stdin.read()",
        str(tmp_path / ".cognito.json.lock"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout is not None
    await other.stdout.readline()

    async def wait() -> None:
        async with state.held():
            pytest.fail("it is held by another")

    waiting = asyncio.ensure_future(wait())
    await clock.advance(timedelta(seconds=29))
    assert not waiting.done()
    await clock.advance(timedelta(seconds=2))
    with pytest.raises(TokenUnavailable, match="another process"):
        await waiting
    await other.communicate(b"")
    async with state.held():
        pass


async def test_where_no_lock_can_be_had_there_is_none(tmp_path: Path) -> None:
    async with StateFile(tmp_path / "gone" / "cognito.json", FakeClock()).held():
        pass


async def test_a_link_in_the_place_of_the_lock_is_not_followed(state: StateFile, tmp_path: Path) -> None:
    (tmp_path / ".cognito.json.lock").symlink_to(tmp_path / "elsewhere")

    async with state.held():
        pass

    assert not (tmp_path / "elsewhere").exists()


def test_a_version_tells_one_content_from_another(tmp_path: Path) -> None:
    file = tmp_path / "password"
    assert version_of(None) is None
    assert version_of(file) is None
    file.write_text("one")
    before = version_of(file)
    assert before == version_of(file)
    file.write_text("other")
    assert version_of(file) != before
    assert version_of(Path("\0")) is None


def test_nothing_that_is_secret_shows() -> None:
    assert "canary" not in repr(KEPT)


def draft_of(state: StateFile, content: bytes, *, age: int) -> Path:
    """What is left of somebody who was killed while he wrote, so many seconds after the file."""
    left = state.path.with_name(f".{state.path.name}.0123456789abcdef")
    left.write_bytes(content)
    os.utime(left, ns=(0, state.path.stat().st_mtime_ns - age * 10**9))
    return left


async def test_what_somebody_was_killed_at_is_finished_since_the_token_before_is_used_up(state: StateFile) -> None:
    later = Kept(KEPT.pool_id, KEPT.client_id, KEPT.user, Secret("the.next.token"))
    state.write(later)
    whole = state.path.read_bytes()
    state.write(KEPT)
    draft_of(state, whole, age=-1)

    async with state.held():
        assert await state.read() == later

    assert sorted(one.name for one in state.path.parent.iterdir()) == [".cognito.json.lock", "cognito.json"]


@pytest.mark.parametrize(("cut", "age"), [(20, -1), (None, 1)], ids=["half", "old"])
async def test_what_is_left_and_no_good_is_removed_and_nothing_else(
    state: StateFile, cut: int | None, age: int
) -> None:
    state.write(Kept("p_p", "c", "u", Secret("another")))
    whole = state.path.read_bytes()
    state.write(KEPT)
    draft_of(state, whole[:cut], age=age)
    for name in (".cognito.json.swp", "cognito.json.0123456789abcdef", ".other.json.0123456789abcdef"):
        state.path.with_name(name).touch()

    async with state.held():
        assert await state.read() == KEPT

    assert sorted(one.name for one in state.path.parent.iterdir()) == [
        ".cognito.json.lock", ".cognito.json.swp", ".other.json.0123456789abcdef", "cognito.json",
        "cognito.json.0123456789abcdef",
    ]  # fmt: skip
