import os
from pathlib import Path

import pytest

from agent.cli.environment import TOKEN, TOKEN_FILE, UNSET, environment, over_default_profile
from agent.cli.reach import Access
from agent.secret import Secret
from agent.settings import Address

HERE = Address("127.0.0.1", 9170)
WITH_TOKEN = Access("backup", HERE, Secret("a-token"), Path("/etc/rolecall/tokens/backup"))


def test_the_token_is_given_as_value_and_as_file_since_each_sdk_knows_its_own() -> None:
    env = environment(WITH_TOKEN, {})
    assert env.settings == {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9170/v1/credentials/backup",
        TOKEN: "a-token",
        TOKEN_FILE: "/etc/rolecall/tokens/backup",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    assert env.unset == UNSET


def test_a_file_that_holds_more_than_the_token_is_not_handed_to_sdks_that_would_send_all_of_it() -> None:
    env = environment(Access("backup", HERE, Secret("a-token"), Path("/token"), bare=False), {})
    assert env.settings[TOKEN] == "a-token"
    assert TOKEN_FILE not in env.settings
    assert TOKEN_FILE in env.unset


def test_where_anyone_may_have_the_role_no_token_is_left_over() -> None:
    env = environment(Access("reports", HERE), {TOKEN: "of another role"})
    assert not {TOKEN, TOKEN_FILE} & env.settings.keys()
    assert {TOKEN, TOKEN_FILE} <= set(env.unset)


def test_nothing_is_both_set_and_unset() -> None:
    for reach in (WITH_TOKEN, Access("reports", HERE)):
        env = environment(reach, {})
        assert not env.settings.keys() & set(env.unset)


@pytest.mark.parametrize(
    "name",
    [
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
    ],
)
def test_what_sdks_ask_before_us_is_taken_away(name: str) -> None:
    assert name in environment(WITH_TOKEN, {name: "x"}).unset


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        ({}, "127.0.0.1,localhost"),
        ({"NO_PROXY": "internal"}, "internal,127.0.0.1,localhost"),
        ({"no_proxy": "internal"}, "internal,127.0.0.1,localhost"),
        ({"NO_PROXY": "a", "no_proxy": "b"}, "a,b,127.0.0.1,localhost"),
        ({"NO_PROXY": "a, b,,localhost", "no_proxy": "a"}, "a,b,localhost,127.0.0.1"),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_no_proxy_is_added_to_and_both_names_say_the_same(present: dict[str, str], expected: str) -> None:
    settings = environment(WITH_TOKEN, present).settings
    assert (settings["NO_PROXY"], settings["no_proxy"]) == (expected, expected)


def test_an_ipv6_address_stands_in_no_proxy_as_programs_write_it() -> None:
    settings = environment(Access("backup", Address("::1", 9170)), {}).settings
    assert settings["AWS_CONTAINER_CREDENTIALS_FULL_URI"] == "http://[::1]:9170/v1/credentials/backup"
    assert settings["NO_PROXY"] == "::1,[::1],127.0.0.1,localhost"


KEYS = "aws_access_key_id = x\naws_secret_access_key = y\n"


@pytest.mark.parametrize(
    ("file", "content", "hidden"),
    [
        ("credentials", f"[default]\n{KEYS}", {"AWS_SHARED_CREDENTIALS_FILE"}),
        ("credentials", f"[default]\nregion = x\n[other]\n{KEYS}", set()),
        ("config", f"[default]\n{KEYS}", {"AWS_CONFIG_FILE"}),
        ("config", "[default]\nregion = eu-central-1\n", set()),
        ("credentials", "no ini at all\0\xff", set()),
    ],
)
def test_keys_of_a_default_profile_are_hidden_and_nothing_else_is(
    file: str, content: str, hidden: set[str], tmp_path: Path
) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / file).write_text(content, encoding="latin-1")
    assert over_default_profile({"HOME": str(tmp_path)}) == dict.fromkeys(hidden, os.devnull)


def test_the_file_that_a_variable_names_is_the_one_that_counts(tmp_path: Path) -> None:
    named = tmp_path / "keys"
    named.write_text(f"[default]\n{KEYS}")
    present = {"HOME": str(tmp_path), "AWS_SHARED_CREDENTIALS_FILE": str(named)}
    assert over_default_profile(present) == {"AWS_SHARED_CREDENTIALS_FILE": os.devnull}


def test_without_a_home_there_is_nothing_to_hide() -> None:
    assert over_default_profile({}) == {}
