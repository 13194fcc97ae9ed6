from pathlib import Path

import pytest

from agent.errors import ConfigurationError, KeyUnavailable
from agent.keys import Algorithm, Kind
from agent.keys.files import write_new
from agent.keys.pem import PemKey
from agent.keys.pem_store import PemStore
from agent.secret import Secret
from tests.fakes.memory_key import pem


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (made := tmp_path / "keys").mkdir(mode=0o700)
    return made


async def test_a_key_that_is_made_is_called_by_its_kid_and_opened_again(directory: Path) -> None:
    store = PemStore(directory=directory)

    name = await store.make("ec-p256")

    key = await store.open(name)
    assert name == f"{key.public.kid}.pem"
    assert await store.names() == [name]
    assert (directory / name).stat().st_mode & 0o777 == 0o600


async def test_keys_are_listed_in_order_and_nothing_else_is_a_key(directory: Path) -> None:
    for name in ("b.pem", "a.pem", ".draft.pem", "ring.json", "notes.txt"):
        (directory / name).touch()

    assert await PemStore(directory=directory).names() == ["a.pem", "b.pem"]


async def test_a_passphrase_is_asked_each_time_and_encrypts_what_is_made(directory: Path) -> None:
    phrases = [Secret("first"), Secret("first"), Secret("second")]
    store = PemStore(directory=directory, passphrase=lambda: phrases.pop(0))

    name = await store.make("ec-p256")

    assert "ENCRYPTED" in (directory / name).read_text()
    assert (await store.open(name)).public.kid == Path(name).stem
    with pytest.raises(KeyUnavailable, match="wrong passphrase"):
        await store.open(name)


@pytest.mark.parametrize(
    ("asked", "kind", "algorithm"),
    [("RS384", "rsa-2048", "RS384"), ("RS384", "ec-p384", "ES384"), (None, "rsa-2048", "RS256")],
)
async def test_an_algorithm_is_for_the_keys_it_fits(
    directory: Path, asked: Algorithm | None, kind: Kind, algorithm: str
) -> None:
    _, public = PemStore(directory=directory, algorithm=asked).make_now(kind)

    assert public.algorithm == algorithm


async def test_a_file_that_is_ours_is_destroyed_and_may_be_gone_before(directory: Path) -> None:
    store = PemStore(directory=directory)
    name = await store.make("ec-p256")

    await store.discard(name)
    await store.discard(name)

    assert list(directory.iterdir()) == []


async def test_a_name_leads_out_of_the_directory_for_no_one(directory: Path, tmp_path: Path) -> None:
    write_new(tmp_path / "other.pem", pem("ec-p256"))
    store = PemStore(directory=directory)

    for name in ("../other.pem", str(tmp_path / "other.pem")):
        with pytest.raises(KeyUnavailable, match="does not exist"):
            await store.open(name)
        await store.discard(name)

    assert (tmp_path / "other.pem").exists()


async def test_one_file_is_one_key_which_is_not_ours_to_make_or_destroy(tmp_path: Path) -> None:
    write_new(tmp_path / "key.pem", pem("ec-p256"))
    store = PemStore(file=tmp_path / "key.pem")

    assert await store.names() == [str(tmp_path / "key.pem")]
    with pytest.raises(ConfigurationError, match=r"there can be no second key in .*/key.pem") as caught:
        await store.make("ec-p256")
    assert "[key.next]" in caught.value.hint
    with pytest.raises(ConfigurationError, match="is not ours to destroy"):
        await store.discard(str(tmp_path / "key.pem"))
    assert [path.name for path in tmp_path.iterdir()] == ["key.pem"]


async def test_one_file_is_opened_by_whatever_name_it_went_before_and_never_another(tmp_path: Path) -> None:
    """A ring names it as it was then; whether it is still that key is seen by its kid."""
    write_new(tmp_path / "old.pem", pem("ec-p384"))
    write_new(tmp_path / "new.pem", pem("ec-p256"))
    store = PemStore(file=tmp_path / "new.pem")

    for name in ("/run/credentials/other.service/new", "KID.pem", str(tmp_path / "old.pem")):
        assert (await store.open(name)).public == PemKey.read(tmp_path / "new.pem").public


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match=r"the directory of keys .*/missing cannot be read"):
        await PemStore(directory=tmp_path / "missing").names()
    with pytest.raises(KeyUnavailable, match=r"missing.pem does not exist"):
        await PemStore(file=tmp_path / "missing.pem").open("missing.pem")
    await PemStore(file=tmp_path / "missing.pem").close()
