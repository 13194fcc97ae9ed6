"""Is the user id that stands for all users whom a namespace lacks known, and no user's id taken for it?"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.callers.kernel.user_ids import meaningless


def asked(folder: Path, mapped: str | None, overflow: str | None = "65534\n") -> int | None:
    ids, over = folder / "uid_map", folder / "overflowuid"
    for path, text in ((ids, mapped), (over, overflow)):
        if text is not None:
            path.write_text(text)
    return meaningless(ids, over)


def test_where_all_ids_are_there_each_means_a_user(tmp_path: Path) -> None:
    assert asked(tmp_path, "         0          0 4294967295\n") is None


def test_ids_may_be_there_in_several_parts(tmp_path: Path) -> None:
    assert asked(tmp_path, "0 100000 65536\n65536 0 4294901759\n") is None


@pytest.mark.parametrize("mapped", ["0 100000 65536\n", "0 1000 1\n", "", "nonsense\n", "0 0 all\n", None])
def test_where_some_are_missing_or_nobody_can_tell_one_id_means_nobody(tmp_path: Path, mapped: str | None) -> None:
    assert asked(tmp_path, mapped) == 65_534


def test_that_id_is_the_one_that_the_machine_has_for_it(tmp_path: Path) -> None:
    assert asked(tmp_path, "0 1000 1\n", "65000\n") == 65_000


@pytest.mark.parametrize("overflow", [None, "", "many\n"])
def test_it_is_the_usual_one_where_the_machine_does_not_say(tmp_path: Path, overflow: str | None) -> None:
    assert asked(tmp_path, "0 1000 1\n", overflow) == 65_534


def test_a_real_namespace_with_one_user_lacks_the_others() -> None:
    program = "from agent.callers.kernel.user_ids import meaningless; print(meaningless())"
    root = Path(__file__).parents[4]
    inside = ["unshare", "--user", "--map-root-user", sys.executable, "-c", program]
    done = subprocess.run(inside, cwd=root, capture_output=True, text=True, check=False, env=os.environ)
    if "unshare" in done.stderr:
        pytest.skip(f"this machine lets nobody make a user namespace: {done.stderr}")
    assert done.stdout == Path("/proc/sys/kernel/overflowuid").read_text()
