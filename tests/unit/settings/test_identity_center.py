from collections.abc import Callable
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings import IdentityCenterRole, Settings, load
from agent.settings.identity_center import identity_center_of, of_people_alone

CENTER = '[identity_center]\nstart_url = "https://example.awsapps.com/start"\nregion = "eu-west-1"\n'
ROLE = '[roles.dev]\nsource = "identity_center"\naccount = "123456789012"\npermission_set = "Developer"\n'
GRANT = '[[grants]]\nroles = ["dev"]\nanyone = true\n'
STS_ROLE = '[roles.backup]\narn = "arn:aws:iam::123456789012:role/backup"\n'
Read = Callable[[str], Settings]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def reading(text: str) -> Settings:
        (tmp_path / "rolecall.toml").write_text(text)
        return load(tmp_path / "rolecall.toml", environ={}, host="web-1")

    return reading


def test_where_only_people_sign_in_there_is_no_issuer_no_key_and_the_sts_of_the_region(read: Read) -> None:
    settings = read(CENTER + ROLE + GRANT)
    assert settings.issuer is None
    assert settings.key is None
    assert settings.sts.region == "eu-west-1"
    assert settings.token_roles == {}
    role = settings.roles["dev"]
    assert isinstance(role, IdentityCenterRole)
    assert role.identity == "permission set Developer of account 123456789012"


def test_a_role_that_is_had_for_a_token_still_needs_an_issuer_a_key_and_a_region(read: Read) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(CENTER + ROLE + STS_ROLE + GRANT)
    assert {line.split(":")[0] for line in caught.value.what.splitlines()} == {"issuer", "key", "sts.region"}


def test_both_kinds_stand_side_by_side(read: Read) -> None:
    sts = '[issuer]\nurl = "https://oidc.example.com"\n[key]\ncustodian = "pem"\ndirectory = "keys"\n'
    settings = read(CENTER + sts + '[sts]\nregion = "eu-central-1"\n' + ROLE + STS_ROLE + GRANT)
    assert [*settings.token_roles] == ["backup"]
    assert [*settings.roles] == ["dev", "backup"]
    assert settings.sts.region == "eu-central-1"


def test_a_start_url_is_kept_byte_for_byte(read: Read) -> None:
    """Cache files are named for it."""
    settings = read(CENTER.replace("/start", "/start#/") + ROLE + GRANT)
    assert settings.identity_center is not None
    assert settings.identity_center.start_url == "https://example.awsapps.com/start#/"


def test_a_cache_of_our_own_starts_at_the_configuration(read: Read, tmp_path: Path) -> None:
    settings = read(CENTER + 'cache = "sso"\n' + ROLE + GRANT)
    assert settings.identity_center is not None
    assert settings.identity_center.cache == tmp_path / "sso"


def test_what_is_wrong_on_a_command_line_is_told_by_option() -> None:
    with pytest.raises(ConfigurationError) as caught:
        identity_center_of({"start_url": "ftp://example.com"})
    assert caught.value.what.startswith("--start-url")
    assert "--region is missing" in caught.value.what


@pytest.mark.parametrize(
    ("roles", "alone"),
    [
        ({"dev": {"source": "identity_center"}}, True),
        ({"dev": {"source": "identity_center"}, "backup": {"arn": "x"}}, False),
        ({"dev": "text"}, False),
        ({}, False),
        ("text", False),
    ],
)
def test_whether_anybody_needs_a_token_is_known_from_what_is_written(roles: object, alone: bool) -> None:  # noqa: FBT001 - as expected
    assert of_people_alone({"roles": roles}) is alone
