"""The words of each mistake are in mistakes.toml; here, what is none, and what a file with tokens alone needs."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from agent.errors import ConfigurationError
from agent.settings import Settings, TokenFile, load
from agent.settings.token_granting import gives_tokens

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
ALONE = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
"""
GRANT = '[[grants]]\naudiences = ["vault"]\nunit = "web.service"\n'
FILE = '[[files]]\nkind = "token"\npath = "vault.jwt"\naudience = "vault"\n'


def written(home: Path, text: str) -> Settings:
    path = home / "rolecall.toml"
    path.write_text(text)
    return load(path, environ={}, host="web-1")


@pytest.mark.parametrize("table", [GRANT, FILE])
def test_where_there_are_tokens_there_need_be_no_roles_and_no_sts(table: str, tmp_path: Path) -> None:
    known = written(tmp_path, ALONE + table)
    assert (known.roles, known.token_roles) == ({}, {})
    assert known.issuer is not None


@pytest.mark.parametrize("table", [GRANT, FILE])
def test_tokens_need_an_issuer_and_a_key(table: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        written(tmp_path, table)
    assert [line.split(":")[0] for line in caught.value.what.splitlines()] == ["issuer", "key"]


def test_without_tokens_there_have_to_be_roles(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        written(tmp_path, ALONE)
    assert {line.split(":")[0] for line in caught.value.what.splitlines()} == {"roles", "sts.region"}


def test_people_who_sign_in_may_have_tokens_as_well(tmp_path: Path) -> None:
    center = """
[identity_center]
start_url = "https://example.awsapps.com/start"
region = "eu-central-1"
[roles.developer]
source = "identity_center"
account = "123456789012"
permission_set = "Developer"
"""
    assert written(tmp_path, ALONE + center + GRANT).issuer is not None
    with pytest.raises(ConfigurationError) as caught:
        written(tmp_path, center + GRANT)
    assert [line.split(":")[0] for line in caught.value.what.splitlines()] == ["issuer", "key"]


def test_a_token_in_a_file_is_read_with_all_it_says(read: Read, tmp_path: Path) -> None:
    more = 'scopes = "read"\nsubject = "vm-${HOST}"\nclaims = { team = "web" }\nlifetime = "2m"\ngroup = "web"\n'
    (file,) = read(("", f"\n{FILE}{more}")).files
    assert isinstance(file, TokenFile)
    assert (file.path, file.audience, file.permissions) == (tmp_path / "vault.jwt", "vault", 0o640)
    said = file.wording("host:web-1")
    assert (said.subject, said.as_claims()) == ("vm-web-1", {"scope": "read", "team": "web"})


def test_a_token_of_a_file_is_not_for_sts_either(mistakes: Mistakes) -> None:
    told = mistakes(("", f"\n{FILE}".replace('"vault"', '"sts.amazonaws.com"')))
    assert told[0].startswith('files#1.audience: "sts.amazonaws.com" is what STS takes for a role')


def test_two_tokens_are_not_in_one_file(mistakes: Mistakes) -> None:
    assert mistakes(("", f"\n{FILE}{FILE}")) == [
        "files#2.path: is that of files#1; each needs a file of its own",
    ]


@pytest.mark.parametrize(
    ("words", "whether"),
    [
        ({}, False),
        ({"grants": "x", "files": 1}, False),
        ({"grants": [1, {"roles": ["a"]}], "files": [{"kind": "credentials"}, 2]}, False),
        ({"grants": [{"audiences": 1}]}, True),
        ({"files": [{"kind": "token"}]}, True),
    ],
)
def test_whether_tokens_are_meant_is_seen_whatever_is_written(words: Mapping[str, object], whether: bool) -> None:  # noqa: FBT001 - a row
    assert gives_tokens(words) is whether
