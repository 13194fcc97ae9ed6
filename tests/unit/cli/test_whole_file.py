import os
from pathlib import Path

import pytest

from agent.cli.whole_file import Belonging, write_whole


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_new_file_has_the_mode_that_was_asked_for_whatever_the_umask_is(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        write_whole(tmp_path / "exact", "text", Belonging(0o640))
        write_whole(tmp_path / "usual", "text", Belonging(0o644, exact=False))
    finally:
        os.umask(before)
    assert [(mode(path), path.read_text()) for path in sorted(tmp_path.iterdir())] == [(0o640, "text"), (0o600, "text")]


def test_what_is_there_stays_as_it_is_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(FileExistsError) as caught:
        write_whole(path, "new", Belonging(0o600))
    assert (caught.value.filename, caught.value.filename2) == (str(path), None)
    assert path.read_text() == "old"
    with path.open() as reader:
        write_whole(path, "new", Belonging(0o600), replace=True)
        assert reader.read() == "old"  # whoever had it open has all of the one before
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]  # noqa: PTH208 - names are what is wanted


def test_what_a_killed_one_left_is_in_nobody_s_way(tmp_path: Path) -> None:
    (tmp_path / ".file.new").write_text("half")
    write_whole(tmp_path / "file", "whole", Belonging(0o600))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"file": "whole"}


def test_nobody_can_lead_the_draft_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / ".file.new").symlink_to(tmp_path / "precious")
    write_whole(tmp_path / "file", "new", Belonging(0o600))
    assert (tmp_path / "precious").read_text() == "precious"


def test_where_there_is_no_folder_the_file_is_named_and_not_the_draft(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught:
        write_whole(tmp_path / "none" / "file", "new", Belonging(0o600))
    assert caught.value.filename == str(tmp_path / "none" / "file")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_it_is_given_to_whom_it_is_for(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", "text", Belonging(0o640, uid=65534, gid=65533))
    facts = (tmp_path / "file").stat()
    assert (facts.st_uid, facts.st_gid) == (65534, 65533)
