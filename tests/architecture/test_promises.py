"""Is it true what docs/ARCHITECTURE.md says is always so, where neither ruff nor import-linter sees to it?"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "agent").rglob("*.py"))

#: What tells the time; `loop.time` does so for the listener's own time limits.
CLOCKS = {
    *(f"time.{name}" for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "clock_gettime")),
    *(f"datetime.{name}" for name in ("now", "utcnow", "today")),
    "date.today",
}


def attributes() -> Iterator[tuple[str, str, str]]:
    """Every x.y in the sources: the file, x and y."""
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute):
                yield path.relative_to(ROOT).as_posix(), ast.unparse(node.value), node.attr


def test_clocks_are_read_where_it_says() -> None:
    readers = {file for file, owner, name in attributes() if f"{owner.rpartition('.')[2]}.{name}" in CLOCKS}
    assert readers == {"agent/clock.py", "agent/cli/patience.py"}
    text = (ROOT / "docs/ARCHITECTURE.md").read_text()
    assert "but `clock.py`" in text
    assert "`cli/patience.py`" in text
    assert [file for file, _, name in attributes() if name == "created"] == ["agent/telemetry/log.py"]


def test_whoever_looks_inside_a_secret_is_found_by_the_grep_that_it_names() -> None:
    assert "grep -rn 'reveal()' agent" in (ROOT / "docs/ARCHITECTURE.md").read_text()
    readers = {file for file, _, name in attributes() if name == "reveal"}
    found = {path.relative_to(ROOT).as_posix() for path in FILES if ".reveal()" in path.read_text()}
    assert readers == found
    for path in FILES:
        text = path.read_text()
        assert text.count(".reveal()") == sum(
            isinstance(node, ast.Attribute) and node.attr == "reveal" for node in ast.walk(ast.parse(text))
        ), path


def test_instants_are_spelt_in_one_place() -> None:
    """But for the sandbox, which writes AWS's answers as AWS does, and borrows no words for it."""
    ours = [path for path in FILES if "sandbox" not in path.relative_to(ROOT).parts]
    assert [path.relative_to(ROOT).as_posix() for path in ours if "%Y-%m-%dT" in path.read_text()] == ["agent/clock.py"]
