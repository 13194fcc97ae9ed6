"""The file of the ring: whole or not at all, one writer at a time, and never believed when damaged."""

import copy
import json
import os
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.errors import KeyUnavailable
from agent.jose import thumbprint
from agent.keys import Algorithm, PublicKey
from agent.ring import Forgotten, Held, Member, Order, Ring, State
from agent.ring_file import Moment, RingFile, Saved
from tests.fakes.memory_key import MemoryKey

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOW = Moment(START, "boot-1", 1234.5)
KEYS = [MemoryKey().public for _ in range(4)]
NOBODY = 65534


def member(key: PublicKey, state: State = "signing", **how: Any) -> Member:
    return Member(key, Held("pem", f"{key.kid}.pem", ours=True), state, START, **how)


def saved(*members: Member, ordered: Order | None = None) -> Saved:
    forgotten = (Forgotten(KEYS[3].kid, Held("pem", "old.pem", ours=True), shown=True),)
    return Saved(Ring(members or (member(KEYS[0]),), forgotten, ordered), NOW, NOW)


RICH = saved(
    member(KEYS[0], "retired", counted=timedelta(hours=1), seen=True),
    member(KEYS[1], "signing", counted=timedelta(days=3), seen=True, longest=timedelta(hours=24)),
    member(KEYS[2], "announced"),
    ordered="rotate",
)


@pytest.fixture
def file(tmp_path: Path) -> RingFile:
    return RingFile(tmp_path)


def test_where_there_is_no_ring_yet_none_is_read(file: RingFile) -> None:
    assert file.read() is None
    assert file.version() is None


def test_a_ring_from_before_tokens_could_be_long_is_read(file: RingFile) -> None:
    file.write(RICH)
    written = json.loads(file.path.read_text())
    for key in written["keys"]:
        del key["longest"]
    file.path.write_text(json.dumps(written))
    found = file.read()
    assert found is not None
    assert {member.longest for member in found.ring.members} == {timedelta(hours=1)}


moments = some.builds(
    Moment,
    some.datetimes(datetime(1970, 1, 1), datetime(9999, 1, 1), timezones=some.just(UTC)).map(  # noqa: DTZ001 - it says
        lambda moment: moment.replace(microsecond=0)
    ),
    some.text(max_size=40).filter(lambda text: text.isprintable()),
    some.floats(0, 1e9),
)
spans = some.timedeltas(timedelta(0), timedelta(days=10_000))
helds = some.builds(Held, some.text(max_size=10), some.text(max_size=10), some.booleans())


@given(
    some.integers(0, 3),
    some.lists(some.tuples(helds, moments, spans, some.booleans()), min_size=4, max_size=4),
    some.booleans(),
    moments,
    some.none() | moments,
    some.sampled_from([None, "rotate", "emergency"]),
)
def test_what_is_written_is_read(
    retired: int,
    parts: list[tuple[Held, Moment, timedelta, bool]],
    announced: bool,  # noqa: FBT001 - a draw
    at: Moment,
    looked: Moment | None,
    ordered: Order | None,
) -> None:
    states: list[State] = [*["retired"] * retired, "signing"]  # type: ignore[list-item]  # each is one
    if announced and len(states) < 4:
        states.append("announced")
    members = tuple(
        Member(key, held, state, moment.wall, span, seen)
        for key, state, (held, moment, span, seen) in zip(KEYS, states, parts, strict=False)
    )
    forgotten = (Forgotten("gone", None, shown=True), Forgotten("kept", Held("a", "b", ours=True), shown=False))
    whole = Saved(Ring(members, forgotten, ordered), at, looked)
    with tempfile.TemporaryDirectory() as home:
        RingFile(Path(home)).write(whole)
        assert RingFile(Path(home)).read() == whole


def test_the_file_is_for_its_owner_alone_and_nothing_lies_beside_it(file: RingFile) -> None:
    file.write(RICH)
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600
    assert [path.name for path in file.path.parent.iterdir()] == ["ring.json"]


def test_each_writing_has_a_version_of_its_own(file: RingFile) -> None:
    versions = set()
    for count in range(50):
        file.write(saved(member(KEYS[0], counted=timedelta(seconds=count + 10))))
        versions.add(file.version())
    assert len(versions) == 50


# --- damage


def refuses(file: RingFile) -> str:
    before = file.path.read_bytes() if file.path.is_file() else b""
    with pytest.raises(KeyUnavailable) as raised:
        file.read()
    assert raised.value.hint
    assert str(file.path.parent) in raised.value.what
    if file.path.is_file():
        assert file.path.read_bytes() == before
    return raised.value.what


def test_a_ring_that_was_cut_off_anywhere_is_refused(file: RingFile) -> None:
    file.write(RICH)
    whole = file.path.read_bytes()
    for length in range(len(whole)):
        file.path.write_bytes(whole[:length])
        assert "is damaged" in refuses(file)


Spoil = Callable[[dict[str, Any]], object]


def put(*path: str | int, value: object) -> Spoil:
    def spoil(ring: dict[str, Any]) -> None:
        there: Any = ring
        for step in path[:-1]:
            there = there[step]
        there[path[-1]] = value

    return spoil


DAMAGE: dict[str, Spoil] = {
    "unknown version": put("version", value=2),
    "no version": lambda ring: ring.pop("version"),
    "an order that is none": put("ordered", value="stop"),
    "two that sign": put("keys", 0, "state", value="signing"),
    "none that signs": put("keys", 1, "state", value="retired"),
    "no keys": put("keys", value=[]),
    "keys that are no list": put("keys", value=5),
    "a state that is none": put("keys", 0, "state", value="asleep"),
    "a state that is a list": put("keys", 0, "state", value=["signing"]),
    "a kid that is not the thumbprint": put("keys", 1, "kid", value=KEYS[3].kid),
    "a key changed under its kid": put("keys", 1, "jwk", "x", value=KEYS[3].jwk["x"]),
    "a key twice": lambda ring: ring["keys"][0].update(jwk=ring["keys"][1]["jwk"], kid=ring["keys"][1]["kid"]),
    "a member forgotten as well": put("forgotten", 0, "kid", value=KEYS[1].kid),
    "one to destroy that is not ours": put("forgotten", 0, "held", "ours", value=False),
    "an algorithm that is none": put("keys", 1, "algorithm", value="none"),
    "a kind of key that is none": put("keys", 1, "jwk", "kty", value="oct"),
    "no key": put("keys", 1, "jwk", value={}),
    "NaN counted": put("keys", 0, "counted", value=float("nan")),
    "endless counted": put("keys", 0, "counted", value=float("inf")),
    "an algorithm of another kind of key": put("keys", 0, "algorithm", value="RS256"),
    "an algorithm of another curve": put("keys", 0, "algorithm", value="ES384"),
    "too much counted": put("keys", 0, "counted", value=1e300),
    "so much counted that a second more is too much": put("keys", 0, "counted", value=86_399_999_999_999),
    "far too much counted": put("keys", 0, "counted", value=10**400),
    "negative counted": put("keys", 0, "counted", value=-1),
    "words counted": put("keys", 0, "counted", value="5"),
    "yes counted": put("keys", 0, "counted", value=True),
    "seen is a word": put("keys", 0, "seen", value="false"),
    "ours is a word": put("keys", 0, "held", "ours", value="no"),
    "a name that is a number": put("keys", 0, "held", "name", value=7),
    "no place": put("keys", 0, "held", value=None),
    "a time that is none": put("keys", 0, "since", value="yesterday"),
    "written never": put("written", value=None),
    "steady is NaN": put("written", "steady", value=float("nan")),
    "steady is below zero": put("written", "steady", value=-1e18),
    "steady is endless": put("looked", "steady", value=float("-inf")),
    "boot is a number": put("looked", "boot", value=1),
    "looked is no": put("looked", value=False),
    "looked is empty": put("looked", value={}),
    "forgotten is a word": put("forgotten", value="none"),
    "shown is a number": put("forgotten", 0, "shown", value=2),
}


@pytest.mark.parametrize("spoil", DAMAGE.values(), ids=list(DAMAGE))
def test_a_ring_that_no_step_leads_to_is_refused(file: RingFile, spoil: Spoil) -> None:
    file.write(RICH)
    ring = json.loads(file.path.read_text())
    sound = copy.deepcopy(ring)
    spoil(ring)
    assert ring != sound
    file.path.write_text(json.dumps(ring))
    assert "is damaged" in refuses(file)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"5", b'"ring"', b"\xff\xfe", b"[" * 200_000, b"{}" + b" " * 2_000_000 + b"x", b"\0" * 500],
    ids=["empty", "null", "list", "number", "word", "no text", "deep", "huge", "zeros"],
)
def test_what_is_no_ring_at_all_is_refused(file: RingFile, content: bytes) -> None:
    file.path.write_bytes(content)
    assert "is damaged" in refuses(file)


def test_a_directory_in_its_place_is_refused_and_stays(file: RingFile) -> None:
    file.path.mkdir()
    (file.path / "of somebody").touch()
    assert "cannot be read: is a directory" in refuses(file)
    with pytest.raises(KeyUnavailable, match="cannot be written"):
        file.write(RICH)
    assert [path.name for path in file.path.parent.iterdir()] == ["ring.json"]


@pytest.mark.parametrize("there", [True, False])
def test_a_link_in_its_place_is_refused_even_one_that_leads_nowhere(
    file: RingFile,
    there: bool,  # noqa: FBT001 - a case
) -> None:
    target = file.path.parent / "elsewhere"
    if there:
        file.write(RICH)
        file.path.rename(target)
    file.path.symlink_to(target)
    assert file.version() is not None
    assert "cannot be read" in refuses(file)


def test_a_pipe_in_its_place_holds_nobody_up(file: RingFile) -> None:
    os.mkfifo(file.path)
    assert "is damaged" in refuses(file)


# --- other users, other processes


def in_child(work: Callable[[], object], *, uid: int = 0) -> str:
    """Do this in a process of its own, as another user; what it said, or what it raised of ours."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if uid:
                os.setgroups([])
                os.setgid(uid)
                os.setuid(uid)
            said = str(work())
        except KeyUnavailable as error:
            said = f"{error.what} / {error.hint}"
        except BaseException as error:  # noqa: BLE001 - the parent sees it
            said = f"traceback: {error!r}"
        os.write(writer, said.encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        said = told.read()
    os.waitpid(child, 0)
    return said


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")


@pytest.fixture
def shared() -> Any:
    """A directory that every user can reach."""
    with tempfile.TemporaryDirectory() as home:
        Path(home).chmod(0o755)
        yield Path(home)


def test_a_ring_that_may_not_be_read_is_not_taken_for_none(shared: Path) -> None:
    needs_root()
    file = RingFile(shared)
    file.write(RICH)
    assert "cannot be read: permission denied" in in_child(file.read, uid=NOBODY)
    shared.chmod(0o700)
    for work in (file.read, file.version):
        said = in_child(work, uid=NOBODY)
        assert "cannot be read: permission denied / give the directory to the user" in said


def test_a_ring_that_may_not_be_written_says_so_and_stays(shared: Path) -> None:
    needs_root()
    file = RingFile(shared)
    file.write(RICH)

    def turn() -> None:
        with file.turn():
            raise AssertionError("it has its turn")

    assert "cannot be written: permission denied" in in_child(lambda: file.write(saved()), uid=NOBODY)
    assert "cannot be written: permission denied" in in_child(turn, uid=NOBODY)
    assert file.read() == RICH


def test_what_root_writes_belongs_to_whom_the_directory_is(shared: Path) -> None:
    needs_root()
    os.chown(shared, NOBODY, NOBODY)
    file = RingFile(shared)
    with file.ours(), file.turn():
        file.write(RICH)
    assert {(path.stat().st_uid, path.stat().st_gid) for path in shared.iterdir()} == {(NOBODY, NOBODY)}

    def goes_on() -> str:
        with file.ours(), file.turn():
            file.write(saved())
        return "done"

    assert in_child(goes_on, uid=NOBODY) == "done"
    assert file.read() == saved()


def test_root_gives_nothing_away_that_has_another_name(shared: Path) -> None:
    needs_root()
    with tempfile.TemporaryDirectory() as elsewhere:
        secret = Path(elsewhere) / "secret"
        secret.write_text("of root")
        os.link(secret, shared / ".ring.lock")
        os.chown(shared, NOBODY, NOBODY)
        with RingFile(shared).turn():
            assert secret.stat().st_uid == 0


def test_on_a_full_disk_the_ring_before_the_step_stays(file: RingFile) -> None:
    file.write(RICH)

    def write() -> str:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        file.write(saved())
        return "written"

    assert "cannot be written: file too large" in in_child(write)
    assert file.read() == RICH
    assert [path.name for path in file.path.parent.iterdir()] == ["ring.json"]


def test_without_room_for_its_number_an_agent_holds_its_lock_all_the_same(file: RingFile) -> None:
    def hold() -> bool:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with file.ours():
            return file.in_use()

    assert in_child(hold) == "True"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_where_the_disk_is_full_the_hint_is_to_make_room(shared: Path) -> None:
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(shared)], check=False, capture_output=True
    ).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        (shared / "rest").touch()
        with pytest.raises(OSError, match="No space"):
            (shared / "rest").write_bytes(b"x" * 8192)
        file = RingFile(shared)
        with pytest.raises(KeyUnavailable, match="no space left") as raised:
            file.write(RICH)
        assert "make room" in raised.value.hint
        assert file.read() is None
    finally:
        subprocess.run(["umount", str(shared)], check=True)


def test_a_directory_that_is_not_there_is_told(tmp_path: Path) -> None:
    file = RingFile(tmp_path / "gone")
    assert file.read() is None
    assert not file.in_use()
    with pytest.raises(KeyUnavailable, match="cannot be written: no such file or directory"):
        file.write(RICH)
    with pytest.raises(KeyUnavailable, match="cannot be written"), file.ours():
        pass


# --- locks

HOLDER = """
import sys, time
from pathlib import Path
from agent.ring_file import RingFile
with RingFile(Path(sys.argv[1])).ours():
    print("mine", flush=True)
    time.sleep(60)
"""
ASKING = """
import sys
from pathlib import Path
from agent.ring_file import RingFile
file = RingFile(Path(sys.argv[1]))
print(file.in_use(), flush=True)
while True:
    file.in_use()
"""


def test_a_second_agent_is_refused_with_the_number_of_the_first_until_that_is_killed(file: RingFile) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file.path.parent)], stdout=subprocess.PIPE, text=True
    ) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "mine\n"
        assert file.in_use()
        words = rf"another agent \(process {first.pid}\) works with the keys in"
        with pytest.raises(KeyUnavailable, match=words), file.ours():
            raise AssertionError("two agents")
        first.kill()
    assert not file.in_use()
    with file.ours():
        assert (file.path.parent / ".agent.lock").read_text() == f"{os.getpid()}\n"
    assert not file.in_use()


def test_whoever_asks_whether_it_is_in_use_is_never_taken_for_an_agent(file: RingFile) -> None:
    with subprocess.Popen(
        [
            sys.executable,
            "-c",
            ASKING,
            str(file.path.parent),
        ],
        stdout=subprocess.PIPE,
        text=True,
    ) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == "False\n"
        for _ in range(2000):
            with file.ours():
                pass
        asking.kill()


def test_eight_processes_that_change_the_ring_lose_nothing(file: RingFile) -> None:
    file.write(saved(member(KEYS[0])))

    def change() -> str:
        for _ in range(50):
            with file.turn():
                there = file.read()
                assert there is not None
                file.write(Saved(there.ring.passed(timedelta(seconds=1)), there.at, there.looked))
        os._exit(0)

    children = []
    for _ in range(8):
        child = os.fork()
        if child == 0:
            change()
            os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 8
    there = file.read()
    assert there is not None
    assert there.ring.signing.counted == timedelta(seconds=400)


def test_whether_a_key_may_be_on_the_disk(file: RingFile) -> None:
    assert not file.may_hold(KEYS[0].kid)
    file.write(saved())
    assert file.may_hold(KEYS[0].kid)
    assert not file.may_hold(KEYS[1].kid)
    file.path.write_text("{")
    assert file.may_hold(KEYS[1].kid)


def test_time_between_moments_counts_on_one_clock_alone() -> None:
    later = Moment(START - timedelta(days=400), "boot-1", 1244.5)
    assert later.after(NOW) == timedelta(seconds=10)
    assert NOW.after(later) == timedelta(0)
    assert later.after(None) is None
    assert Moment(START, "boot-2", 5000.0).after(NOW) is None


def test_every_algorithm_that_there_is_can_be_kept(file: RingFile) -> None:
    curves: dict[Algorithm, str] = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
    of_rsa: tuple[Algorithm, ...] = ("RS256", "RS384", "RS512")
    jwks = {algorithm: {"kty": "EC", "crv": curve, "x": "AQ", "y": "AQ"} for algorithm, curve in curves.items()}
    jwks |= {algorithm: {"kty": "RSA", "n": "AQ", "e": "AQAB"} for algorithm in of_rsa}
    for algorithm, jwk in jwks.items():
        key = PublicKey(thumbprint(jwk), algorithm, jwk)
        file.write(saved(member(key)))
        assert file.read() == saved(member(key))


def test_nobody_waits_for_ever_for_who_has_the_lock(shared: Path) -> None:
    with (
        RingFile(shared).turn(),
        pytest.raises(KeyUnavailable, match="another process has held the lock") as raised,
        RingFile(shared, patience=0.1).turn(),
    ):
        raise AssertionError("it has its turn")
    assert raised.value.hint == f"see which one, and end it: fuser -v {shared}/.ring.lock"
    with RingFile(shared, patience=0.1).turn():
        pass


def test_a_directory_that_is_gone_is_to_be_made_again(shared: Path) -> None:
    gone = RingFile(shared / "gone")
    with pytest.raises(KeyUnavailable, match="no such file or directory") as raised, gone.turn():
        raise AssertionError("it has its turn")
    assert raised.value.hint is not None
    assert raised.value.hint.startswith("make the directory")
    assert "install -d -m 700" in raised.value.hint
