"""Does a log that nobody reads hold nobody up, and lose nothing while somebody does?"""

import fcntl
import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest

from agent.telemetry.log import LineFormatter
from agent.telemetry.stream import PATIENCE, Outlet

PIPE = 65_536  # what a pipe takes before it is full (pipe(7))


class Pipe:
    """A log at one end of a pipe."""

    def __init__(self, most: int = 10_000) -> None:
        self.read_end, self.write_end = os.pipe()
        self.outlet = Outlet(self.write_end, most=most)
        self.outlet.setFormatter(LineFormatter(text=False, journal=False))
        self.text = b""

    def say(self, number: int, size: int = 0) -> None:
        record = logging.makeLogRecord({"msg": "said", "fields": {"number": number, "filling": "x" * size}})
        self.outlet.handle(record)

    def drain(self, until: bytes) -> list[dict[str, object]]:
        """Read until this has come; every line so far."""
        while until not in self.text or not self.text.endswith(b"\n"):
            self.text += os.read(self.read_end, 1 << 20)
        return [json.loads(line) for line in self.text.splitlines()]

    def close(self) -> None:
        """Let the thread, if it waits for a reader, find that there will be none."""
        os.close(self.read_end)
        self.outlet.flush()
        os.close(self.write_end)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_every_line_arrives_once_and_in_order(pipe: Pipe) -> None:
    for number in range(300):
        pipe.say(number)
    facts = pipe.drain(b'"number": 299')
    assert [fact["number"] for fact in facts] == list(range(300))


def test_whoever_logs_is_not_held_up_by_a_reader_who_sleeps_and_is_told_what_was_lost() -> None:
    pipe = Pipe(most=50)
    started = time.monotonic()
    for number in range(1000):
        pipe.say(number, size=1000)
    assert time.monotonic() - started < 5
    told = lost = 0
    while told + lost < 1000:  # or the test takes too long: every line is told, or counted
        pipe.text += os.read(pipe.read_end, 1 << 20)
        facts = [json.loads(line) for line in pipe.text.splitlines(keepends=True) if line.endswith(b"\n")]
        lost = sum(fact["lines"] for fact in facts if fact["event"] == "log_lines_lost")
        told = len([fact for fact in facts if fact["event"] == "said"])
    assert told + lost == 1000
    assert lost > 0
    assert told > 50
    pipe.say(1000)
    assert pipe.drain(b'"number": 1000')[-1]["number"] == 1000
    pipe.close()


def test_the_end_waits_for_a_reader_but_not_for_ever(pipe: Pipe) -> None:
    pipe.say(1, size=2 * PIPE)
    started = time.monotonic()
    pipe.outlet.flush()
    assert PATIENCE * 0.9 <= time.monotonic() - started < PATIENCE + 5
    reader = threading.Thread(target=pipe.drain, args=(b'"number": 1',))
    reader.start()
    pipe.outlet.flush()
    reader.join()
    assert pipe.text.endswith(b"}\n")


def test_a_reader_who_has_gone_is_no_trouble(pipe: Pipe) -> None:
    os.close(pipe.read_end)
    pipe.say(1)
    pipe.outlet.flush()
    pipe.read_end, spare = os.pipe()
    os.close(spare)


def test_what_a_full_disk_did_not_take_is_counted_and_told_when_there_is_room_again(pipe: Pipe) -> None:
    kept = os.dup(pipe.write_end)
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, pipe.write_end)
    for number in range(3):
        pipe.say(number)
    pipe.outlet.flush()
    os.dup2(kept, pipe.write_end)
    os.close(full)
    os.close(kept)
    pipe.say(3)
    facts = pipe.drain(b"log_lines_lost")
    assert [fact.get("number", fact.get("lines")) for fact in facts] == [3, 3]


def test_a_descriptor_that_somebody_made_not_wait_loses_nothing(pipe: Pipe) -> None:
    flags = fcntl.fcntl(pipe.write_end, fcntl.F_GETFL)
    fcntl.fcntl(pipe.write_end, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for number in range(200):
        pipe.say(number, size=1000)
    facts = pipe.drain(b'"number": 199')
    assert [fact["number"] for fact in facts] == list(range(200))


def test_a_line_that_cannot_be_made_raises_nothing(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    pipe.outlet.handle(logging.makeLogRecord({"msg": "%d", "args": ("no number",)}))
    pipe.say(2)
    assert pipe.drain(b'"number": 2')[-1]["number"] == 2
