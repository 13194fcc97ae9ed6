from pathlib import Path

import pytest

from agent.cli.summary import custodian, place, rotation, summary
from agent.settings import Settings, load

GOOD = """
[issuer]
url = "https://oidc.example.com"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
"""
PKCS11 = 'custodian = "pkcs11"\nmodule = "/m.so"\npin_file = "/pin"\n'
KMS = 'custodian = "aws_kms"\nkey_id = "alias/rolecall"\nregion = "eu-central-1"\ncredentials = "instance"'
VAULT = 'custodian = "vault_transit"\naddress = "https://vault.example.com"\nkey = "rolecall"\ntoken_file = "/t"'
KEYS = '[key]\ncustodian = "pem"\ndirectory = "/keys"'


def read(where: Path, *sections: str) -> Settings:
    path = where / "rolecall.toml"
    path.write_text("\n".join([GOOD, *sections]), encoding="utf-8")
    return load(path, environ={}, host="web-1")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('custodian = "pem"\ndirectory = "/keys"', "pem, in /keys"),
        ('custodian = "pem"\nfile = "/k"\npassphrase_file = "/p"', "pem, in /k, with a passphrase"),
        (f'{PKCS11}label = "rolecall"', 'pkcs11, the label "rolecall", by /m.so'),
        (f'{PKCS11}label = "a"\ntoken = "hsm"', 'pkcs11, the label "a" in the token "hsm", by /m.so'),
        (f'{PKCS11}uri = "pkcs11:id=%01"', "pkcs11, pkcs11:id=%01, by /m.so"),
        ('custodian = "tpm2"\nhandle = "0x81000042"', "tpm2, at 0x81000042, by device:/dev/tpmrm0"),
        ('custodian = "tpm2"\nfile = "/k.tss"\ntcti = "tabrmd"', "tpm2, in /k.tss, by tabrmd"),
        (KMS, "aws_kms, alias/rolecall of eu-central-1, with credentials of instance"),
        (f'{KMS}\nendpoint_url = "https://kms.example.com"',
         "aws_kms, alias/rolecall of https://kms.example.com, with credentials of instance"),
        (VAULT, "vault_transit, transit/keys/rolecall of https://vault.example.com"),
        (f'{VAULT}\nnamespace = "platform"',
         "vault_transit, transit/keys/rolecall of https://vault.example.com in the namespace platform"),
    ],
)  # fmt: skip
def test_each_custodian_is_told_by_where_its_keys_are(words: str, told: str, tmp_path: Path) -> None:
    key = read(tmp_path, f"[key]\n{words}").key
    assert key is not None
    assert custodian(key) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("", "every 90d; a new key is shown for 1d before it signs, an old one for 1d after"),
        ('automatic = false\nkeep = "2d"',
         "when told; a new key is shown for 1d before it signs, an old one for 2d after"),
        ('every = "30d"\nkind = "ec-p256"\nannounce = "3h"',
         "every 30d, as ec-p256; a new key is shown for 3h before it signs, an old one for 1d after"),
    ],
)  # fmt: skip
def test_a_rotation_is_told_by_its_times(words: str, told: str, tmp_path: Path) -> None:
    assert rotation(read(tmp_path, KEYS, f"[rotation]\n{words}").rotation) == told


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('to = "directory"\ndirectory = "/site"', "to /site"),
        ('to = "directory"\ndirectory = "/site"\ncertificates = "/x5c"', "to /site, with the certificates in /x5c"),
        ('to = "s3"\nbucket = "oidc"\nregion = "eu-central-1"\ncredentials = "role:backup"',
         "to s3://oidc, with credentials of role:backup"),
        ('to = "s3"\nbucket = "oidc"\nprefix = "site-a"\nregion = "eu-central-1"\ncredentials = "container"',
         "to s3://oidc/site-a, with credentials of container"),
        ('to = "https"\ncertificate = "/c"\nprivate_key = "/k"', "by ourselves, on https://0.0.0.0:443"),
    ],
)  # fmt: skip
def test_each_place_is_told_by_where_it_is(words: str, told: str, tmp_path: Path) -> None:
    words_of_place = read(tmp_path, KEYS, f"[publishing]\n{words}").publishing
    assert words_of_place is not None
    assert place(words_of_place) == told


def test_a_move_is_told_beside_what_there_is(tmp_path: Path) -> None:
    told = list(summary(read(tmp_path, KEYS, f"[key.next]\n{KMS}", '[rotation]\nstate = "/keys"'), None))
    assert told[1:5] == [
        "key          not tried",
        "custodian    pem, in /keys",
        "moving to    aws_kms, alias/rolecall of eu-central-1, with credentials of instance",
        "rotation     when told; a new key is shown for 1d before it signs, an old one for 1d after",
    ]


FURTHER = '[callers]\nexecutables = true\n[containers]\nengine = "podman"\nlisten = "169.254.170.2:80"\n[unit_tokens]'


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("anyone = true", "anyone"),
        ('user = "alice"', 'user "alice"'),
        ('user = ["alice", "1000"]\nunit = "a@*.service"', 'user "alice" or "1000" and unit "a@*.service"'),
        ('group = "ops"\nslice = "a.slice"', 'whoever is in the group "ops" and whatever is in the slice "a.slice"'),
        ('user_unit = "sync.service"', 'the user\'s own unit "sync.service"'),
        ('container = "web"', 'container "web"'),
        ('token_file = ["/a", "/b"]', 'who shows a token of "/a" or "/b"'),
        ('unit_token = "a.service"\nexecutable = "/bin/a"',
         'program "/bin/a" and who shows the token of unit "a.service"'),
        ('user = "alice"\nduration = "15m"\nsession_name = "${HOST}-${UID}"\ntags = { a = "b", c = "d" }',
         'user "alice"; for 15m, as web-1-${UID}, tagged with a, c'),
        ('user = "alice"\npolicy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]\nsource_identity = "${USER}"',
         'user "alice"; with a policy, with the source identity ${USER}'),
    ],
)  # fmt: skip
def test_each_grant_is_told_by_who_gets_how_much(words: str, told: str, tmp_path: Path) -> None:
    grant = f'[[grants]]\nroles = ["backup"]\n{words}'
    lines = list(summary(read(tmp_path, KEYS, grant, FURTHER), None))
    assert [line for line in lines if line.startswith("grant ")][1] == f"grant        backup: {told}"


def test_what_tokens_for_others_say_is_told(tmp_path: Path) -> None:
    grants = """
[[grants]]
audiences = ["orders", "vault"]
unit = "web.service"
subject = "${HOST}/${UNIT}"
scopes = ["read", "write"]
claims = { team = "web", uid = "${UID}" }
[[grants]]
roles = ["backup"]
audiences = ["vault"]
user = "alice"
duration = "15m"
lifetime = "2m"
[[files]]
kind = "token"
path = "/gcp.jwt"
audience = "gcp"
lifetime = "1h"
"""
    lines = list(summary(read(tmp_path, KEYS, grants), None))
    assert [line for line in lines if line.startswith(("grant", "file"))][1:] == [
        (
            'grant        tokens for orders, tokens for vault: unit "web.service"; tokens good for 10m, '
            "of web-1/${UNIT}, with the scopes read write, with team, uid"
        ),
        'grant        backup, tokens for vault: user "alice"; for 15m; tokens good for 2m',
        "file         /gcp.jwt: a token for gcp, good for 1h",
    ]


def test_where_there_are_no_roles_no_sts_is_told_of(tmp_path: Path) -> None:
    path = tmp_path / "rolecall.toml"
    path.write_text(f'[issuer]\nurl = "https://oidc.example.com"\n{KEYS}\n[[grants]]\naudiences = "a"\nanyone = true\n')
    lines = list(summary(load(path, environ={}, host="web-1"), None))
    assert not [line for line in lines if line.startswith("STS")]
    assert "grant        tokens for a: anyone; tokens good for 10m" in lines


def test_every_listener_and_file_is_told(tmp_path: Path) -> None:
    listen = '[listen]\ncredentials = ["127.0.0.1:0", "[::1]:9170"]\nadmin = "127.0.0.1:0"\nimds = "127.0.0.1:9172"'
    files = "".join(
        f'[[files]]\nkind = "{kind}"\npath = "/{kind}"\nrole = "backup"\n{more}\n'
        for kind, more in (("credentials", 'profile = "p"'), ("web_identity_token", ""))
    )
    lines = list(summary(read(tmp_path, KEYS, FURTHER, listen, files), None))
    assert lines[lines.index("grant        backup: anyone") + 1 :] == [
        "file         /credentials: credentials of backup, in the profile p",
        "file         /web_identity_token: an identity token for backup",
        "credentials  http://127.0.0.1:0",
        "credentials  http://[::1]:9170",
        "admin        http://127.0.0.1:0",
        "IMDS         http://127.0.0.1:9172",
        "containers   http://169.254.170.2:80, known by podman at /run/podman/podman.sock",
        "unit tokens  /run/rolecall/unit-tokens.sock, new every 30d",
    ]


def test_the_listener_for_callers_inside_aws_is_told_with_whose_proofs_it_takes(tmp_path: Path) -> None:
    words = '[aws_callers]\nserver_id = "https://tokens.example.com"\ncertificate = "/c"\nprivate_key = "/k"'
    grant = '[[grants]]\naws_principal = "arn:aws:iam::123456789012:role/deploy"\naudiences = "a"'
    lines = list(summary(read(tmp_path, KEYS, words, grant), None))
    assert lines[-1] == "AWS callers  https://0.0.0.0:8443, as https://tokens.example.com"


def test_rules_for_tokens_of_others_are_told_and_where_to_ask(tmp_path: Path) -> None:
    rules = (
        '[verify.api]\nissuer = "https://login.example.com"\naudiences = ["a"]\nscopes = ["read"]\n'
        'claims = { team = "x" }\n'
        '[verify.own]\nissuer = "own"\naudiences = ["a", "b"]\n'
    )
    lines = list(summary(read(tmp_path, KEYS, rules), None))
    assert [line for line in lines if line.startswith(("rule", "verifying"))] == [
        "rule         api: tokens of https://login.example.com, for a, with the scopes read, with team",
        "rule         own: tokens of our own, for a or b",
        "verifying    http://127.0.0.1:9173",
    ]
    elsewhere = list(summary(read(tmp_path, KEYS, rules, '[listen]\nverify = "[::1]:9999"'), None))
    assert [line for line in elsewhere if line.startswith("verifying")] == ["verifying    http://[::1]:9999"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('issuer = "https://login.example.com"\nclient_secret_file = "/s"', "with a secret, of https://login.example.com"),
        ('token_endpoint = "https://login.example.com/token"\nclient_secret_file = "/s"',
         "with a secret, of https://login.example.com/token"),
        ('issuer = "https://a.example"\nclient_authentication = "tls"\nclient_certificate = "/c"\nclient_key = "/k"',
         "with a certificate, of https://a.example"),
        (f'issuer = "https://a.example"\nclient_authentication = "private_key_jwt"\n{KEYS}',
         "with a JWT that our key signs, of https://a.example"),
    ],
)  # fmt: skip
def test_a_provider_is_told_by_where_it_is_and_how_we_show_who_we_are(words: str, told: str, tmp_path: Path) -> None:
    settings = read(tmp_path, f'[identity]\nsource = "oauth2"\nclient_id = "us"\n{words}')
    assert f"identity     us, {told}" in [*summary(settings, None)]
