import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.long

#: Half of them at a step, half at a moment that is not chosen.
KILLS = 400


def test_a_kept_file_is_whole_whenever_its_writer_is_killed(tmp_path: Path) -> None:
    program = [sys.executable, "-m", "tests.live.writing", str(tmp_path), str(KILLS)]
    done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr
    kills, drafts, found = (int(number) for number in done.stdout.split())
    assert kills == KILLS
    assert drafts > KILLS // 20  # or no writer was killed while it wrote
    assert found > KILLS // 20
