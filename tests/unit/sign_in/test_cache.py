import errno
import hashlib
import json
import os
import resource
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from agent.errors import CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import Portal, Registration
from agent.sign_in.cache import Cache, Room
from tests.fakes.center import PORTAL, REGION, REGISTERED_UNTIL, START_URL, sign_in


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "sso" / "cache", PORTAL)


def keep(cache: Cache, name: str = "1") -> None:
    with cache.room() as room:
        room.keep(sign_in(name))


def test_files_are_called_as_the_aws_cli_calls_them(tmp_path: Path) -> None:
    named = Cache(tmp_path, replace(PORTAL, session="work"))
    assert named.path.name == hashlib.sha1(b"work").hexdigest() + ".json"
    assert Cache(tmp_path, PORTAL).path.name == hashlib.sha1(START_URL.encode()).hexdigest() + ".json"
    named.keep_registration(Registration("id", Secret("s"), REGISTERED_UNTIL, PORTAL.scopes))
    about = (
        f'{{"region": "{REGION}", "scopes": ["sso:account:access"], "session_name": "work", '
        f'"startUrl": "{START_URL}", "tool": "botocore"}}'
    )
    assert (tmp_path / f"{hashlib.sha1(about.encode()).hexdigest()}.json").exists()


def test_what_is_kept_is_found_and_nobody_else_may_read_it(cache: Cache) -> None:
    assert cache.read() is None
    assert cache.stamp() is None
    keep(cache)
    found = cache.read()
    assert found is not None
    assert found.sign_in == sign_in()
    assert found.stamp == cache.stamp()
    assert stat.S_IMODE(cache.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.path.parent.stat().st_mode) == 0o700


def test_it_is_replaced_in_one_step_and_nothing_is_left_beside_it(cache: Cache) -> None:
    keep(cache)
    before = cache.path.open("rb")
    keep(cache, "2")
    with before:
        assert b"access-1" in before.read()  # whoever reads it meanwhile reads all of the old one
    assert b"access-2" in cache.path.read_bytes()
    assert [one.name for one in cache.path.parent.iterdir()] == [cache.path.name]


def test_room_that_is_not_used_is_given_back(cache: Cache) -> None:
    with cache.room():
        assert len([*cache.path.parent.iterdir()]) == 1
    assert [*cache.path.parent.iterdir()] == []


def test_that_there_is_no_room_is_told_before_anything_is_asked_for(cache: Cache) -> None:
    """A limit on the size of files fails as a full disk does, and needs none."""
    keep(cache)
    most, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(CredentialsUnavailable) as caught:
            cache.room()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    assert os.strerror(errno.EFBIG).lower() in caught.value.what
    assert "disk is not full" in caught.value.hint
    assert [one.name for one in cache.path.parent.iterdir()] == [cache.path.name]


def test_a_write_that_fails_leaves_what_was_there(cache: Cache) -> None:
    keep(cache)
    with cache.room() as room:
        os.close(room._descriptor)
        room._descriptor = os.open("/dev/null", os.O_RDONLY)
        with pytest.raises(CredentialsUnavailable):
            room.keep(sign_in("2"))
    assert b"access-1" in cache.path.read_bytes()


def test_a_directory_that_cannot_be_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CredentialsUnavailable) as caught:
        Cache(tmp_path / "file" / "cache", PORTAL).room()
    assert "a sign-in cannot be kept in" in caught.value.what


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_what_others_can_write_is_not_believed(cache: Cache, mode: int) -> None:
    keep(cache)
    cache.path.chmod(mode)
    with pytest.raises(SignInNeeded, match="can be written to by others"):
        cache.read()


def test_what_belongs_to_somebody_else_is_not_believed(cache: Cache) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give files away, and be somebody else")
    keep(cache)
    cache.path.chmod(0o644)
    cache.path.parent.chmod(0o755)
    for one in (cache.path, *cache.path.parents):
        if one.stat().st_uid == 0 and "pytest" in str(one):
            one.chmod(one.stat().st_mode | 0o055)
    os.chown(cache.path, 65533, -1)
    os.seteuid(65534)
    try:
        with pytest.raises(SignInNeeded) as caught:
            cache.read()
    finally:
        os.seteuid(0)
    assert "belongs to another user" in caught.value.what


def test_what_cannot_be_read_is_told(cache: Cache) -> None:
    if os.geteuid() != 0:
        pytest.skip("root makes a file that another cannot read")
    keep(cache)
    for one in (cache.path.parent, *cache.path.parent.parents):
        if one.stat().st_uid == 0 and "pytest" in str(one):
            one.chmod(one.stat().st_mode | 0o055)
    os.seteuid(65534)
    try:
        with pytest.raises(SignInNeeded) as caught:
            cache.read()
    finally:
        os.seteuid(0)
    assert "cannot be read: permission denied" in caught.value.what
    assert "rolecall login" in caught.value.hint


def test_what_is_garbled_is_told_and_not_quoted(cache: Cache) -> None:
    cache.path.parent.mkdir(parents=True)
    cache.path.write_text('{"accessToken": "canary"')
    cache.path.chmod(0o600)
    with pytest.raises(SignInNeeded) as caught:
        cache.read()
    assert "it is not JSON" in caught.value.what
    assert "canary" not in caught.value.what
    assert caught.value.hint == "sign in anew: rolecall login"


def test_a_directory_in_its_place_is_told_and_not_left_open(cache: Cache) -> None:
    cache.path.mkdir(parents=True)
    before = [*Path("/proc/self/fd").iterdir()]
    with pytest.raises(SignInNeeded, match="cannot be read: is a directory"):
        cache.read()
    assert len([*Path("/proc/self/fd").iterdir()]) == len(before)


def test_a_pipe_in_its_place_holds_nobody_up(cache: Cache) -> None:
    cache.path.parent.mkdir(parents=True)
    os.mkfifo(cache.path, 0o600)
    with pytest.raises(SignInNeeded, match="is not an ordinary file"):
        cache.read()


@pytest.mark.parametrize(
    "other", [Portal("https://other.awsapps.com/start", REGION), Portal(START_URL, "us-east-1")], ids=["url", "region"]
)
def test_the_sign_in_of_another_portal_under_the_same_name_is_not_used(tmp_path: Path, other: Portal) -> None:
    with Cache(tmp_path, replace(other, session="work")).room() as room:
        room.keep(replace(sign_in(), start_url=other.start_url, region=other.region))
    with pytest.raises(SignInNeeded, match="is for another access portal"):
        Cache(tmp_path, replace(PORTAL, session="work")).read()


def test_a_start_url_with_a_hash_at_its_end_is_the_same_portal(tmp_path: Path) -> None:
    with Cache(tmp_path, replace(PORTAL, session="work")).room() as room:
        room.keep(replace(sign_in(), start_url=START_URL + "/#/"))
    assert Cache(tmp_path, replace(PORTAL, session="work")).read() is not None


def test_one_at_a_time_has_the_lock_and_sweeps_what_the_dead_have_left(cache: Cache) -> None:
    first = cache.lock()
    assert first is not None
    assert cache.lock() is None
    first.close()
    left = Room(cache.path)
    with cache.lock() or pytest.fail("nobody has it"):
        assert not left._draft.exists()
    left.close()


def test_a_registration_that_cannot_be_used_is_none(cache: Cache) -> None:
    assert cache.registration() is None
    one = Registration("id", Secret("canary"), REGISTERED_UNTIL, PORTAL.scopes, ("refresh_token",))
    cache.keep_registration(one)
    assert cache.registration() == one
    cache._registration_path.write_text("{}")
    assert cache.registration() is None
    cache.forget_registration()
    cache.forget_registration()
    assert not cache._registration_path.exists()


def test_what_is_forgotten_is_gone(cache: Cache) -> None:
    keep(cache)
    cache.keep_registration(Registration("id", Secret("canary"), REGISTERED_UNTIL))
    cache.forget()
    cache.forget()
    assert [*cache.path.parent.iterdir()] == []


def test_what_root_makes_for_somebody_is_his(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes files for others")
    os.chown(tmp_path, 65534, 65534)
    cache = Cache(tmp_path / "sso" / "cache", PORTAL)
    keep(cache)
    assert {one.stat().st_uid for one in (cache.path, cache.path.parent, cache.path.parent.parent)} == {65534}
    assert json.loads(cache.path.read_text())["accessToken"] == "access-1"
