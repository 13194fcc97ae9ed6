import errno
import fcntl
import grp
import os
import resource
import signal
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.outputs.replacing import Edit, Place, replace, stamp

ROOT = os.geteuid() == 0
needs_root = pytest.mark.skipif(not ROOT, reason="only root can be two users")


def put(content: bytes, *, shared: bool = False) -> Edit:
    return lambda _: (content, shared)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "credentials"


def refused(place: Place, edit: Edit | None = None, **how: float) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as error:
        replace(place, edit or put(b"new"), **how)
    assert str(place.path) in error.value.what
    assert error.value.hint
    return error.value


def test_a_new_file_is_for_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        replace(Place(path), put(b"secret"))
    finally:
        os.umask(before)
    assert (path.read_bytes(), mode(path)) == (b"secret", 0o600)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("bad", [0o644, 0o660, 0o601, 0o700, 0o4600, 0o040, 0o777, -1])
def test_a_mode_that_shows_a_secret_to_all_is_refused(path: Path, bad: int) -> None:
    with pytest.raises(ConfigurationError, match="holds a secret"):
        Place(path, bad)


@pytest.mark.parametrize("good", [0o600, 0o640, 0o400, 0o440])
def test_the_mode_is_as_asked_for(path: Path, good: int) -> None:
    place = Place(path, good)
    replace(place, put(b"one"))
    replace(place, put(b"two"))
    assert (path.read_bytes(), mode(path)) == (b"two", good)


def test_an_edit_sees_what_is_there_and_no_file_is_made_for_nothing(path: Path) -> None:
    seen: list[bytes | None] = []

    def edit(content: bytes | None) -> tuple[bytes, bool]:
        seen.append(content)
        return content or b"", False

    assert replace(Place(path), edit) is None
    path.write_bytes(b"there")
    path.chmod(0o600)
    assert replace(Place(path), edit) == stamp(Place(path))
    assert seen == [None, b"there"]


def test_what_is_right_is_not_touched(path: Path) -> None:
    place = Place(path)
    first = replace(place, put(b"same"))
    assert replace(place, put(b"same")) == first
    assert replace(place, put(b"other")) != first


def test_what_was_opened_to_others_is_closed_again(path: Path) -> None:
    place = Place(path)
    replace(place, put(b"same"))
    path.chmod(0o644)
    replace(place, put(b"same"))
    assert mode(path) == 0o600


def test_a_file_with_others_secrets_becomes_no_more_open(path: Path) -> None:
    path.write_bytes(b"theirs")
    path.chmod(0o600)
    replace(Place(path, 0o640), put(b"both", shared=True))
    assert mode(path) == 0o600
    replace(Place(path, 0o640), put(b"ours"))
    assert mode(path) == 0o640


def test_readers_of_the_old_file_go_on_reading_the_old_one(path: Path) -> None:
    replace(Place(path), put(b"old"))
    with path.open("rb") as reader:
        replace(Place(path), put(b"new"))
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("what", ["file", "nowhere"])
def test_a_link_is_not_followed_and_not_replaced(path: Path, tmp_path: Path, what: str) -> None:
    target = tmp_path / "elsewhere"
    if what == "file":
        target.write_bytes(b"precious")
    path.symlink_to(target)
    assert "symbolic link" in refused(Place(path)).what
    assert path.is_symlink()
    assert target.exists() == (what == "file")


def test_a_directory_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "symbolic link" in refused(Place(tmp_path / "link" / "file")).what
    assert not any((tmp_path / "real").iterdir())


def test_a_draft_that_somebody_has_made_a_link_is_not_written_through(path: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".{path.name}.rolecall").symlink_to(victim)
    replace(Place(path), put(b"secret"))
    assert (victim.read_bytes(), path.read_bytes()) == (b"precious", b"secret")


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_left_alone(path: Path, make: object) -> None:
    assert callable(make)
    make(path)
    assert "no ordinary file" in refused(Place(path)).what


def test_what_is_too_large_to_be_ours_is_left_alone(path: Path) -> None:
    path.write_bytes(b"x" * (1 << 20))
    replace(Place(path), put(b"x" * (1 << 20)))
    path.write_bytes(b"x" * ((1 << 20) + 1))
    assert "larger" in refused(Place(path)).what


def test_a_directory_where_everybody_may_write_is_refused_unless_it_is_sticky(path: Path) -> None:
    path.parent.chmod(0o777)
    assert "everybody" in refused(Place(path)).what
    path.parent.chmod(0o1777)
    replace(Place(path), put(b"new"))


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert "no such file or directory" in refused(Place(tmp_path / "no" / "file")).what


def test_another_writer_is_waited_for(path: Path) -> None:
    holder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    freed = threading.Event()

    def free() -> None:
        freed.set()
        os.close(holder)

    threading.Timer(0.2, free).start()
    replace(Place(path), put(b"new"), patience=30)
    assert freed.is_set()
    assert path.read_bytes() == b"new"


def test_who_holds_the_lock_for_ever_keeps_nothing_from_being_replaced(path: Path) -> None:
    replace(Place(path), put(b"old"))
    holder = os.open(path.parent, os.O_RDONLY)  # all that it takes is the right to read the directory
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        replace(Place(path), put(b"new"), patience=0.1)
        assert path.read_bytes() == b"new"
    finally:
        os.close(holder)


def test_writers_that_come_together_lose_none_of_their_changes(path: Path) -> None:
    def add(line: bytes) -> None:
        replace(Place(path), lambda old: ((old or b"") + line, True))

    lines = [b"%d\n" % number for number in range(40)]
    threads = [threading.Thread(target=add, args=(line,)) for line in lines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path.read_bytes().splitlines(keepends=True)) == sorted(lines)


@contextmanager
def no_room() -> Iterator[None]:
    """As on a full disk: no file may grow beyond a few bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)


def test_where_there_is_no_room_the_old_file_stays_whole_and_nothing_else_is_left(path: Path) -> None:
    replace(Place(path), put(b"old, and longer than there is room for"))
    with no_room():
        error = refused(Place(path), put(b"new, and longer as well"))
    assert isinstance(error.__cause__, OSError)
    assert error.__cause__.errno == errno.EFBIG
    assert path.read_bytes().startswith(b"old")
    assert list(path.parent.iterdir()) == [path]


def test_an_edit_that_refuses_leaves_all_as_it_is(path: Path) -> None:
    path.write_bytes(b"precious")

    def edit(_: bytes | None) -> tuple[bytes, bool]:
        raise ConfigurationError(f"{path} stays", hint="so")

    refused(Place(path), edit)
    assert path.read_bytes() == b"precious"


def test_a_group_that_does_not_exist_is_named(path: Path) -> None:
    assert "no group nosuchgroup" in refused(Place(path, 0o640, "nosuchgroup")).what
    assert not path.exists()


@needs_root
def test_the_group_is_as_asked_for_by_name_or_number(path: Path) -> None:
    nobody = grp.getgrgid(65534)
    replace(Place(path, 0o640, nobody.gr_name), put(b"one"))
    assert path.stat().st_gid == 65534
    replace(Place(path, 0o640, "1"), put(b"two"))
    assert (path.stat().st_gid, mode(path)) == (1, 0o640)


@needs_root
def test_root_leaves_a_file_to_whom_it_belongs_and_gives_a_new_one_to_whose_directory_it_is(path: Path) -> None:
    os.chown(path.parent, 65534, 65534)
    replace(Place(path), put(b"one"))
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    os.chown(path, 1, 2)
    replace(Place(path), put(b"two"))
    assert (path.stat().st_uid, path.stat().st_gid) == (1, 2)


@contextmanager
def as_nobody() -> Iterator[None]:
    os.setegid(65534)
    groups = os.getgroups()
    os.setgroups([])
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@needs_root
def test_a_file_of_another_user_is_not_taken_from_him(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    theirs = home / "credentials"
    theirs.write_bytes(b"theirs")
    theirs.chmod(0o644)
    closed = home / "closed"
    closed.write_bytes(b"theirs")
    closed.chmod(0o600)
    parents = [parent for parent in tmp_path.parents if not parent.stat().st_mode & stat.S_IXOTH]
    modes = [(parent, mode(parent)) for parent in parents]
    for parent, was in modes:
        parent.chmod(was | stat.S_IXOTH)
    try:
        with as_nobody():
            assert "belongs to uid 0" in refused(Place(theirs)).what
            assert "may not be read" in refused(Place(closed)).what
            assert "not in group 1" in refused(Place(home / "new", 0o640, "1")).what
            mine = Place(home / "mine", 0o640)
            replace(mine, put(b"mine"))
        os.chown(mine.path, 65534, 1)
        with as_nobody():
            replace(mine, put(b"next"))
        assert (mine.path.stat().st_gid, mode(mine.path)) == (65534, 0o600)
        home.chmod(0o555)
        with as_nobody():
            assert "permission denied" in refused(mine, put(b"more")).what
    finally:
        for parent, was in modes:
            parent.chmod(was)


def test_what_cannot_be_seen_has_no_stamp(tmp_path: Path) -> None:
    assert stamp(Place(tmp_path / "no" / "file")) is None
