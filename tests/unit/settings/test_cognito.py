"""What the operator may say about Cognito; each mistake has its words in mistakes.toml."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings import Cognito, IdentityPoolRole, Settings, load
from agent.settings.doubts import warnings
from agent.settings.section import Surroundings, read

WORDS = {
    "source": "cognito",
    "region": "eu-central-1",
    "user_pool": "eu-central-1_Ab129faBb",
    "client_id": "client",
    "user": "machine-${HOST}",
}
POOL = "eu-central-1:01234567-89ab-cdef-0123-456789abcdef"
WHOLE = f"""
[identity]
source = "cognito"
region = "eu-central-1"
user_pool = "eu-central-1_Ab129faBb"
client_id = "client"
user = "machine"
[sts]
region = "eu-central-1"
[roles.backup]
source = "identity_pool"
arn = "arn:aws:iam::123456789012:role/path/backup"
identity_pool = "{POOL}"
[[grants]]
roles = ["backup"]
token_file = "/etc/rolecall/tokens/backup"
"""


def words(**changes: object) -> Cognito:
    section, mistakes = read(Cognito, WORDS | changes, "identity", Surroundings(Path("/etc"), None, {"HOST": "web-1"}))
    assert mistakes == []
    assert section is not None
    return section


def loaded(text: str, tmp_path: Path) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text(text)
    return load(path, environ={}, host="web-1")


def refused(text: str, tmp_path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(text, tmp_path)
    return caught.value.what.splitlines()


def test_templates_are_filled_in_and_names_are_derived() -> None:
    section = words()
    assert section.user == "machine-web-1"
    assert section.issuer == "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb"
    assert section.provider_name == "cognito-idp.eu-central-1.amazonaws.com/eu-central-1_Ab129faBb"
    assert section.secret_paths == {}
    china = words(region="cn-north-1", user_pool="cn-north-1_Ab1")
    assert china.issuer == "https://cognito-idp.cn-north-1.amazonaws.com.cn/cn-north-1_Ab1"


def test_files_with_secrets_are_named() -> None:
    section = words(password_file="/p", client_secret_file="/c")
    assert section.secret_paths == {"client_secret_file": Path("/c"), "password_file": Path("/p")}


def test_a_whole_configuration_has_no_key_and_no_doubt(tmp_path: Path) -> None:
    settings = loaded(WHOLE, tmp_path)
    role = settings.roles["backup"]
    assert isinstance(role, IdentityPoolRole)
    assert (role.account, role.identity, role.region) == ("123456789012", role.arn, "eu-central-1")
    assert settings.key is None
    assert warnings(settings) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ((POOL, POOL.replace("eu-central-1", "us-east-1")), "roles.backup.identity_pool: is in"),
        (("arn:aws:iam", "arn:aws-cn:iam"), "roles.backup.arn: is in partition aws-cn"),
        ((POOL, "pool"), 'roles.backup.identity_pool: "pool" is no id'),
        (("arn:aws:iam::123456789012:role/path/backup", "backup"), 'roles.backup.arn: "backup" is not the ARN'),
        (('identity_pool = "', 'duration = "1h"\nidentity_pool = "'), "roles.backup.duration: means nothing here"),
        (("[[grants]]", '[[grants]]\nduration = "1h"'), "grants#1.duration: cannot narrow the role backup"),
        (("[[grants]]", '[[grants]]\ntags = { a = "b" }'), "grants#1.tags: cannot narrow the role backup"),
        (
            ("[[grants]]", '[[files]]\nkind = "web_identity_token"\npath = "/run/t"\nrole = "backup"\n[[grants]]'),
            "files#1.kind: means nothing for the role backup: an identity pool",
        ),
        (("[sts]", 'audience = "x"\n[sts]'), "identity.audience: is the app client here"),
    ],
)
def test_what_does_not_agree_is_said_with_its_setting(change: tuple[str, str], said: str, tmp_path: Path) -> None:
    assert any(line.startswith(said) for line in refused(WHOLE.replace(*change), tmp_path)), refused(
        WHOLE.replace(*change), tmp_path
    )


def test_what_is_kept_of_a_sign_in_is_not_shown_to_the_world(tmp_path: Path) -> None:
    more: Mapping[str, str] = {
        "[sts]": 'state = "/srv/www/cognito.json"\n[publishing]\nto = "directory"\ndirectory = "/srv/www"\n'
        '[issuer]\nurl = "https://oidc.example.com"\n[key]\ncustodian = "pem"\ndirectory = "/k"\n[sts]'
    }
    text = WHOLE
    for old, new in more.items():
        text = text.replace(old, new)
    assert any(line.startswith("identity.state: is in publishing.directory") for line in refused(text, tmp_path))
