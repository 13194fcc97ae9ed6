import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from agent.assembly.keys import chores, custodian, custody, fresh_pem, keys_in, make_first_key, make_key, write_key
from agent.clock import SystemClock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.jose import compact, signing_input
from agent.keys.files import write_new
from agent.keys.pem import PemKey
from agent.keys.pem_store import PemStore
from agent.settings import Settings, load
from tests.fakes.commands import clean
from tests.fakes.memory_key import pem

CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
[key]
"""
PKCS11 = 'custodian = "pkcs11"\nmodule = "/usr/lib/hsm.so"\ntoken = "hsm"\nlabel = "rolecall"\npin_file = "/pin"'
KMS = 'custodian = "aws_kms"\nkey_id = "alias/rolecall"\nregion = "eu-central-1"\ncredentials = "environment"'
VAULT = 'custodian = "vault_transit"\naddress = "https://vault.example.com"\nkey = "rolecall"\n'
EVERY = {
    "pem": 'custodian = "pem"\ndirectory = "keys"',
    "pem, a file": 'custodian = "pem"\nfile = "/etc/rolecall/key.pem"',
    "pkcs11": PKCS11,
    "pkcs11, a URI": PKCS11.replace('token = "hsm"\nlabel = "rolecall"', 'uri = "pkcs11:token=hsm;object=rolecall"'),
    "tpm2": 'custodian = "tpm2"\ndirectory = "keys"\nauth_file = "/auth"\nowner_auth_file = "/owner"',
    "tpm2, a file": 'custodian = "tpm2"\nfile = "key.tss"',
    "tpm2, a handle": 'custodian = "tpm2"\nhandle = "0x81000042"',
    "aws_kms": KMS,
    "vault_transit": f'{VAULT}token_file = "/token"',
    "vault_transit, AppRole": f'{VAULT}role_id_file = "/role"\nsecret_id_file = "/secret"',
    "vault_transit, a JWT": f'{VAULT}jwt_file = "/jwt"\nrole = "rolecall"',
}
LIBRARIES = {"pkcs11": "pkcs11", "tpm2": "tpm2_pytss", "vault_transit": "aiohttp"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    folder = tmp_path / "keys"
    folder.mkdir(mode=0o700)
    return folder


def configured(home: Path, key: str) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(CONFIGURATION + key)
    return load(path, environ={"CREDENTIALS_DIRECTORY": str(home / "credentials")}, host="web-1")


def with_passphrase(home: Path) -> str:
    path = home / "passphrase"
    path.touch(0o600)
    path.write_text("canary horse battery\n")
    return f'passphrase_file = "{path}"'


# --- which custodian


@pytest.mark.parametrize("words", EVERY.values(), ids=EVERY)
async def test_each_custodian_is_made_and_nothing_opened_yet(words: str, tmp_path: Path) -> None:
    settings = configured(tmp_path, words)
    assert settings.key is not None
    if (library := LIBRARIES.get(settings.key.custodian)) and find_spec(library) is None:
        pytest.skip(f"{library} is not installed")
    made = custodian(settings.key, None, SystemClock())
    assert made.kind == settings.key.custodian
    assert len(chores(made)) == (made.kind == "vault_transit")
    await made.close()


#: Runs check where a library is not installed: in a process of its own, since what is imported stays.
WITHOUT = """
import sys
sys.modules[sys.argv[1]] = None
from agent.cli import main
sys.exit(main(["check", "-c", sys.argv[2]]))
"""


@pytest.mark.parametrize(("kind", "library"), [("pkcs11", "pkcs11"), ("tpm2", "tpm2_pytss")])
def test_a_library_that_is_not_installed_is_named_with_what_installs_it(
    kind: str, library: str, tmp_path: Path
) -> None:
    path = configured(tmp_path, EVERY[kind]).path
    words = [sys.executable, "-c", WITHOUT, library, str(path)]
    done = subprocess.run(words, env=clean(), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert f'error: key: the library that key.custodian = "{kind}" needs is not installed' in done.stderr
    assert f"from the unpacked source: pip install '.[{kind}]'" in done.stderr


async def test_while_keys_move_there_are_two(keys: Path, tmp_path: Path) -> None:
    moving = f'{EVERY["pem"]}\n[key.next]\ncustodian = "pem"\nfile = "credential:signing-key"'
    moving += f'\n[rotation]\nstate = "{keys}"'
    assert custody(configured(tmp_path, EVERY["pem"]), None, SystemClock()).following is None
    both = custody(configured(tmp_path, moving), tmp_path / "credentials", SystemClock())
    assert both.following is not None
    assert await both.following.names() == [str(tmp_path / "credentials/signing-key")]


async def test_a_credential_of_systemd_may_have_bits_for_its_group_and_a_file_may_not(tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    for path in (credentials / "signing-key", tmp_path / "key.pem"):
        write_new(path, pem("ec-p256"))
        path.chmod(0o440)
    settings = configured(tmp_path, 'custodian = "pem"\nfile = "credential:signing-key"')
    key, _ = await custody(settings, credentials, SystemClock()).first()
    message = signing_input({"alg": "ES256"}, {})
    assert compact(message, await key.sign(message))
    settings = configured(tmp_path, f'custodian = "pem"\nfile = "{tmp_path}/key.pem"')
    with pytest.raises(KeyUnavailable, match="is open to others"):
        await custody(settings, credentials, SystemClock()).first()


# --- making keys


async def first(settings: Settings) -> tuple[str, str]:
    assert settings.key is not None
    where, public = await make_first_key(settings.key, "ec-p256", None, SystemClock())
    return where, public.kid


async def test_a_key_is_made_in_the_directory_once(keys: Path, tmp_path: Path) -> None:
    settings = configured(tmp_path, EVERY["pem"])
    where, kid = await first(settings)
    assert (where, PemKey.read(Path(where)).public.kid) == (str(keys / f"{kid}.pem"), kid)
    with pytest.raises(ConfigurationError, match=f"there is a key in .*/keys already: {kid}.pem") as caught:
        await first(settings)
    assert "rolecall keys rotate" in caught.value.hint


async def test_a_key_is_made_in_the_one_file_and_never_over_it(keys: Path, tmp_path: Path) -> None:
    settings = configured(tmp_path, f'custodian = "pem"\nfile = "{keys}/named.pem"')
    where, kid = await first(settings)
    assert (where, PemKey.read(Path(where)).public.kid) == (f"{keys}/named.pem", kid)
    before = Path(where).read_bytes()
    with pytest.raises(ConfigurationError, match="a key is never overwritten"):
        await first(settings)
    assert Path(where).read_bytes() == before


@pytest.mark.parametrize("where", ['directory = "keys"', 'file = "{home}/keys/key.pem"'])
async def test_with_a_passphrase_the_key_is_encrypted_and_read_again(where: str, keys: Path, tmp_path: Path) -> None:
    words = f'custodian = "pem"\n{where.format(home=tmp_path)}'
    settings = configured(tmp_path, f"{words}\n{with_passphrase(tmp_path)}")
    made, kid = await first(settings)
    assert "ENCRYPTED" in Path(made).read_text()
    assert Path(made).parent == keys
    key, _ = await custody(settings, None, SystemClock()).first()
    assert key.public.kid == kid
    with pytest.raises(ConfigurationError, match="no passphrase is configured"):
        await custody(configured(tmp_path, words), None, SystemClock()).first()


async def test_a_key_for_a_directory_that_is_not_there_says_how_to_make_it(tmp_path: Path) -> None:
    with pytest.raises(KeyUnavailable, match="cannot be written: No such file") as caught:
        await first(configured(tmp_path, EVERY["pem"]))
    assert caught.value.hint == f"make the directory: mkdir -p -m 700 {tmp_path}/keys"


async def test_where_keys_are_not_ours_to_make_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError):
        await first(configured(tmp_path, f"{KMS}\nmake_keys = false".replace("environment", "profile:none-such")))


def test_a_fresh_key_lies_nowhere_and_fits_its_public_half(tmp_path: Path) -> None:
    text, public = fresh_pem("ec-p384")
    assert PemKey.parse(text, origin="a test").public == public
    assert public.algorithm == "ES384"
    assert list(tmp_path.iterdir()) == []


def test_looking_at_keys_finds_the_good_and_says_what_is_wrong_with_the_others(keys: Path) -> None:
    path, public = make_key(keys, "ec-p256")
    named, other = write_key(keys / "named.pem", "ec-p256")
    (keys / "broken.pem").touch(0o600)
    assert path == keys / f"{public.kid}.pem"
    found = {one.path: one.found for one in keys_in(keys)}
    assert (found[path], found[named]) == (public, other)
    assert isinstance(found[keys / "broken.pem"], KeyUnavailable)


async def test_a_passphrase_is_read_anew_for_each_key(keys: Path, tmp_path: Path) -> None:
    settings = configured(tmp_path, f"{EVERY['pem']}\n{with_passphrase(tmp_path)}")
    made, _ = await first(settings)
    (tmp_path / "passphrase").write_text("another\n")
    assert settings.key is not None
    store = custodian(settings.key, None, SystemClock())
    assert isinstance(store, PemStore)
    with pytest.raises(KeyUnavailable, match="wrong passphrase"):
        await store.open(Path(made).name)
    assert store.path(Path(made).name).parent == keys
