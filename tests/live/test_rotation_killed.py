"""A host that is killed at every step of its walk from key to key: is anything lost, or anything signed too early?"""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
MEMORY = Path("/dev/shm")  # no disk has to keep up


def test_wherever_a_walk_is_killed_the_next_process_ends_it_well() -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as home:
        walks = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.live.rotating", home, first, "2"],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for first in ("1", "2")
        ]
        try:
            ends = [walk.communicate(timeout=55) for walk in walks]
        finally:
            for walk in walks:
                walk.kill()
        for walk, (_, errors) in zip(walks, ends, strict=True):
            assert walk.returncode == 0, errors
        assert sum(int(killed) for killed, _ in ends) > 100
