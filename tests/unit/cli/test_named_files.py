import stat
from pathlib import Path

import pytest

from agent.cli.named_files import Named, named
from agent.settings import load

GOOD = """
[issuer]
url = "https://oidc.example.com"
ca_bundle = "/issuer-ca"
[sts]
region = "eu-central-1"
ca_bundle = "/sts-ca"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
token_file = ["/tokens/a", "/tokens/b"]
"""
PKCS11 = '[key]\ncustodian = "pkcs11"\nmodule = "/m.so"\nlabel = "a"\npin_file = "/pin"'
KMS = 'custodian = "aws_kms"\nkey_id = "alias/a"\nregion = "eu-central-1"\ncredentials = "instance"'
VAULT = 'custodian = "vault_transit"\naddress = "https://v.example.com"\nkey = "a"'
NOBODY = stat.S_IRWXG | stat.S_IRWXO
ALWAYS = {"grants#1.token_file", "issuer.ca_bundle", "sts.ca_bundle"}


def of(tmp_path: Path, *sections: str) -> dict[str, Named]:
    path = tmp_path / "rolecall.toml"
    path.write_text("\n".join([GOOD, *sections]), encoding="utf-8")
    return {one.word: one for one in named(load(path, environ={}, host="web-1")) if one.path != path}


def test_secrets_are_closed_to_all_whom_the_agent_would_refuse_them_for(tmp_path: Path) -> None:
    found = of(tmp_path, PKCS11)
    assert found.keys() == {*ALWAYS, "key.module", "key.pin_file"}
    assert found["key.pin_file"] == Named("key.pin_file", Path("/pin"), NOBODY, secret=True)
    assert found["key.module"] == Named("key.module", Path("/m.so"), stat.S_IWOTH)
    assert found["grants#1.token_file"] == Named("grants#1.token_file", Path("/tokens/b"), stat.S_IRWXO, secret=True)


@pytest.mark.parametrize(
    ("words", "secrets", "others"),
    [
        ('client_secret_file = "/s"\nca_bundle = "/c"', {"client_secret_file"}, {"ca_bundle"}),
        ('client_authentication = "tls"\nclient_certificate = "/c"\nclient_key = "/k"',
         {"client_key"}, {"client_certificate"}),
    ],
)  # fmt: skip
def test_what_shows_a_provider_who_we_are_is_closed_to_others(
    words: str, secrets: set[str], others: set[str], tmp_path: Path
) -> None:
    provider = 'source = "oauth2"\nissuer = "https://login.example.com"\nclient_id = "us"'
    found = {word: one for word, one in of(tmp_path, f"[identity]\n{provider}\n{words}").items() if word not in ALWAYS}
    assert {word for word, one in found.items() if one.closed_to == NOBODY} == {f"identity.{word}" for word in secrets}
    assert {word for word, one in found.items() if one.secret} == {f"identity.{word}" for word in secrets}
    assert found.keys() == {f"identity.{word}" for word in secrets | others}


@pytest.mark.parametrize(
    ("key", "secrets", "others"),
    [
        ('custodian = "pem"\nfile = "/k"\npassphrase_file = "/p"', {"file", "passphrase_file"}, set()),
        ('custodian = "tpm2"\nfile = "/k"\nauth_file = "/a"\nowner_auth_file = "/o"',
         {"file", "auth_file", "owner_auth_file"}, set()),
        (f'{KMS}\nca_bundle = "/c"', set(), {"ca_bundle"}),
        (f'{VAULT}\ntoken_file = "/t"\nca_bundle = "/c"', {"token_file"}, {"ca_bundle"}),
        (f'{VAULT}\njwt_file = "/j"\nrole = "a"', {"jwt_file"}, set()),
        (f'{VAULT}\nrole_id_file = "/r"\nsecret_id_file = "/s"\nmake_keys = false',
         {"role_id_file", "secret_id_file"}, set()),
    ],
)  # fmt: skip
def test_every_custodian_has_its_secrets(key: str, secrets: set[str], others: set[str], tmp_path: Path) -> None:
    found = {word: one for word, one in of(tmp_path, f"[key]\n{key}").items() if word not in ALWAYS}
    assert {word for word, one in found.items() if one.secret} == {f"key.{word}" for word in secrets}
    assert found.keys() == {f"key.{word}" for word in secrets | others}


def test_a_ring_beside_the_keys_is_one_directory_and_not_two(tmp_path: Path) -> None:
    site = '[publishing]\nto = "directory"\ndirectory = "/site"\ncertificates = "/x5c"'
    found = of(tmp_path, '[key]\ncustodian = "pem"\ndirectory = "/keys"', site)
    assert {word: one.written for word, one in found.items() if one.directory} == {
        "key.directory": True,
        "publishing.directory": True,
        "publishing.certificates": False,
    }


def test_keys_that_never_change_need_not_be_written_to(tmp_path: Path) -> None:
    found = of(tmp_path, '[key]\ncustodian = "pem"\ndirectory = "/keys"')
    assert not found["key.directory"].written


def test_a_ring_elsewhere_and_a_place_to_move_to_are_looked_at(tmp_path: Path) -> None:
    following = '[key.next]\ncustodian = "tpm2"\ndirectory = "/tpm"\n[rotation]\nstate = "/ring"'
    found = of(tmp_path, PKCS11, following)
    assert {one.path for one in found.values() if one.directory and one.written} == {Path("/tpm"), Path("/ring")}


@pytest.mark.parametrize(
    ("words", "plain", "secrets"),
    [
        ('to = "https"\ncertificate = "/c"\nprivate_key = "/k"',
         {"publishing.certificate"}, {"publishing.private_key"}),
        ('to = "s3"\nbucket = "oidc"\nregion = "eu-central-1"\ncredentials = "instance"\nca_bundle = "/ca"',
         {"publishing.ca_bundle"}, set()),
        ('to = "s3"\nbucket = "oidc"\nregion = "eu-central-1"\ncredentials = "instance"', set(), set()),
    ],
)  # fmt: skip
def test_every_place_has_its_files(words: str, plain: set[str], secrets: set[str], tmp_path: Path) -> None:
    found = of(tmp_path, '[key]\ncustodian = "pem"\nfile = "/key"', f"[publishing]\n{words}")
    assert found.keys() == {*ALWAYS, "key.file", *plain, *secrets}
    assert all(found[word].secret and found[word].closed_to == NOBODY for word in secrets)


CALLERS = """
[unit_tokens]
socket = "/sockets/tokens"
secret = "/state/secrets.json"
[[files]]
kind = "credentials"
path = "/home/legacy/credentials"
role = "backup"
profile = "rolecall"
[[files]]
kind = "web_identity_token"
path = "/run/rolecall/token"
role = "backup"
[[grants]]
roles = ["backup"]
unit_token = "a.service"
"""


def test_what_is_kept_for_callers_need_not_be_there_but_its_directory(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text(GOOD + PKCS11 + CALLERS, encoding="utf-8")
    found = [one for one in named(load(path, environ={}, host="web-1")) if one.made or one.written]
    assert [(one.word, str(one.path)) for one in found if one.written and one.directory] == [
        ("unit_tokens.secret", "/state"),
        ("unit_tokens.socket", "/sockets"),
        ("files#1.path", "/home/legacy"),  # that of the other is there only while the unit runs
    ]
    assert [(one.word, one.closed_to, str(one.path)) for one in found if one.made] == [
        ("unit_tokens.secret", NOBODY, "/state/secrets.json"),
        ("files#1.path", stat.S_IRWXO, "/home/legacy/credentials"),
        ("files#2.path", stat.S_IRWXO, "/run/rolecall/token"),
    ]


def test_whom_we_trust_to_be_identity_center_is_named(tmp_path: Path) -> None:
    center = '[identity_center]\nstart_url = "https://example.awsapps.com/start"\nregion = "eu-central-1"'
    key = '[key]\ncustodian = "pem"\ndirectory = "/keys"'
    assert "identity_center.ca_bundle" not in of(tmp_path, key, center)
    found = of(tmp_path, key, f'{center}\nca_bundle = "/c"')
    assert found["identity_center.ca_bundle"] == Named("identity_center.ca_bundle", Path("/c"))


def test_whom_a_rule_trusts_may_be_read_by_all_and_written_by_few(tmp_path: Path) -> None:
    rule = '[verify.api]\nissuer = "https://login.example.com"\naudiences = ["a"]\nca_bundle = "/c"\n'
    found = of(tmp_path, PKCS11, rule)
    assert found["verify.api.ca_bundle"] == Named("verify.api.ca_bundle", Path("/c"), stat.S_IWOTH)
