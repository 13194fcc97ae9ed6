import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.assembly.infrastructure import infrastructure_files
from agent.errors import ConfigurationError
from agent.settings import load

BASE = """
[issuer]
url = "{issuer}"
[key]
custodian = "pem"
directory = "keys"
[identity]
{identity}
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
{role}
[[grants]]
roles = ["backup"]
anyone = true
{rest}
"""


def files_of(
    home: Path, *, issuer: str = "https://oidc.example.com", identity: str = "", role: str = "", rest: str = ""
) -> tuple[Mapping[str, str], ConfigurationError | None]:
    path = home / "rolecall.toml"
    path.write_text(BASE.format(issuer=issuer, identity=identity, role=role, rest=rest))
    return infrastructure_files(load(path, environ={}, host="web-1"))


S3 = '[publishing]\nto = "s3"\nbucket = "oidc-docs"\nregion = "eu-central-1"\ncredentials = "profile:p"\n'
GRANT = '[[grants]]\nroles = ["backup"]\nunit = "backup.service"\n'
DIRECTORY = '[publishing]\nto = "directory"\ndirectory = "/srv/www/oidc"\n'


@pytest.mark.parametrize(
    ("rest", "more"),
    [
        ("", set[str]()),
        (DIRECTORY, {"nginx/oidc.example.com.conf"}),
        (
            S3,
            {"terraform/hosting/main.tf", "cloudformation/hosting.yaml", "cloudformation/hosting-certificate.yaml"},
        ),
    ],
    ids=["no place", "directory", "s3"],
)
def test_each_place_has_its_files_beside_those_of_the_account(tmp_path: Path, rest: str, more: set[str]) -> None:
    files, why_not = files_of(tmp_path, rest=rest)
    assert set(files) == {"terraform/123456789012/main.tf", "cloudformation/123456789012.yaml"} | more
    assert why_not is None


def test_a_place_that_cannot_be_hosted_says_so_and_loses_only_its_own_files(tmp_path: Path) -> None:
    files, why_not = files_of(tmp_path, rest=S3.replace("oidc-docs", "oidc.docs"))
    assert set(files) == {"terraform/123456789012/main.tf", "cloudformation/123456789012.yaml"}
    assert why_not is not None


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"identity": 'tags = { team = "web" }'}, "sts:TagSession"),
        ({"role": 'tags = { team = "web" }'}, "sts:TagSession"),
        ({"rest": f'{GRANT}tags = {{ unit = "${{UNIT}}" }}\n'}, "sts:TagSession"),
        ({"identity": 'source_identity = "web-1"'}, "sts:SetSourceIdentity"),
        ({"rest": f'{GRANT}source_identity = "${{USER}}"\n'}, "sts:SetSourceIdentity"),
        ({"rest": '[infrastructure]\ndirectory = "."\nrequire_pinning = true\n'}, "sts:RoleAuthorizedByIdp"),
    ],
    ids=["tags", "tags of a role", "tags of a grant", "source identity", "source identity of a grant", "pinning"],
)
def test_the_trust_policies_fit_the_tokens_that_are_configured(tmp_path: Path, how: dict[str, str], word: str) -> None:
    with_it, without = files_of(tmp_path, **how)[0], files_of(tmp_path)[0]
    for path, text in with_it.items():
        assert word in text
        assert word not in without[path]
    assert json.dumps(dict(files_of(tmp_path)[0])) == json.dumps(dict(without))


def test_tokens_of_somebody_else_call_for_no_files(tmp_path: Path) -> None:
    files, why_not = files_of(tmp_path, identity='source = "file"\nfile = "/run/token"')
    assert (dict(files), why_not) == ({}, None)


def actions(files: Mapping[str, str]) -> set[str]:
    text = "".join(files.values())
    return {action for action in ("sts:TagSession", "sts:SetSourceIdentity") if action in text}


@pytest.mark.parametrize(
    ("narrowing", "needed"),
    [
        ("", set[str]()),
        ('[[grants]]\nroles = ["backup"]\nunit = "a.service"\nduration = "15m"\n', set[str]()),
        ('[[grants]]\nroles = ["backup"]\nunit = "a.service"\ntags = { unit = "${UNIT}" }\n', {"sts:TagSession"}),
        (
            '[[grants]]\nroles = ["backup"]\nunit = "a.service"\nsource_identity = "${UNIT}"\n',
            {"sts:SetSourceIdentity"},
        ),
    ],
    ids=["whole", "shorter", "tags", "source identity"],
)
def test_what_grants_put_into_tokens_is_allowed_by_the_roles(tmp_path: Path, narrowing: str, needed: set[str]) -> None:
    assert actions(files_of(tmp_path, rest=narrowing)[0]) == needed


def test_what_trusts_a_provider_names_it_and_what_its_tokens_say(tmp_path: Path) -> None:
    provider = """
source = "oauth2"
issuer = "https://login.example.com"
client_id = "us"
client_secret_file = "/secret"
audience = "aws"
expected_subject = "our-subject"
"""

    files, why_not = files_of(tmp_path, identity=provider, rest=DIRECTORY)

    assert set(files) == {"terraform/123456789012/main.tf", "cloudformation/123456789012.yaml"}
    assert all(word in files["terraform/123456789012/main.tf"] for word in ("login.example.com", "aws", "our-subject"))
    assert not any("oidc.example.com" in text for text in files.values())
    assert why_not is None


def test_of_a_provider_that_nobody_described_nothing_is_written(tmp_path: Path) -> None:
    provider = 'source = "oauth2"\nissuer = "https://login.example.com"\nclient_id = "us"\nclient_secret_file = "/s"'

    assert files_of(tmp_path, identity=provider) == ({}, None)
