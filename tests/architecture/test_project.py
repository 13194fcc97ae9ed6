"""Is what the papers say so, and is nothing left for later?"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("agent", "tests", "bench", "config", "systemd", "docs")
READABLE = {".py", ".md", ".toml", ".service", ".socket", ".js", ".json", ".txt", ".html", ".css", ".sh", ".yml", ".tf"}

LATER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "HA" + "CK")) + r")\b")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+\s+(.*)$", re.MULTILINE)
CODE = re.compile(r"```.*?```|~~~.*?~~~", re.DOTALL)


def written() -> list[Path]:
    inside = [path for part in PARTS for path in (ROOT / part).rglob("*") if "node_modules" not in path.parts]
    top = [path for path in ROOT.iterdir() if path.name in {"Makefile", "Dockerfile", "pyproject.toml"}]
    return [path for path in [*inside, *top, *ROOT.glob("*.md")] if path.is_file()]


def papers() -> list[Path]:
    return [path for path in written() if path.suffix == ".md"]


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(paper: Path) -> set[str]:
    """The anchors of a paper's headings, as the usual viewers make them."""
    titles = HEADING.findall(CODE.sub("", paper.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken(paper: Path) -> list[str]:
    found = []
    for target in LINK.findall(CODE.sub("", paper.read_text())):
        if re.match(r"[a-z][a-z0-9+.-]*:", target):
            continue  # another site, or a mail address
        file, _, anchor = target.partition("#")
        meant = (paper.parent / file).resolve() if file else paper
        if not meant.exists() or (anchor and meant.suffix == ".md" and anchor not in anchors(meant)):
            found.append(target)
    return found


def test_nothing_is_left_for_later() -> None:
    readable = [path for path in written() if path.suffix in READABLE or not path.suffix]
    left = [
        f"{name(path)}:{number}: {line.strip()}"
        for path in readable
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if LATER.search(line)
    ]
    assert left == []


@pytest.mark.parametrize("paper", papers(), ids=name)
def test_every_link_leads_somewhere(paper: Path) -> None:
    assert broken(paper) == []


@pytest.fixture
def readme() -> str:
    path = ROOT / "README.md"
    if not path.exists():
        pytest.skip("there is no README yet")
    return path.read_text()


def test_the_verbs_that_the_readme_names_exist(readme: str) -> None:
    in_code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", readme, re.DOTALL))
    named = set(re.findall(r"(?:^|[`\s/(])rolecall (?:-c \S+ )?([a-z]+)", in_code))
    assert named
    assert {verb for verb in named if not (ROOT / "agent" / "cli" / f"{verb}.py").exists()} == set()


def test_the_files_that_the_readme_names_exist(readme: str) -> None:
    named = re.findall(r"`((?:agent|bench|config|docs|systemd|tests)/[\w./-]*)`", readme)
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_what_the_readme_makes_can_be_made(readme: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`|\$ )make ([a-z]+)", readme, re.MULTILINE))
    assert {"demo", "test"} <= named <= targets
