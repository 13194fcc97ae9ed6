from pathlib import Path
from typing import Any

import pytest

from agent.assembly.keys import configured_keys, key_file, keys_in, make_configured_key, make_key, read_key, signing_key
from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import PublicKey
from agent.settings import Pem


def pem(**words: Any) -> Pem:
    empty: dict[str, Any] = {"file": None, "directory": None, "passphrase_file": None, "algorithm": None}
    return Pem.model_construct(**empty | words)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def passphrase(tmp_path: Path) -> Path:
    path = tmp_path / "passphrase"
    path.touch(0o600)
    path.write_text("canary horse battery\n")
    return path


async def test_the_one_key_of_a_directory_signs_and_is_called_by_its_kid(keys: Path) -> None:
    path, public = make_key(keys, "ec-p256")
    assert path == keys / f"{public.kid}.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    (keys / ".hidden.pem").write_text("being written")
    (keys / "notes.txt").write_text("not a key")
    assert (await signing_key(pem(directory=keys), None)).public == public


def test_without_a_key_it_says_how_to_make_one(keys: Path) -> None:
    with pytest.raises(KeyUnavailable, match="there is no key in") as caught:
        key_file(pem(directory=keys))
    assert "rolecall keys new" in caught.value.hint


def test_of_two_keys_it_does_not_guess(keys: Path) -> None:
    for _ in range(2):
        make_key(keys, "ec-p256")
    with pytest.raises(ConfigurationError, match=r"there are 2 keys in .* nothing says which"):
        read_key(pem(directory=keys), None)


def test_a_directory_that_is_not_there_is_said_to_be_missing(keys: Path) -> None:
    with pytest.raises(KeyUnavailable, match="cannot be read: No such file"):
        key_file(pem(directory=keys / "nowhere"))


def test_a_key_is_made_where_the_configuration_says_and_never_twice(keys: Path) -> None:
    path, public = make_configured_key(pem(directory=keys), "ec-p256", None)
    assert read_key(pem(directory=keys), None).public == public
    with pytest.raises(ConfigurationError, match=f"already: {path.name}"):
        make_configured_key(pem(directory=keys), "ec-p256", None)
    named = pem(file=keys / "named.pem")
    path, public = make_configured_key(named, "ec-p256", None)
    assert (path, read_key(named, None).public) == (keys / "named.pem", public)
    before = path.read_bytes()
    with pytest.raises((ConfigurationError, KeyUnavailable)):
        make_configured_key(named, "ec-p256", None)
    assert path.read_bytes() == before


def test_with_a_passphrase_the_key_is_encrypted_and_read_again(keys: Path, passphrase: Path) -> None:
    settings = pem(directory=keys, passphrase_file=passphrase)
    path, public = make_configured_key(settings, "ec-p256", None)
    assert b"ENCRYPTED" in path.read_bytes()
    assert read_key(settings, None).public == public
    with pytest.raises(ConfigurationError, match="no passphrase is configured"):
        read_key(pem(directory=keys), None)


def test_looking_at_keys_finds_the_good_and_says_what_is_wrong_with_the_others(keys: Path) -> None:
    _, public = make_key(keys, "ec-p256")
    (keys / "broken.pem").touch(0o600)
    for found in (keys_in(keys), configured_keys(pem(directory=keys), None)):
        by_name = {one.path.name: one.found for one in found}
        assert by_name.pop(f"{public.kid}.pem") == public
        assert isinstance(by_name["broken.pem"], KeyUnavailable | ConfigurationError)


def test_looking_at_a_file_that_is_not_there_is_a_finding_not_a_failure(keys: Path) -> None:
    (only,) = configured_keys(pem(file=keys / "missing.pem"), None)
    assert not isinstance(only.found, PublicKey)
    assert "missing.pem" in only.found.what
