"""Do the secrets outlive us, and does nothing that we do lose them?"""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from agent.callers.unit_tokens.file import Moment, Saved, SecretsFile
from agent.callers.unit_tokens.generations import Generation, Generations
from agent.errors import KeyUnavailable

NOW = Moment("this boot", 1000.0)
ONE = Saved(Generations(Generation("aa11", b"1" * 32)), NOW)
TWO = Saved(ONE.generations.passed(timedelta(days=30)).followed_by(Generation("bb22", b"2" * 32)), NOW)

needs_another_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "unit-tokens.json"


def refused(file: SecretsFile, saved: Saved | None = None) -> KeyUnavailable:
    with pytest.raises(KeyUnavailable) as error:
        file.read() if saved is None else file.write(saved)
    assert error.value.hint
    return error.value


def test_where_there_is_nothing_yet_nothing_is_read(path: Path) -> None:
    assert SecretsFile(path).read() is None
    assert not path.exists()


@pytest.mark.parametrize("saved", [ONE, TWO])
def test_what_was_written_is_read_again_and_is_for_our_eyes_only(path: Path, saved: Saved) -> None:
    SecretsFile(path).write(saved)
    assert SecretsFile(path).read() == saved
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_it_is_replaced_whole(path: Path) -> None:
    file = SecretsFile(path)
    file.write(ONE)
    with path.open("rb") as before:
        file.write(TWO)
        assert b"bb22" not in before.read()
    assert file.read() == TWO


def test_a_file_that_was_taken_away_is_put_back(path: Path) -> None:
    file = SecretsFile(path)
    file.write(ONE)
    path.unlink()
    file.write(TWO)
    assert SecretsFile(path).read() == TWO


def test_what_somebody_else_has_written_meanwhile_is_left_alone(path: Path) -> None:
    file, other = SecretsFile(path), SecretsFile(path)
    file.write(ONE)
    other.read()
    other.write(TWO)
    assert "somebody else" in refused(file, ONE).what
    assert SecretsFile(path).read() == TWO
    assert file.read() == TWO
    file.write(ONE)
    assert SecretsFile(path).read() == ONE


GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"version": 1}',
    b'{"version": 2, "counted": {"boot": "b", "steady": 1}, "generations": []}',
    b'{"version": 1, "counted": {"boot": "b", "steady": 1}, "generations": []}',
    b'{"version": 1, "counted": {"boot": "b", "steady": NaN}, "generations": []}',
]


@pytest.mark.parametrize("text", GARBAGE)
def test_what_is_not_ours_is_neither_read_nor_written_over(path: Path, text: bytes) -> None:
    path.write_bytes(text)
    path.chmod(0o600)
    file = SecretsFile(path)
    assert "damaged" in refused(file).what
    refused(file, ONE)
    assert path.read_bytes() == text


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=some.data())
def test_a_file_that_was_cut_or_changed_anywhere_is_read_as_something_sound_or_not_at_all(
    path: Path, data: some.DataObject
) -> None:
    path.unlink(missing_ok=True)
    SecretsFile(path).write(TWO)
    text = bytearray(path.read_bytes())
    place = data.draw(some.integers(0, len(text) - 1))
    if data.draw(some.booleans()):
        del text[place:]
    else:
        text[place] = data.draw(some.integers(0, 255))
    path.write_bytes(text)
    read = None
    with suppress(KeyUnavailable):
        read = SecretsFile(path).read()
    if read is not None:
        assert all(len(one.secret) == 32 for one in read.generations.all)
        assert read.generations.newest.superseded is None
        assert all(one.superseded is not None for one in read.generations.earlier)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("secret", "c2hvcnQ="),
        ("secret", "!!!!"),
        ("secret", None),
        ("id", "a.b"),
        ("id", ""),
        ("id", "bb22"),
        ("age", -1),
        ("age", "1"),
        ("age", True),
        ("age", 1e300),
        ("superseded", None),
    ],
)
def test_a_generation_that_nobody_could_have_written_is_refused(path: Path, name: str, value: object) -> None:
    SecretsFile(path).write(TWO)
    text = json.loads(path.read_text())
    text["generations"][1][name] = value
    path.write_text(json.dumps(text))
    assert "damaged" in refused(SecretsFile(path)).what


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_secrets_that_others_may_know_are_refused_with_what_to_do(path: Path, mode: int) -> None:
    SecretsFile(path).write(ONE)
    path.chmod(mode)
    error = refused(SecretsFile(path))
    assert "others may read" in error.what
    assert f"chmod 600 {path}" in error.hint


def test_what_is_no_file_is_refused_and_holds_nobody_up(path: Path, tmp_path: Path) -> None:
    os.mkfifo(path)
    assert "no ordinary file" in refused(SecretsFile(path)).what
    assert "is a directory" in refused(SecretsFile(tmp_path)).what


def test_a_link_that_leads_nowhere_is_not_taken_for_a_first_start(path: Path) -> None:
    path.symlink_to("/no/such/file")
    assert "cannot be read" in refused(SecretsFile(path)).what


def test_a_missing_directory_is_to_be_made(tmp_path: Path) -> None:
    error = refused(SecretsFile(tmp_path / "state" / "unit-tokens.json"), ONE)
    assert f"install -d -m 700 {tmp_path}/state" in error.hint


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for one page."""
    place = tmp_path / "full"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "full", place], check=False).returncode:
        pytest.skip("this machine does not let root mount")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_on_a_full_disk_nothing_is_lost(full: Path) -> None:
    file = SecretsFile(full / "unit-tokens.json")
    file.write(ONE)
    error = refused(file, TWO)
    assert "no space left" in error.what
    assert "make room" in error.hint
    assert SecretsFile(full / "unit-tokens.json").read() == ONE
    assert list(full.iterdir()) == [full / "unit-tokens.json"]
    assert file.read() == ONE


@needs_another_user
def test_what_root_makes_in_the_agents_directory_is_the_agents(tmp_path: Path) -> None:
    os.chown(tmp_path, 65534, 65534)
    path = tmp_path / "unit-tokens.json"
    SecretsFile(path).write(ONE)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)


@needs_another_user
def test_what_our_user_may_not_read_is_left_alone(path: Path) -> None:
    SecretsFile(path).write(ONE)
    path.parent.chmod(0o755)
    pid = os.fork()
    if pid == 0:  # pragma: no cover - another process
        code = 1
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            try:
                SecretsFile(path).read()
            except KeyUnavailable as error:
                code = 0 if "permission denied" in error.what or "others may" in error.what else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_time_is_counted_within_one_run_of_the_machine_alone() -> None:
    assert Moment("a", 150.0).after(Moment("a", 100.0)) == timedelta(seconds=50)
    assert Moment("b", 150.0).after(Moment("a", 100.0)) == timedelta(0)
    assert Moment("a", 50.0).after(Moment("a", 100.0)) == timedelta(0)
