"""Will the image be what the Dockerfile promises: small, without tools, without root, and healthy?

There is no container engine in the tests. What a build would copy, install and start is read from the Dockerfile and
tried here, piece by piece.
"""

import ast
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "Dockerfile"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, lines that go on put together, comments left out."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def stages() -> list[list[tuple[str, str]]]:
    found: list[list[tuple[str, str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def last(word: str) -> str:
    return [rest for found, rest in stages()[-1] if found == word][-1]


def every(word: str) -> str:
    return "\n".join(rest for found, rest in stages()[-1] if found == word)


def test_what_is_started_is_a_command_of_ours_with_no_shell_around_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entry, command = json.loads(last("ENTRYPOINT")), json.loads(last("CMD"))
    assert entry == list(project["scripts"])
    verb = subprocess.run([sys.executable, "-m", "agent", command[0], "--help"], cwd=ROOT, check=False)
    assert verb.returncode == 0
    assert command[1:] == ["--config", "/etc/rolecall/rolecall.toml"]
    assert last("STOPSIGNAL") == "SIGTERM"


def test_it_is_nobody_whom_the_host_knows() -> None:
    assert last("USER") == "65532:65532"
    assert "groupadd --system --gid 65532 rolecall" in every("RUN")
    assert "useradd --system --uid 65532 --gid 65532 " in every("RUN")
    after = [word for word, _ in stages()[-1]]
    assert "RUN" not in after[after.index("USER") :]


def test_nothing_that_installs_or_compiles_is_left() -> None:
    assert "pip uninstall" in every("RUN")
    assert "ensurepip" in every("RUN")
    assert not re.search(r"pip install|apt-get|apk |gcc|build-essential|curl|wget", every("RUN"))
    build = "\n".join(rest for word, rest in stages()[0] if word == "RUN")
    assert "venv --without-pip" in build
    assert every("COPY") == "--from=build /opt/rolecall /opt/rolecall"


def test_what_the_build_copies_is_there_and_not_held_back() -> None:
    kept = [line.removeprefix("!") for line in (ROOT / ".dockerignore").read_text().split() if line.startswith("!")]
    copied = [rest.split()[:-1] for word, rest in stages()[0] if word == "COPY"]
    for name in (name for names in copied for name in names):
        assert (ROOT / name).exists(), name
        assert any(fnmatch(name, pattern) for pattern in kept), name
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {metadata["readme"], *metadata["license-files"]} <= {name for names in copied for name in names}


def test_nothing_goes_into_the_build_unless_it_is_named() -> None:
    lines = (ROOT / ".dockerignore").read_text().split()
    assert lines[0] == "*"
    assert {".git", ".venv", "tests"}.isdisjoint(line.removeprefix("!") for line in lines)


def test_the_versions_are_those_that_were_tested() -> None:
    (pip,) = (rest for word, rest in stages()[0] if word == "RUN" and " install" in rest)
    assert "PIP_CONSTRAINT=/src/constraints.txt" in pip
    assert "constraints.txt" in "\n".join(rest for word, rest in stages()[0] if word == "COPY")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    (python,) = (rest.removeprefix("PYTHON=") for word, rest in instructions() if word == "ARG")
    assert tuple(map(int, python.split("-")[0].split("."))) >= tuple(map(int, wanted.removeprefix(">=").split(".")))


# --- the health check


@pytest.fixture
def admin() -> Iterator[tuple[int, list[int]]]:
    """An admin listener's port, and the status that it is to answer with."""
    status = [200]

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status[0] if self.path == "/livez" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port, status
    server.shutdown()
    thread.join()
    server.server_close()


def checked(port: int) -> int:
    words = json.loads(last("HEALTHCHECK").partition(" CMD ")[2])
    assert words[:2] == ["python", "-c"]
    assert "9171" in words[2]
    ast.parse(words[2])
    script = words[2].replace("9171", str(port))
    return subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, timeout=20).returncode


def test_the_health_check_tells_life_from_death(admin: tuple[int, list[int]]) -> None:
    port, status = admin
    assert checked(port) == 0
    status[0] = 503
    assert checked(port) == 1
    assert checked(1) == 1  # nobody listens there


def test_the_health_check_gives_up_before_the_engine_does() -> None:
    options = dict(word.split("=") for word in shlex.split(last("HEALTHCHECK").partition(" CMD ")[0]))
    assert set(options) == {"--interval", "--timeout", "--start-period"}
    seconds = re.search(r"timeout=(\d+)\)", last("HEALTHCHECK").partition(" CMD ")[2])
    assert seconds
    assert int(seconds[1]) < int(options["--timeout"].removesuffix("s"))
