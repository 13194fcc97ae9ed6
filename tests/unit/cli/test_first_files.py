import grp
import json
import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from agent.cli import main
from agent.keys.pem import PemKey
from agent.settings import Directory, Pem, load

ARN = "arn:aws:iam::123456789012:role/backup"
FLAGS = ["--issuer", "https://oidc.example.com", "--region", "eu-central-1", "--role", f"backup={ARN}"]
FLAGS += ["--key-kind", "ec-p256"]
WRITTEN = [
    "cloudformation/123456789012.yaml",
    "nginx/oidc.example.com.conf",
    "rolecall.toml",
    "site/.well-known/jwks.json",
    "site/.well-known/openid-configuration",
    "terraform/123456789012/main.tf",
    "tokens/backup",
]
NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")

#: Once unheard and as root, which imports all that it takes: nobody may not read where we live.
AS_NOBODY = f"""
import contextlib, os, sys, tempfile
from agent.cli import main
with tempfile.TemporaryDirectory() as scrap, open(os.devnull, "w") as unheard:
    with contextlib.redirect_stdout(unheard), contextlib.redirect_stderr(unheard):
        main(["init", "--directory", scrap, *sys.argv[2:], "--state", scrap])
if os.getuid() == 0:
    os.setgroups([]), os.setgid({NOBODY}), os.setuid({NOBODY})
sys.exit(main(["init", "--directory", *sys.argv[1:]]))
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "rolecall"


@pytest.fixture
def open_place() -> Iterator[Path]:
    """A place that other users can go to, which is not so of tmp_path."""
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)


def init(place: Path, *words: str) -> int:
    return main(["init", "--directory", str(place), *FLAGS, *words])


def files_in(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if not path.is_dir())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def owner(path: Path) -> tuple[int, int]:
    return path.stat().st_uid, path.stat().st_gid


def as_it_is(path: Path) -> tuple[int, ...]:
    found = os.lstat(path)
    return (found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


# --- for a service


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with the service's user and group, which here is nobody."""
    monkeypatch.setattr(pwd, "getpwnam", lambda _: pwd.getpwuid(NOBODY))
    monkeypatch.setattr(grp, "getgrnam", lambda _: grp.getgrgid(pwd.getpwuid(NOBODY).pw_gid))


@needs_root
@pytest.mark.usefixtures("user")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_what_a_service_writes_is_its_own_and_the_rest_is_roots(open_place: Path, umask: int) -> None:
    etc, state = open_place / "etc", open_place / "state"
    before = os.umask(umask)
    try:
        assert init(etc, "--service", "--state", str(state)) == 0
    finally:
        os.umask(before)
    (pem,) = (state / "keys").iterdir()
    assert files_in(etc) == [name for name in WRITTEN if not name.startswith("site")]
    assert files_in(state) == [f"keys/{pem.name}", *(name for name in WRITTEN if name.startswith("site"))]
    ours = {path: (owner(path), mode(path)) for path in [state, *state.rglob("*")]}
    group = pwd.getpwuid(NOBODY).pw_gid
    assert {found for found, _ in ours.values()} == {(NOBODY, group)}
    modes = {"": 0o711, "keys": 0o700, f"keys/{pem.name}": 0o600, "site": 0o755, "site/.well-known": 0o755}
    assert {name: ours[state / name][1] for name in modes} == modes
    assert mode(state / "site/.well-known/jwks.json") == 0o644
    theirs = {"": 0o755, "tokens": 0o711, "tokens/backup": 0o640, "rolecall.toml": 0o644}
    assert {name: mode(etc / name) for name in theirs} == theirs
    assert owner(etc / "tokens/backup") == (0, group)
    assert owner(etc / "rolecall.toml") == (0, 0)
    assert (os.geteuid(), os.getegid()) == (0, 0)


@needs_root
@pytest.mark.usefixtures("user")
def test_a_service_finds_its_key_and_the_world_its_public_half(open_place: Path) -> None:
    state = open_place / "state"
    assert init(open_place / "etc", "--service", "--state", str(state)) == 0
    settings = load(open_place / "etc/rolecall.toml", environ={}, host="web-1")
    assert isinstance(settings.key, Pem)
    assert isinstance(settings.publishing, Directory)
    (pem,) = (state / "keys").iterdir()
    assert (settings.key.directory, settings.publishing.directory) == (pem.parent, state / "site")
    shown = json.loads((state / "site/.well-known/jwks.json").read_text())["keys"]
    assert [jwk["kid"] for jwk in shown] == [PemKey.read(pem).public.kid] == [pem.stem]


@needs_root
@pytest.mark.usefixtures("user")
def test_a_place_of_somebody_else_is_not_taken_over(open_place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = open_place / "state"
    state.mkdir()
    assert init(open_place / "etc", "--service", "--state", str(state)) == 1
    told = capsys.readouterr().err
    assert f"{state} does not belong to the agent's user rolecall" in told
    assert f"chown -R rolecall:rolecall {state}; then run it again: nothing was written" in told
    assert list(state.iterdir()) == []


@needs_root
@pytest.mark.usefixtures("user")
def test_no_link_of_the_agents_user_leads_root_elsewhere(open_place: Path, tmp_path: Path) -> None:
    (state := open_place / "state").mkdir()
    os.chown(state, NOBODY, NOBODY)
    (state / "keys").symlink_to(tmp_path)
    assert init(open_place / "etc", "--service", "--state", str(state)) == 1
    assert list(tmp_path.iterdir()) == []
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_where_the_services_user_is_missing_all_is_for_who_runs_it_and_the_rest_is_told(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere(name: str) -> None:
        raise KeyError(name)

    monkeypatch.setattr(pwd, "getpwnam", nowhere)
    assert init(place / "etc", "--service", "--state", str(place / "state")) == 0
    assert mode(place / "etc/tokens/backup") == 0o600
    assert (mode(place / "state"), mode(place / "state/keys")) == (0o711, 0o700)
    told = capsys.readouterr().out
    assert f"chgrp rolecall {place}/etc/tokens/*" in told
    assert f"chown -R rolecall:rolecall {place}/state" in told


# --- what is never overwritten


@pytest.mark.parametrize("name", [*WRITTEN, "keys/old.pem"])
@pytest.mark.parametrize("make", [lambda path: path.write_text("mine"), lambda path: path.symlink_to("nowhere")])
def test_nothing_is_written_where_anything_would_be_overwritten(
    place: Path, name: str, make: Callable[[Path], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (place / name).parent.mkdir(parents=True)
    make(place / name)
    before = as_it_is(place / name)
    assert init(place) == 2
    assert f"{name}; nothing was written" in capsys.readouterr().err
    assert files_in(place) == [name]
    assert as_it_is(place / name) == before


def test_a_key_of_an_earlier_service_is_in_the_way_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "state/keys").mkdir(parents=True)
    (place / "state/keys/old.pem").write_text("mine")
    assert init(place / "etc", "--service", "--state", str(place / "state")) == 2
    assert f"{place}/state/keys/old.pem; nothing was written" in capsys.readouterr().err
    assert files_in(place) == ["state/keys/old.pem"]


def test_a_failure_halfway_says_what_is_there_and_leaves_no_configuration(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place.mkdir()
    (place / "site").write_text("a file where a folder has to be")
    assert init(place) == 1
    told = capsys.readouterr().err
    (pem,) = (place / "keys").iterdir()
    assert "error: this could not be finished: the issuer's documents cannot be written" in told
    generated = "terraform/123456789012/main.tf, cloudformation/123456789012.yaml, nginx/oidc.example.com.conf"
    assert f"run it again: tokens/backup, {generated}, keys/{pem.name}" in told
    assert "rolecall.toml" not in files_in(place)


def test_a_place_that_cannot_be_made_is_one_clear_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("mine")
    assert init(tmp_path / "file" / "rolecall") == 1
    told = capsys.readouterr().err
    assert "Not a directory" in told
    assert "nothing was written" in told


def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
    """Run init as nobody; without root to give up, as ourselves."""
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, *words],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_place_that_one_may_not_look_into_is_one_clear_sentence() -> None:
    with TemporaryDirectory() as folder:
        Path(folder).chmod(0o700 if os.getuid() == 0 else 0)  # whose own folder it is may not enter it either
        done = as_nobody(f"{folder}/rolecall", *FLAGS)
        Path(folder).chmod(0o700)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f"error: nobody can tell what is in {folder}/rolecall/keys: permission denied; nothing was written",
        "hint: choose a place of your own with --directory, or run this as a user who may write there",
    ]


def test_who_is_not_root_is_told_that_a_service_takes_root(open_place: Path) -> None:
    (mine := open_place / "etc").mkdir(mode=0o777)
    mine.chmod(0o777)
    open_place.chmod(0o511)
    done = as_nobody(str(mine), *FLAGS, "--service", "--state", str(open_place / "state"))
    assert done.returncode == 1
    assert f"error: this could not be finished: {open_place}/state: Permission denied" in done.stderr
    assert "hint: run this as root; then run it again: nothing was written" in done.stderr
