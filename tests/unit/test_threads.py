"""Work that hangs hangs alone: in a thread of its own, for which nobody waits."""

import asyncio
import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from agent.threads import aside


async def test_what_the_work_gives_comes_back_from_another_thread() -> None:
    thread, number = await aside(lambda number: (threading.current_thread(), number), 7)
    assert (thread is not threading.current_thread(), thread.daemon, number) == (True, True, 7)


async def test_what_the_work_raises_comes_out_as_it_was_raised() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await aside(int, "seven")


async def test_an_error_does_not_keep_alive_what_its_frames_have_seen() -> None:
    class Seen:
        pass

    watched: list[weakref.ref[Seen]] = []

    def fails() -> None:
        seen = Seen()
        watched.append(weakref.ref(seen))
        raise LookupError

    gc.disable()
    try:
        with contextlib.suppress(LookupError):
            await aside(fails)
        await asyncio.sleep(0.05)  # the thread is at its end, too
        assert watched[0]() is None
    finally:
        gc.enable()


async def test_work_that_hangs_leaves_room_for_any_other() -> None:
    release = threading.Event()
    hanging = [asyncio.ensure_future(aside(release.wait)) for _ in range(64)]  # more than any pool has threads
    assert await asyncio.to_thread(lambda: "the pool is free") == "the pool is free"
    assert await aside(lambda: "so is the next one") == "so is the next one"
    release.set()
    assert await asyncio.gather(*hanging) == [True] * 64


async def test_who_waits_can_be_cancelled_and_what_the_work_gives_then_is_lost_quietly() -> None:
    release, done = threading.Event(), threading.Event()

    def work() -> None:
        release.wait()
        done.set()

    waiting = asyncio.ensure_future(aside(work))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    release.set()
    assert await asyncio.to_thread(done.wait, 5)
    await asyncio.sleep(0.02)  # any complaint of the thread would be a warning, which is an error here


HANGING = """
import asyncio, signal, sys
from pathlib import Path
from agent.cli.run import in_loop
from agent.clock import RemoteClock, SystemClock
from agent.tokens.file import TokenFile

class OnADeadServer(TokenFile):
    def _read(self):
        return self._path.read_text()  # of a FIFO that nobody writes to: it cannot even be opened

async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    reading = asyncio.ensure_future(OnADeadServer(Path(sys.argv[1]), RemoteClock(SystemClock())).token())
    await asyncio.sleep(0.2)
    print("reading", flush=True)
    await stop.wait()
    assert not reading.done()

in_loop(main())
print("ended", flush=True)
"""


def test_sigterm_ends_a_process_whose_token_file_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file")
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, tmp_path / "file"],
        env={"PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "reading\n"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert time.monotonic() - began < 20
            assert process.stdout.readline() == "ended\n"
        finally:
            process.kill()
