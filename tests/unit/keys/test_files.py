import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys.files import names_in, read_small, remove, write_new

NOBODY = 65534


def test_a_new_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_new(tmp_path / "key", b"key")
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_nothing_is_ever_overwritten_not_even_a_dangling_link(tmp_path: Path) -> None:
    write_new(tmp_path / "key", b"first")
    (tmp_path / "link").symlink_to("nowhere")

    for name in ("key", "link"):
        with pytest.raises(ConfigurationError, match="exists already, and a key is never overwritten"):
            write_new(tmp_path / name, b"second")

    assert (tmp_path / "key").read_bytes() == b"first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key", "link"]


def test_of_many_who_write_the_same_file_one_wins(tmp_path: Path) -> None:
    def attempt(number: int) -> bool:
        try:
            write_new(tmp_path / "key", b"%d" % number)
        except ConfigurationError:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(attempt, range(40))) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_what_root_writes_belongs_to_whom_the_directory_does(tmp_path: Path) -> None:
    os.chown(tmp_path, NOBODY, 0)
    write_new(tmp_path / "key", b"key")

    found = (tmp_path / "key").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (NOBODY, 0, 0o600)


def test_a_directory_that_is_missing_is_named_with_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable) as caught:
        write_new(tmp_path / "a b" / "key", b"key")

    assert caught.value.what.endswith("/a b/key cannot be written: No such file or directory")
    assert caught.value.hint == f"make the directory: mkdir -p -m 700 '{tmp_path}/a b'"


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"12345")

    assert read_small(tmp_path / "key", 5) == b"12345"
    with pytest.raises(KeyUnavailable, match="larger than 4 bytes"):
        read_small(tmp_path / "key", 4)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")

    for name, sentence in [
        ("pipe", "is no ordinary file"),
        (".", "is no ordinary file"),
        ("missing", "does not exist"),
        ("pipe/key", "does not exist"),
        ("nul\0", "does not exist"),
        ("loop", "cannot be read: Too many levels of symbolic links"),
    ]:
        with pytest.raises(KeyUnavailable, match=sentence):
            read_small(tmp_path / name, 100)


def test_files_are_named_in_order_and_by_their_ending(tmp_path: Path) -> None:
    for name in ("b.tss", "a.tss", "a.pem", "ring.json", ".a.tss.0123456789abcdef", ".hidden.tss"):
        (tmp_path / name).touch()

    assert names_in(tmp_path, ".tss") == ["a.tss", "b.tss"]
    with pytest.raises(KeyUnavailable, match="cannot be read: No such file or directory") as caught:
        names_in(tmp_path / "missing", ".tss")
    assert caught.value.hint.endswith(f"mkdir -p -m 700 {tmp_path}/missing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user, and may read everything itself")
def test_who_may_not_look_into_a_directory_is_told_who_may(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(KeyUnavailable, match="cannot be read: Permission denied") as caught:
            names_in(tmp_path, ".pem")
    finally:
        os.seteuid(0)
    assert caught.value.hint == "run this as the user that the agent runs as, or as root"


def test_what_is_removed_is_gone_and_may_be_gone_before(tmp_path: Path) -> None:
    (tmp_path / "key").touch()

    remove(tmp_path / "key")
    remove(tmp_path / "key")
    remove(tmp_path / "missing" / "key")

    assert not list(tmp_path.iterdir())


def test_what_cannot_be_removed_is_named(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()

    with pytest.raises(KeyUnavailable, match="key cannot be removed: Is a directory"):
        remove(tmp_path / "key")
