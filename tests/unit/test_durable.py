"""Whose is what root makes, and is it on the disk?"""

import os
from pathlib import Path

import pytest

from agent.durable import flush_names, give_as, replace_private, write_private

AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
SOMEBODY = 65534


def made(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


@AS_ROOT
def test_what_root_makes_in_the_directory_of_another_is_the_others(tmp_path: Path) -> None:
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    descriptor = made(tmp_path / "file")
    give_as(descriptor, tmp_path)
    os.close(descriptor)
    facts = (tmp_path / "file").stat()
    assert (facts.st_uid, facts.st_gid) == (SOMEBODY, SOMEBODY)


@AS_ROOT
def test_a_file_that_has_another_name_elsewhere_is_not_given_away(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SOMEBODY, SOMEBODY)
    descriptor = made(tmp_path / "shadow")
    (theirs / "lock").hardlink_to(tmp_path / "shadow")
    give_as(descriptor, theirs)
    os.close(descriptor)
    assert (tmp_path / "shadow").stat().st_uid == 0


def test_in_a_directory_of_ones_own_nothing_changes(tmp_path: Path) -> None:
    descriptor = made(tmp_path / "file")
    give_as(descriptor, tmp_path)
    os.close(descriptor)
    assert (tmp_path / "file").stat().st_uid == os.geteuid()


def test_only_a_directory_has_names_to_flush(tmp_path: Path) -> None:
    flush_names(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        flush_names(tmp_path / "file")


def test_a_new_file_is_for_its_owner_alone_and_known_by_what_it_is(tmp_path: Path) -> None:
    file = tmp_path / "file"
    known = write_private(file, b"a secret")
    there = file.stat()
    assert (there.st_mode & 0o777, file.read_bytes()) == (0o600, b"a secret")
    assert (known.st_ino, known.st_mtime_ns, known.st_size) == (there.st_ino, there.st_mtime_ns, there.st_size)
    with pytest.raises(FileExistsError):
        write_private(file, b"another")
    assert file.read_bytes() == b"a secret"


def test_what_replaces_a_file_is_another_file_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o644)
    with file.open("rb") as reading:
        known = replace_private(file, b"new")
        assert reading.read() == b"old"
    assert (file.read_bytes(), file.stat().st_mode & 0o777, file.stat().st_ino) == (b"new", 0o600, known.st_ino)
    assert [*tmp_path.iterdir()] == [file]


def test_what_cannot_be_replaced_stays_and_no_draft_does(tmp_path: Path) -> None:
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="file"):
        replace_private(tmp_path / "file", b"new")
    assert [*tmp_path.iterdir()] == [tmp_path / "file"]


@AS_ROOT
def test_what_root_writes_in_the_directory_of_another_is_the_others(tmp_path: Path) -> None:
    os.chown(tmp_path, SOMEBODY, SOMEBODY)
    known = replace_private(tmp_path / "file", b"new")
    assert (known.st_uid, known.st_gid) == (SOMEBODY, SOMEBODY)
