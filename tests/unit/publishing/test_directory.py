import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import PublishingFailed
from agent.publishing import Jwk, Placed
from agent.publishing.directory import DirectoryPublisher
from agent.publishing.discovery import documents

KEY_SET, CONFIGURATION = ".well-known/jwks.json", ".well-known/openid-configuration"
ISSUER = "https://oidc.example.com"
AGE = timedelta(minutes=5)
NOBODY = 65534


def a_key(name: str, *, size: int = 300) -> Jwk:
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": name * size, "e": "AQAB"}


def site(root: Path, **options: timedelta) -> DirectoryPublisher:
    return DirectoryPublisher(root, ISSUER, max_age=AGE, **options)


async def publish(root: Path, *names: str, size: int = 300, withdrawn: Sequence[str] = ()) -> Sequence[Placed]:
    return await site(root).publish([a_key(name, size=size) for name in names], withdrawn)


def files_in(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if not path.is_dir()}


def told(*names: str, size: int = 300) -> dict[str, bytes]:
    keys = [a_key(name, size=size) for name in names]
    return {document.path: document.body for document in documents(ISSUER, keys, max_age=AGE)}


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


async def refused(root: Path, name: str = "b") -> PublishingFailed:
    with pytest.raises(PublishingFailed) as failure:
        await publish(root, name)
    assert failure.value.hint
    return failure.value


# --- what a web server finds


@pytest.mark.usefixtures("masked")
async def test_a_web_server_may_read_what_was_written_under_the_strictest_umask(root: Path) -> None:
    await publish(root, "a")
    assert modes_in(root) == {"site": 0o755, ".well-known": 0o755, "jwks.json": 0o644, "openid-configuration": 0o644}


async def test_nothing_but_the_documents_is_left_in_the_folder(root: Path) -> None:
    await publish(root, "a")
    await publish(root, "b", withdrawn=["a"])
    assert files_in(root) == told("b")


async def test_a_file_that_is_right_already_is_not_touched(root: Path) -> None:
    await publish(root, "a")
    (root / CONFIGURATION).chmod(0o640)
    before = (root / CONFIGURATION).stat()
    await publish(root, "b")
    after = (root / CONFIGURATION).stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_mode) == (before.st_ino, before.st_mtime_ns, before.st_mode)
    assert files_in(root) == told("a", "b")


async def test_a_file_with_more_after_the_right_beginning_is_replaced(root: Path) -> None:
    await publish(root, "a")
    with (root / CONFIGURATION).open("ab") as file:
        file.write(b"\n")
    placed = await publish(root, "a")
    assert [one.state for one in placed] == ["unchanged", "changed"]
    assert files_in(root) == told("a")


async def test_what_became_of_each_document_is_told_with_its_place(root: Path) -> None:
    first, again = await publish(root, "a"), await publish(root, "a")
    assert [(one.where, one.state) for one in first] == [
        (f"{root}/{KEY_SET}", "new"),
        (f"{root}/{CONFIGURATION}", "new"),
    ]
    assert [one.state for one in again] == ["unchanged", "unchanged"]
    assert {one.document.path: one.document.body for one in again} == told("a")
    assert [one.document.max_age for one in again] == [300, 300]


# --- what stands there already


async def test_keys_of_others_stay_to_the_last_member_whoever_put_them_there(root: Path) -> None:
    await publish(root, "a")
    by_hand = [{"kid": "hand", "kty": "OKP", "x-note": ["our CI", None, 1.5]}, dict(a_key("a")), {"kty": "EC"}]
    (root / KEY_SET).write_text(json.dumps({"keys": by_hand}))
    await publish(root, "b", withdrawn=["a"])
    assert json.loads((root / KEY_SET).read_bytes())["keys"] == [by_hand[0], by_hand[2], dict(a_key("b"))]


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"keys": {}}', b'{"keys": ["a"]}', b"\xff", b"[" * 100_000])
async def test_a_file_that_is_no_key_set_is_named_and_not_overwritten(root: Path, body: bytes) -> None:
    await publish(root, "a")
    (root / KEY_SET).write_bytes(body)
    failure = await refused(root)
    assert failure.what == f"{root / KEY_SET} stays as it is: what is published there now is no key set"
    assert files_in(root) == told("a") | {KEY_SET: body}


@pytest.mark.parametrize("value", ["NaN", "1e999", '{"a":' * 16 + "1" + "}" * 16, "[" * 700 + "]" * 700])
async def test_what_could_not_be_written_again_as_it_is_stops_us(root: Path, value: str) -> None:
    body = f'{{"keys": [{{"kid": "x", "odd": {value}}}]}}'.encode()
    (root / ".well-known").mkdir(parents=True)
    (root / KEY_SET).write_bytes(body)
    await refused(root)
    assert files_in(root) == {KEY_SET: body}


async def test_a_file_without_end_is_not_read_to_its_end(root: Path) -> None:
    (root / ".well-known").mkdir(parents=True)
    with (root / KEY_SET).open("wb") as file:
        file.truncate(1 << 40)
    assert (await refused(root)).what.endswith("what is published there now is no key set")


async def test_a_key_set_that_we_may_not_read_is_not_replaced(reachable: Path) -> None:
    await publish(reachable, "a")
    (reachable / KEY_SET).chmod(0)
    (reachable / ".well-known").chmod(0o777)
    reachable.chmod(0o777)
    with as_nobody():
        failure = await refused(reachable)
    assert failure.what.endswith("Permission denied")
    assert files_in(reachable) == told("a")


async def test_the_last_key_is_not_taken_away(root: Path) -> None:
    await publish(root, "a")
    with pytest.raises(PublishingFailed, match="there is no key to show"):
        await publish(root, withdrawn=["a"])
    assert files_in(root) == told("a")


async def test_the_root_may_be_a_link_as_with_releases(root: Path, tmp_path: Path) -> None:
    (tmp_path / "release-5").mkdir()
    link(root, tmp_path / "release-5")
    await publish(root, "a")
    assert files_in(tmp_path / "release-5") == told("a")


# --- what is refused


async def test_a_missing_parent_is_not_made_up(tmp_path: Path) -> None:
    failure = await refused(tmp_path / "typo" / "site")
    assert failure.hint == "create the folder, or correct [publishing] directory"
    assert not (tmp_path / "typo").exists()


async def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"mine")
    await refused(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"mine"


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
    victim.write_bytes(told("b")[name])  # even where what it says would be right
    (root / ".well-known").mkdir(parents=True)
    (root / name).symlink_to(victim)
    failure = await refused(root)
    assert failure.what == f"{root}/{name} is a symbolic link, so it is not replaced"
    assert victim.read_bytes() == told("b")[name]
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
    await publish(root, "a")
    assert victim.read_bytes() == b"precious"
    assert files_in(root) == told("a")


# --- when the file system says no: limits, permissions, full and read-only file systems, all of them real


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others can get to, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


async def test_a_folder_we_may_not_write_keeps_what_it_has(reachable: Path) -> None:
    await publish(reachable, "a")
    (reachable / ".well-known").chmod(0o555)
    with as_nobody():
        failure = await refused(reachable)
    assert failure.what.endswith("Permission denied")
    assert failure.hint == "run this as a user who may write there, or give that user the folder"
    assert files_in(reachable) == told("a")


PUBLISH = """
import asyncio, resource, sys
from datetime import timedelta
from pathlib import Path
from agent.errors import PublishingFailed
from agent.publishing.directory import DirectoryPublisher

root, name, size, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": name * size, "e": "AQAB"}
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    publisher = DirectoryPublisher(root, "https://oidc.example.com", max_age=timedelta(minutes=5))
    asyncio.run(publisher.publish([key], []))
except PublishingFailed as failure:
    sys.exit(f"{failure.what}|{failure.hint}")
"""


def publish_elsewhere(root: Path, name: str, size: int, *, limit: int = 0) -> list[str]:
    return [sys.executable, "-c", PUBLISH, str(root), name, str(size), str(limit)]


async def test_a_write_that_fails_halfway_changes_nothing_and_leaves_no_litter(root: Path) -> None:
    await publish(root, "a")
    command = publish_elsewhere(root, "b", 9000, limit=4096)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip().endswith(
        "File too large|raise the limit on file sizes (ulimit -f); what was published before is still in place"
    )
    assert files_in(root) == told("a")


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
        'mount -t tmpfs -o size=32k none "$1"; shift; "$@" a 300 0; "$@" b 90000 0 && exit 9\n'
        'cd "$4"; find . -type f | sort; cat .well-known/*',
        "sh",
        str(root),
        *publish_elsewhere(root, "", 0)[:4],
    )
    assert "No space left on device|make room on that file system" in done.stderr
    assert done.stdout == f"./{KEY_SET}\n./{CONFIGURATION}\n" + "".join(one.decode() for one in told("a").values())


def test_a_read_only_file_system_is_named_with_what_to_do(root: Path) -> None:
    root.mkdir()
    done = in_a_namespace(
        'mount -t tmpfs none "$1"; "$2" "$3" "$4" "$5" a 300 0; mount -o remount,ro "$1"\n'
        '"$2" "$3" "$4" "$5" b 300 0 && exit 9; cat "$1"/.well-known/*',
        "sh",
        str(root),
        *publish_elsewhere(root, "", 0)[:4],
    )
    assert "Read-only file system|choose another folder; under systemd, name it in ReadWritePaths=" in done.stderr
    assert done.stdout == "".join(one.decode() for one in told("a").values())


# --- crowds and crashes

FOREVER = """
import asyncio, sys
from datetime import timedelta
from pathlib import Path
from agent.publishing.directory import DirectoryPublisher

def key(name):
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": name * 200_000, "e": "AQAB"}

async def main():
    publisher = DirectoryPublisher(Path(sys.argv[1]), "https://oidc.example.com", max_age=timedelta(minutes=5))
    while True:
        await publisher.publish([key("a")], ["b"])
        await publisher.publish([key("b")], ["a"])
        print("round", flush=True)

asyncio.run(main())
"""


async def test_a_reader_never_sees_a_part_of_a_file_while_two_publishers_write(root: Path) -> None:
    await publish(root, "a", size=200_000)

    async def keep_publishing(names: str) -> None:
        for name, other in [(names[0], names[1]), (names[1], names[0])] * 15:
            await publish(root, name, size=200_000, withdrawn=[other])

    writing = asyncio.gather(keep_publishing("ab"), keep_publishing("ba"))
    whole = {name: told(name, size=200_000) for name in ("a", "b")}
    seen = set()
    while not writing.done():
        for path in (KEY_SET, CONFIGURATION):
            body = await asyncio.to_thread((root / path).read_bytes)
            assert body in {whole["a"][path], whole["b"][path]}
            seen.add(body)
    await writing
    assert len(seen) == 3  # either key set, and the one configuration of both
    assert files_in(root) in (whole["a"], whole["b"])


def test_a_publisher_killed_at_any_moment_leaves_whole_files_and_no_lock(root: Path) -> None:
    for milliseconds in range(0, 60, 5):
        command = [sys.executable, "-c", FOREVER, str(root)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()  # it is under way: now strike somewhere in the next rounds
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(milliseconds / 1000)
            process.kill()
        found = files_in(root)
        assert {path: found[path] for path in told("a")} in (told("a", size=200_000), told("b", size=200_000))
    asyncio.run(publish(root, "c", withdrawn=["a", "b"]))
    assert files_in(root) == told("c")  # nor does any litter outlive the next publication


async def test_a_crowd_of_publishers_loses_nobodys_key(root: Path) -> None:
    names = "abcdefghijklmnop"
    await asyncio.gather(*(publish(root, name) for name in names))
    shown = json.loads((root / KEY_SET).read_bytes())["keys"]
    assert sorted(key["kid"] for key in shown) == list(names)
    assert sorted(files_in(root)) == [KEY_SET, CONFIGURATION]


def test_agents_of_one_machine_add_and_withdraw_their_own_keys_alone(root: Path) -> None:
    asyncio.run(publish(root, *(f"old-{number}" for number in range(6))))
    script = PUBLISH.replace("publish([key], [])", "publish([key], ['old-' + name])")
    commands = [[sys.executable, "-c", script, str(root), str(number), "300", "0"] for number in range(5)]
    for process in [subprocess.Popen(command) for command in commands]:
        assert process.wait(30) == 0
    shown = json.loads((root / KEY_SET).read_bytes())["keys"]
    assert {key["kid"] for key in shown} == {"old-5", *"01234"}


async def test_somebody_who_sits_on_the_lock_does_not_hold_us_for_ever(empty: Path) -> None:
    descriptor = os.open(empty, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    impatient = site(empty, patience=timedelta(milliseconds=100))
    try:
        with pytest.raises(PublishingFailed, match="has held the lock"):
            await impatient.publish([a_key("a")], [])
    finally:
        os.close(descriptor)
    await impatient.publish([a_key("a")], [])
    assert files_in(empty) == told("a")


async def test_the_loop_is_free_while_documents_are_written(empty: Path) -> None:
    descriptor = os.open(empty, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    publishing = asyncio.ensure_future(publish(empty, "a"))
    for _ in range(5):
        await asyncio.sleep(0.005)  # were the loop held up, the lock would never be given back
    assert not publishing.done()
    os.close(descriptor)
    await publishing
    assert files_in(empty) == told("a")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes folders for others")
async def test_folders_that_root_makes_are_whose_the_place_is_so_that_the_agent_can_publish_there(
    tmp_path: Path,
) -> None:
    os.chown(tmp_path, NOBODY, NOBODY)
    await site(tmp_path / "site").publish([a_key("one")], ())
    assert {path.stat().st_uid for path in (tmp_path / "site", tmp_path / "site" / ".well-known")} == {NOBODY}
