from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from agent.keys import Algorithm
from agent.settings import AwsKms, Pem, Pkcs11, Settings, Tpm2, VaultTransit
from agent.settings.keys import makes_keys, paths_of, place_of

KEY = 'custodian = "pem"\ndirectory = "keys"'
Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
PKCS11 = 'custodian = "pkcs11"\nmodule = "/usr/lib/softhsm/libsofthsm2.so"\npin_file = "/etc/rolecall/pin"'
KMS = 'custodian = "aws_kms"\nregion = "eu-central-1"\ncredentials = "instance"'
VAULT = 'custodian = "vault_transit"\naddress = "https://vault.example.com:8200"\nkey = "rolecall"'
VAULT_TOKEN = f'{VAULT}\ntoken_file = "/etc/rolecall/vault-token"'
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


def test_a_key_may_be_one_file_with_a_passphrase_in_another(read: Read) -> None:
    new = 'custodian = "pem"\nfile = "credential:key"\npassphrase_file = "/etc/rolecall/pass"'
    key = read((KEY, new), CREDENTIALS_DIRECTORY="/run/credentials/rolecall.service").key
    assert isinstance(key, Pem)
    assert key.file == Path("/run/credentials/rolecall.service/key")
    assert key.passphrase_file == Path("/etc/rolecall/pass")
    assert key.directory is None


@pytest.mark.parametrize("algorithm", get_args(Algorithm))
def test_every_algorithm_that_sts_takes_may_be_named(algorithm: str, read: Read) -> None:
    key = read((KEY, f'{KEY}\nalgorithm = "{algorithm}"')).key
    assert key is not None
    assert key.algorithm == algorithm


def test_a_key_in_a_token_is_found_by_label_alone_or_in_a_token_or_by_uri(read: Read) -> None:
    alone = read((KEY, f'{PKCS11}\nlabel = "rolecall é"')).key
    inside = read((KEY, f'{PKCS11}\ntoken = "hsm"\nlabel = "rolecall"\nmake_keys = false')).key
    by_uri = read((KEY, f'{PKCS11}\nuri = "pkcs11:token=hsm;id=%01"')).key
    assert isinstance(alone, Pkcs11)
    assert isinstance(inside, Pkcs11)
    assert isinstance(by_uri, Pkcs11)
    assert (alone.token, alone.label, alone.uri, alone.make_keys) == (None, "rolecall é", None, True)
    assert (inside.token, inside.label, inside.make_keys) == ("hsm", "rolecall", False)
    assert (by_uri.token, by_uri.label, by_uri.uri) == (None, None, "pkcs11:token=hsm;id=%01")


def test_a_uri_is_never_quoted_since_a_pin_may_stand_in_it(mistakes: Mistakes) -> None:
    for uri in ("pkcs11:object=a?pin-value=271828", "object=a?pin-value=271828", "pkcs11:object=a&pin-value=271828"):
        (told,) = mistakes((KEY, f'{PKCS11}\nuri = "{uri}"'))
        assert told.startswith("key.uri: ")
        assert "271828" not in told


def test_a_key_in_a_tpm_is_in_one_of_three_places(read: Read, tmp_path: Path) -> None:
    directory = read((KEY, 'custodian = "tpm2"\ndirectory = "keys"')).key
    file = read((KEY, 'custodian = "tpm2"\nfile = "key.tss"\nauth_file = "/auth"\nowner_auth_file = "/owner"')).key
    handle = read((KEY, 'custodian = "tpm2"\nhandle = "0x8100ABCD"\ntcti = "swtpm:path=/run/tpm"')).key
    assert isinstance(directory, Tpm2)
    assert isinstance(file, Tpm2)
    assert isinstance(handle, Tpm2)
    assert (directory.directory, directory.tcti) == (tmp_path / "keys", "device:/dev/tpmrm0")
    assert (file.file, file.auth_file, file.owner_auth_file) == (tmp_path / "key.tss", Path("/auth"), Path("/owner"))
    assert (handle.handle, handle.tcti) == ("0x8100abcd", "swtpm:path=/run/tpm")


@pytest.mark.parametrize(
    "key_id",
    [
        KEY_ID,
        "mrk-0123456789abcdef0123456789abcdef",
        "alias/rolecall",
        "alias/a/b_c-d",
        f"arn:aws:kms:eu-central-1:123456789012:key/{KEY_ID}",
        "arn:aws:kms:eu-central-1:123456789012:alias/rolecall",
    ],
)
def test_a_key_in_kms_has_an_id_an_alias_or_an_arn(key_id: str, read: Read) -> None:
    key = read((KEY, f'{KMS}\nkey_id = "{key_id}"')).key
    assert isinstance(key, AwsKms)
    assert (key.key_id, key.make_keys, key.endpoint_url) == (key_id, False, None)


@pytest.mark.parametrize(
    "key_id",
    [
        "", "rolecall", "alias/", "alias/a b", "key/" + KEY_ID, KEY_ID.upper(), KEY_ID[:-1],
        f"arn:aws:kms:eu-central-1:123456789012:{KEY_ID}", f"arn:aws:kms:eu-central-1:1234:key/{KEY_ID}",
        "arn:aws:kms:eu-central-1:123456789012:alias/aws/s3", "arn:aws:iam::123456789012:role/backup",
    ],
)  # fmt: skip
def test_what_names_no_key_of_ours_in_kms_is_refused(key_id: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((KEY, f'{KMS}\nkey_id = "{key_id}"'))
    assert told.startswith("key.key_id: ")


@pytest.mark.parametrize(
    "name", ["environment", "container", "instance", "profile:a b".replace(" ", "-"), "profile:über"]
)
def test_whose_credentials_a_key_in_kms_is_used_with_is_said(name: str, read: Read, mistakes: Mistakes) -> None:
    change = (KEY, KMS.replace("instance", name) + '\nkey_id = "alias/rolecall"')
    if name.isascii():
        key = read(change).key
        assert isinstance(key, AwsKms)
        assert key.credentials == name
    else:
        assert mistakes(change)[0].startswith("key.credentials: must say which credentials are used: ")


@pytest.mark.parametrize(
    "way",
    [
        'token_file = "/t"',
        'role_id_file = "/r"\nsecret_id_file = "/s"',
        'role_id_file = "/r"\nsecret_id_file = "/s"\nauth_mount = "team/approle"',
        'jwt_file = "/j"\nrole = "rolecall"',
        'jwt_file = "/j"\nrole = "rolecall"\nauth_mount = "kubernetes/"',
    ],
)
def test_there_are_three_ways_to_sign_in_to_vault(way: str, read: Read) -> None:
    key = read((KEY, f"{VAULT}\n{way}")).key
    assert isinstance(key, VaultTransit)
    assert (key.mount, key.namespace, key.make_keys) == ("transit", None, True)
    assert key.auth_mount in {None, "team/approle", "kubernetes"}


def test_mounts_and_namespaces_may_be_written_as_vault_shows_them(read: Read) -> None:
    key = read((KEY, f'{VAULT_TOKEN}\nmount = "team/transit/"\nnamespace = "platform/iam/"')).key
    assert isinstance(key, VaultTransit)
    assert (key.mount, key.namespace) == ("team/transit", "platform/iam")


@pytest.mark.parametrize("name", ["", "a/b", ".a", "a.", "-a", "a-", "a b", "é", "a" * 129])
def test_names_that_vault_does_not_take_are_refused(name: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((KEY, VAULT_TOKEN.replace('"rolecall"', f'"{name}"')))
    assert told.startswith("key.key: must be a name of letters, digits and _ . -")


@pytest.mark.parametrize("name", ["a", "_a", "Rolecall-1.a_b", "a" * 128])
def test_names_that_vault_takes_are_taken(name: str, read: Read) -> None:
    key = read((KEY, VAULT_TOKEN.replace('"rolecall"', f'"{name}"'))).key
    assert isinstance(key, VaultTransit)
    assert key.key == name


@pytest.mark.parametrize(
    ("words", "able"),
    [
        (KEY, True),
        ('custodian = "pem"\nfile = "/key.pem"', False),
        (f'{PKCS11}\nlabel = "a"', True),
        (f'{PKCS11}\nlabel = "a"\nmake_keys = false', False),
        ('custodian = "tpm2"\ndirectory = "keys"', True),
        ('custodian = "tpm2"\nfile = "key.tss"', False),
        ('custodian = "tpm2"\nhandle = "0x81000042"', False),
        (f'{KMS}\nkey_id = "alias/a"', False),
        (f'{KMS}\nkey_id = "alias/a"\nmake_keys = true', True),
        (VAULT_TOKEN, True),
        (f"{VAULT_TOKEN}\nmake_keys = false", False),
    ],
)
def test_it_is_known_where_the_agent_makes_keys_itself(words: str, able: bool, read: Read) -> None:  # noqa: FBT001 - a row
    key = read((KEY, words)).key
    assert key is not None
    assert makes_keys(key) is able


def test_two_places_are_one_only_if_the_keys_are_the_same(read: Read) -> None:
    sections = [
        KEY, 'custodian = "pem"\nfile = "/keys"', f'{PKCS11}\nlabel = "a"', f'{PKCS11}\nlabel = "b"',
        'custodian = "tpm2"\ndirectory = "keys"', 'custodian = "tpm2"\nhandle = "0x81000042"',
        f'{KMS}\nkey_id = "alias/a"', f'{KMS}\nkey_id = "alias/a"'.replace("central", "west"), VAULT_TOKEN,
        f'{VAULT_TOKEN}\nnamespace = "a"', f'{VAULT_TOKEN}\nmount = "b"',
    ]  # fmt: skip
    found = [read((KEY, words)).key for words in sections]
    assert len({place_of(key) for key in found if key is not None}) == len(sections)


def test_all_paths_of_a_key_are_known_by_their_words(read: Read) -> None:
    assert paths_of(None) == []
    assert paths_of(read((KEY, f'{PKCS11}\nlabel = "a"')).key) == [
        ("module", Path("/usr/lib/softhsm/libsofthsm2.so")),
        ("pin_file", Path("/etc/rolecall/pin")),
    ]
