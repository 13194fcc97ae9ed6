import asyncio
import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import PublishingFailed
from agent.publishing import Document
from agent.publishing.directory import DirectoryPublisher

KEY_SET, CONFIGURATION = ".well-known/jwks.json", ".well-known/openid-configuration"
NOBODY = 65534


def the_documents(letter: bytes, *, size: int = 300) -> list[Document]:
    return [Document(path, letter * size, "application/json", 300) for path in (KEY_SET, CONFIGURATION)]


def files_in(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def told(letter: bytes, *, size: int = 300) -> dict[str, bytes]:
    return {KEY_SET: letter * size, CONFIGURATION: letter * size}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "site"


@pytest.fixture
def empty(root: Path) -> Path:
    root.mkdir()
    return root


def modes_in(root: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")]}


def link(at: Path, to: Path) -> None:
    at.parent.mkdir(exist_ok=True)
    at.symlink_to(to)


@pytest.fixture
def masked() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Root may write anywhere, so a test of permissions must not be root."""
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


async def refused(root: Path, letter: bytes = b"b") -> PublishingFailed:
    with pytest.raises(PublishingFailed) as failure:
        await DirectoryPublisher(root).publish(the_documents(letter))
    assert failure.value.hint
    return failure.value


# --- what a web server finds


@pytest.mark.usefixtures("masked")
async def test_a_web_server_may_read_what_was_written_under_the_strictest_umask(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    assert modes_in(root) == {"site": 0o755, ".well-known": 0o755, "jwks.json": 0o644, "openid-configuration": 0o644}


async def test_nothing_but_the_documents_is_left_in_the_folder(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    await DirectoryPublisher(root).publish(the_documents(b"b"))
    assert files_in(root) == told(b"b")


async def test_a_file_that_is_right_already_is_not_touched(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    (root / KEY_SET).chmod(0o640)
    before = (root / KEY_SET).stat()
    changed = [*the_documents(b"a")[:1], *the_documents(b"b")[1:]]
    await DirectoryPublisher(root).publish(changed)
    after = (root / KEY_SET).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert (root / CONFIGURATION).read_bytes() == b"b" * 300


async def test_a_file_with_more_after_the_right_beginning_is_replaced(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a", size=301))
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    assert files_in(root) == told(b"a")


async def test_the_root_may_be_a_link_as_with_releases(root: Path, tmp_path: Path) -> None:
    (tmp_path / "release-5").mkdir()
    link(root, tmp_path / "release-5")
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    assert files_in(tmp_path / "release-5") == told(b"a")


# --- what is refused


async def test_a_missing_parent_is_not_made_up(tmp_path: Path) -> None:
    failure = await refused(tmp_path / "typo" / "site")
    assert failure.hint == "create the folder, or correct [publishing] directory"
    assert not (tmp_path / "typo").exists()


async def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    await refused(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


@pytest.mark.parametrize("path", ["", "/etc/passwd", "../out", "a/../../out", "a//b", "./a", "a/", "a\0b"])
async def test_no_path_leads_out_of_the_root(empty: Path, path: str) -> None:
    with pytest.raises(PublishingFailed):
        await DirectoryPublisher(empty).publish([Document(path, b"x", "application/json", 300)])
    assert files_in(empty.parent) == {}


async def test_a_folder_that_is_a_link_does_not_choose_where_we_write(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    link(root / ".well-known", tmp_path / "elsewhere")
    failure = await refused(root)
    assert failure.what == f"{root}/.well-known is a symbolic link or a file, and has to be a folder"
    assert files_in(tmp_path / "elsewhere") == {}


@pytest.mark.parametrize("name", [KEY_SET, CONFIGURATION])
async def test_a_document_that_is_a_link_is_neither_followed_nor_replaced(
    root: Path, tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"b" * 300)  # even where what it says would be right
    (root / ".well-known").mkdir(parents=True)
    (root / name).symlink_to(victim)
    failure = await refused(root)
    assert failure.what == f"{root}/{name} is a symbolic link, so it is not replaced"
    assert victim.read_bytes() == b"b" * 300
    assert list(files_in(root)) == [name]


@pytest.mark.parametrize("trap", [Path.mkdir, os.mkfifo])
async def test_a_document_that_is_no_file_is_refused_without_waiting_for_it(
    root: Path, trap: Callable[[Path], None]
) -> None:
    (root / ".well-known").mkdir(parents=True)
    trap(root / KEY_SET)
    failure = await refused(root)
    assert failure.what == f"{root}/{KEY_SET} is no plain file, so it is not replaced"


async def test_a_link_laid_where_we_write_first_is_not_followed(root: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (root / ".well-known").mkdir(parents=True)
    (root / ".well-known" / ".jwks.json.new").symlink_to(victim)
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    assert victim.read_bytes() == b"precious"
    assert files_in(root) == told(b"a")


# --- when the file system says no: limits, permissions, full and read-only file systems, all of them real


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others can get to, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


async def test_a_folder_we_may_not_write_keeps_what_it_has(reachable: Path) -> None:
    await DirectoryPublisher(reachable).publish(the_documents(b"a"))
    (reachable / ".well-known").chmod(0o555)
    with as_nobody():
        failure = await refused(reachable)
    assert failure.what.endswith("Permission denied")
    assert failure.hint == "run this as a user who may write there, or give that user the folder"
    assert files_in(reachable) == told(b"a")


PUBLISH = """
import asyncio, resource, sys
from pathlib import Path
from agent.errors import PublishingFailed
from agent.publishing import Document
from agent.publishing.directory import DirectoryPublisher

root, letter, sizes, limit = Path(sys.argv[1]), sys.argv[2].encode(), sys.argv[3].split(","), int(sys.argv[4])
names = (".well-known/jwks.json", ".well-known/openid-configuration")
documents = [Document(n, letter * int(s), "application/json", 300) for n, s in zip(names, sizes, strict=True)]
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    asyncio.run(DirectoryPublisher(root).publish(documents))
except PublishingFailed as failure:
    sys.exit(f"{failure.what}|{failure.hint}")
"""


def publish_elsewhere(root: Path, letter: str, sizes: str, *, limit: int = 0) -> list[str]:
    return [sys.executable, "-c", PUBLISH, str(root), letter, sizes, str(limit)]


async def test_a_write_that_fails_halfway_changes_neither_document_and_leaves_no_litter(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a"))
    # the first document fits, the second does not
    command = publish_elsewhere(root, "b", "300,9000", limit=4096)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "File too large|raise the limit on file sizes (ulimit -f); what was published before is still in place"
    )
    assert files_in(root) == told(b"a")


def in_a_namespace(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script that may mount file systems that nobody else sees."""
    unshare = shutil.which("unshare")
    probe = [unshare or "unshare", "-rm", "sh", "-c", 'mount -t tmpfs none "$0"', tempfile.gettempdir()]
    if unshare is None or subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("needs unshare(1) and user namespaces, to mount a file system of its own")
    command = [unshare, "-rm", "sh", "-ec", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_full_disk_changes_nothing_and_leaves_no_litter(root: Path) -> None:
    root.mkdir()
    done = in_a_namespace(
        'mount -t tmpfs -o size=32k none "$1"; shift; "$@" a 300,300 0; "$@" b 300,90000 0 && exit 9\n'
        'cd "$4"; find . -type f | sort; cat .well-known/*; echo; df --output=used . | tail -1',
        "sh",
        str(root),
        *publish_elsewhere(root, "", "")[:4],
    )
    assert "No space left on device|make room on that file system" in done.stderr
    found, held = done.stdout.split("\n")[:2], done.stdout.split("\n")[2]
    assert found == [f"./{KEY_SET}", f"./{CONFIGURATION}"]
    assert held == "a" * 600


def test_a_read_only_file_system_is_named_with_what_to_do(root: Path) -> None:
    root.mkdir()
    done = in_a_namespace(
        'mount -t tmpfs none "$1"; "$2" "$3" "$4" "$5" a 300,300 0; mount -o remount,ro "$1"\n'
        '"$2" "$3" "$4" "$5" b 300,300 0 && exit 9; cat "$1"/.well-known/*',
        "sh",
        str(root),
        *publish_elsewhere(root, "", "")[:4],
    )
    assert "Read-only file system|choose another folder; under systemd, name it in ReadWritePaths=" in done.stderr
    assert done.stdout == "a" * 600


# --- crowds and crashes

FOREVER = """
import asyncio, sys
from pathlib import Path
from agent.publishing import Document
from agent.publishing.directory import DirectoryPublisher

async def main():
    publisher = DirectoryPublisher(Path(sys.argv[1]))
    while True:
        for letter in (b"a", b"b"):
            await publisher.publish([
                Document(name, letter * 200_000, "application/json", 300)
                for name in (".well-known/jwks.json", ".well-known/openid-configuration")
            ])
        print("round", flush=True)

asyncio.run(main())
"""


def whole(body: bytes) -> bool:
    return body in {b"a" * 200_000, b"b" * 200_000}


async def test_a_reader_never_sees_a_part_of_a_file_while_two_publishers_write(root: Path) -> None:
    await DirectoryPublisher(root).publish(the_documents(b"a", size=200_000))

    async def keep_publishing(letters: list[bytes]) -> None:
        for letter in letters * 15:
            await DirectoryPublisher(root).publish(the_documents(letter, size=200_000))

    writing = asyncio.gather(keep_publishing([b"a", b"b"]), keep_publishing([b"b", b"a"]))
    seen = set()
    while not writing.done():
        for name in (KEY_SET, CONFIGURATION):
            body = await asyncio.to_thread((root / name).read_bytes)
            assert whole(body)
            seen.add(body[:1])
    await writing
    assert seen == {b"a", b"b"}
    assert files_in(root) in (told(b"a", size=200_000), told(b"b", size=200_000))


def test_a_publisher_killed_at_any_moment_leaves_whole_files_and_no_lock(root: Path) -> None:
    for milliseconds in range(0, 60, 5):
        command = [sys.executable, "-c", FOREVER, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is under way: now strike somewhere in the next rounds
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
            process.kill()
        assert whole((root / KEY_SET).read_bytes())
        assert whole((root / CONFIGURATION).read_bytes())
    asyncio.run(DirectoryPublisher(root).publish(the_documents(b"c")))
    assert files_in(root) == told(b"c")  # nor does any litter outlive the next publication


async def test_a_crowd_of_publishers_leaves_documents_that_belong_together(root: Path) -> None:
    crowd = [DirectoryPublisher(root).publish(the_documents(letter.encode())) for letter in "abcdefghijklmnop"]
    await asyncio.gather(*crowd)
    found = files_in(root)
    assert len(found) == 2
    assert found[KEY_SET] == found[CONFIGURATION]


async def test_somebody_who_sits_on_the_lock_does_not_hold_us_for_ever(empty: Path) -> None:
    descriptor = os.open(empty, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    impatient = DirectoryPublisher(empty, patience=timedelta(milliseconds=100))
    try:
        with pytest.raises(PublishingFailed, match="has held the lock"):
            await impatient.publish(the_documents(b"a"))
    finally:
        os.close(descriptor)
    await impatient.publish(the_documents(b"a"))
    assert files_in(empty) == told(b"a")


async def test_the_loop_is_free_while_documents_are_written(empty: Path) -> None:
    descriptor = os.open(empty, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    publishing = asyncio.ensure_future(DirectoryPublisher(empty).publish(the_documents(b"a")))
    for _ in range(5):
        await asyncio.sleep(0.005)  # were the loop held up, the lock would never be given back
    assert not publishing.done()
    os.close(descriptor)
    await publishing
    assert files_in(empty) == told(b"a")
