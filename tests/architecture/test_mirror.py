"""Does every source file have its test file, and every test file its source?"""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "tests" / "unit"

#: What is tested elsewhere, by name, and where.
EXCEPTIONS = {
    "agent/keys/__init__.py": "a door: tests/contracts/test_signing_key.py",
    "agent/credentials/__init__.py": "a door: tests/unit/test_sessions.py uses all of it",
    "agent/callers/__init__.py": "a door: tests/contracts/test_attestor.py and tests/properties/test_grants.py",
    "agent/publishing/__init__.py": "a door: tests/contracts/test_publisher.py",
}

#: Test files whose source is no Python: what they test.
STRAYS = {
    "infrastructure/test_fleet_page.py": "the arithmetic of docs/fleet.md",
    "settings/test_sample.py": "config/rolecall.toml and the reference of settings",
    "telemetry/test_alerts.py": "the alerting rules",
}


def is_empty(path: Path) -> bool:
    """Whether nothing can go wrong in it: no function, no class."""
    return not any(line.lstrip().startswith(("def ", "async def ", "class ")) for line in path.read_text().splitlines())


def homes_of_tests(source: Path) -> list[Path]:
    """Where the tests of a source file may stand; those of a package beside it, or inside."""
    folder = UNIT / source.relative_to(ROOT / "agent").parent
    if source.name == "__init__.py":
        return [folder / "test_init.py", folder / f"test_{folder.name}.py", folder.parent / f"test_{folder.name}.py"]
    return [folder / f"test_{source.stem}.py"]


SOURCES = [path for path in sorted((ROOT / "agent").rglob("*.py")) if not is_empty(path)]
TESTED = sorted(UNIT.rglob("test_*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_source_file_has_its_test_file_or_a_reason_why_not(source: Path) -> None:
    wanted = homes_of_tests(source)
    excepted = source.relative_to(ROOT).as_posix() in EXCEPTIONS
    assert any(path.exists() for path in wanted) != excepted, f"write {wanted[0].relative_to(ROOT)}"


@pytest.mark.parametrize("test", TESTED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_test_file_has_its_source_file(test: Path) -> None:
    """A file may have several test files: those of `log.py` are `test_log.py`, `test_log_….py`."""
    inside = test.relative_to(UNIT)
    if inside.as_posix() in STRAYS:
        return
    folder = (ROOT / "tests" if inside.parts[0] == "fakes" else ROOT / "agent") / inside.parent
    words = test.stem.removeprefix("test_").split("_")
    stems = {"_".join(words[:count]) for count in range(1, len(words) + 1)}
    found = any((folder / f"{stem}.py").exists() or (folder / stem / "__init__.py").exists() for stem in stems)
    assert found or {"init", folder.name} & stems, f"{inside} tests nothing in {folder.relative_to(ROOT)}"


def test_every_exception_is_still_there_and_needed() -> None:
    """One for a file with nothing in it, or for a file that has its tests, is none."""
    sources = {path.relative_to(ROOT).as_posix() for path in SOURCES}
    assert [name for name in EXCEPTIONS if name not in sources] == []
    assert [name for name in STRAYS if not (UNIT / name).exists()] == []
