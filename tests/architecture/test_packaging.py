"""Is what is installed the agent, the whole agent, and nothing else?"""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    document: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return document


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def canonical(requirement: str) -> str:
    """The name of a requirement, in the one spelling that is compared."""
    found = NAME.match(requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def tracked(*below: str) -> set[str]:
    """The project's files as they would be in a fresh clone, and those that are about to be."""
    listed = ["git", "-c", "safe.directory=*", "ls-files", "--cached", "--others", "--exclude-standard", "--", *below]
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


def test_the_wheel_has_every_file_of_the_package_and_no_other(built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
        about = {name.split("/", 1)[1] for name in wheel.namelist() if ".dist-info/" in name}
    assert inside == tracked("agent")
    assert "agent/py.typed" in inside
    assert about == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_wheel_says_what_it_is(built: Path, project: dict[str, Any]) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        (named,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = wheel.read(named).decode()
        (entry,) = (name for name in wheel.namelist() if name.endswith("/entry_points.txt"))
        commands = wheel.read(entry).decode()
    assert "Name: rolecall\n" in metadata
    assert f"Requires-Python: {project['requires-python']}\n" in metadata
    assert "License-Expression: Apache-2.0\n" in metadata
    assert "rolecall = agent.cli:main" in commands
    version = re.search(r'^__version__ = "([^"]+)"$', (ROOT / "agent/__init__.py").read_text(), re.MULTILINE)
    assert version
    assert f"Version: {version[1]}\n" in metadata


def test_the_source_has_what_docs_install_takes_from_it(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as source:
        inside = {member.name.split("/", 1)[1] for member in source.getmembers()}
    assert tracked("agent", "config", "docs", "systemd") <= inside
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml"} <= inside
    assert not [name for name in inside if name.startswith(("tests/", "bench/", ".venv/")) or name.endswith(".pyc")]


def test_every_direct_dependency_has_a_tested_version(project: dict[str, Any]) -> None:
    pinned = {canonical(line) for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip()}
    direct = {canonical(one) for one in [*project["dependencies"], *project["optional-dependencies"]["dev"]]}
    assert direct - pinned == set()


def test_tested_versions_are_versions_and_nothing_else() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line.strip()]
    wrong = [line for line in lines if not re.fullmatch(r"[a-z0-9._-]+==[0-9][\w.+!-]*(?: ; .+)?", line, re.IGNORECASE)]
    assert wrong == []
