"""Whose is what root makes, and is it on the disk?"""

import os
from pathlib import Path

import pytest

from agent.durable import flush_names, give_as

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
