"""Does make know when its environment has to be made anew?"""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make")


def would_do(clone: Path, made_for: str) -> str:
    """What `make demo` would do in a clone with an environment that is complete and was made for some path."""
    clone.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, clone)
    (clone / ".venv" / "bin").mkdir(parents=True)
    (clone / ".venv" / "pyvenv.cfg").write_text(f"home = /usr/bin\n{made_for}")
    for made in ("bin/python", "runtime.stamp", "dev.stamp"):
        (clone / ".venv" / made).touch()
    assert MAKE
    done = subprocess.run([MAKE, "-n", "demo"], cwd=clone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(MAKE is None, reason="there is no make")
@pytest.mark.parametrize(
    ("made_for", "anew"),
    [
        ("command = /usr/bin/python3 -m venv {here}/.venv\n", False),
        ("command = /usr/bin/python3 -m venv /elsewhere/.venv\n", True),
        ("command = /usr/bin/python3 -m venv {here}-before/.venv\n", True),
        ("", False),  # made by another tool, which does not say
    ],
)
def test_the_environment_of_a_moved_clone_is_made_anew(tmp_path: Path, made_for: str, *, anew: bool) -> None:
    clone = tmp_path / "clone"
    done = would_do(clone, made_for.format(here=clone)).splitlines()
    steps = ["rm -rf .venv", "-m venv .venv", "pip install", "rolecall demo"]
    found = [[at for at, line in enumerate(done) if step in line] for step in steps]
    assert [bool(at) for at in found] == [anew, anew, anew, True]
    assert [at[0] for at in found if at] == sorted(at[0] for at in found if at)
