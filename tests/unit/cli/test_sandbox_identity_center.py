"""Does a configuration for people get the Identity Center that it asks for?"""

from datetime import timedelta
from pathlib import Path

import pytest

from agent.cli.sandbox_identity_center import USER, with_identity_center
from agent.errors import ConfigurationError
from agent.sandbox import World, practice_world
from agent.settings import Settings, load

PEOPLE = """
[identity_center]
start_url = "{url}"
region = "{region}"
scopes = ["sso:account:access", "codewhisperer:completions"]

[roles.developer]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"

[roles.reader]
source = "identity_center"
account = "210987654321"
permission_set = "ReadOnly"

[[grants]]
roles = ["developer", "reader"]
anyone = true
"""


def settings(
    home: Path, text: str = PEOPLE, url: str = "https://d-1.awsapps.com/start", region: str = "eu-west-1"
) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(text.format(url=url, region=region))
    return load(path, environ={}, host="web-1")


def test_one_user_has_what_the_roles_ask_for_and_nothing_else(tmp_path: Path) -> None:
    world = with_identity_center(settings(tmp_path), None)
    assert world.account_id == "123456789012"
    center = world.identity_center
    assert center
    assert (center.start_url, center.region) == ("https://d-1.awsapps.com/start", "eu-west-1")
    (user,) = center.users
    assert user.name == USER
    assert user.assignments == {"123456789012": ("Developer",), "210987654321": ("ReadOnly",)}
    assert [(one.name, one.session) for one in center.permission_sets] == [
        ("Developer", timedelta(hours=12)),
        ("ReadOnly", timedelta(hours=12)),
    ]
    assert center.scopes == ("sso:account:access", "codewhisperer:completions")


def test_a_world_that_is_there_keeps_all_that_it_has(tmp_path: Path) -> None:
    before = practice_world()
    after = with_identity_center(settings(tmp_path), before)
    assert after.roles == before.roles
    assert after.identity_center != before.identity_center


@pytest.mark.parametrize(
    "url",
    [
        "https://d-1.awsapps.com/start",
        "https://d-1.awsapps.com/start/",
        "https://d-1.awsapps.com/start#/",
        "https://d-1.awsapps.com/start/#/",
        "https://d-1.awsapps.com/start#",
        "https://portal.example.com",
        "https://portal.example.com/",
        "https://portal.example.com/#/",
    ],
)
def test_the_portal_is_known_by_the_url_that_is_written(url: str, tmp_path: Path) -> None:
    center = with_identity_center(settings(tmp_path, url=url), None).identity_center
    assert center
    assert center.is_start_url(url)
    assert not center.is_start_url("https://other.awsapps.com/start")


@pytest.mark.parametrize(
    ("region", "partition"), [("eu-west-1", "aws"), ("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")]
)
def test_roles_are_in_the_partition_of_the_region(region: str, partition: str, tmp_path: Path) -> None:
    assert with_identity_center(settings(tmp_path, region=region), None).partition == partition


def test_where_there_is_nothing_to_be_had_that_is_said(tmp_path: Path) -> None:
    token = """
[identity_center]
start_url = "{url}"
region = "{region}"

[identity]
source = "file"
file = "/var/run/token"

[sts]
region = "eu-central-1"

[roles.a]
arn = "arn:aws:iam::123456789012:role/a"

[[grants]]
roles = ["a"]
anyone = true
"""
    read = settings(tmp_path, token)
    with pytest.raises(ConfigurationError, match="no role of this configuration is had by a sign-in"):
        with_identity_center(read, None)
    center = with_identity_center(read, World()).identity_center
    assert center
    assert center.users[0].assignments == {"123456789012": ()}


def test_without_the_section_there_is_none(tmp_path: Path) -> None:
    token = """
[identity]
source = "file"
file = "/var/run/token"
[sts]
region = "eu-central-1"
[roles.a]
arn = "arn:aws:iam::123456789012:role/a"
[[grants]]
roles = ["a"]
anyone = true
"""
    with pytest.raises(ConfigurationError, match=r"no \[identity_center\]"):
        with_identity_center(settings(tmp_path, token), World())
