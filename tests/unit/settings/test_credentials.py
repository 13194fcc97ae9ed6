import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import Settings
from agent.settings.credentials import partition_of

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
ARN = "arn:aws:iam::123456789012:role/backup"
REGION = 'region = "eu-central-1"'


@pytest.mark.parametrize(
    ("region", "partition"),
    [
        ("eu-central-1", "aws"), ("us-east-1", "aws"), ("ap-southeast-7", "aws"), ("cn-northwest-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"), ("us-iso-east-1", "aws-iso"), ("us-isob-east-1", "aws-iso-b"),
        ("eu-isoe-west-1", "aws-iso-e"), ("us-isof-south-1", "aws-iso-f"), ("eusc-de-east-1", "aws-eusc"),
    ],
)  # fmt: skip
def test_each_region_takes_roles_of_its_own_partition(region: str, partition: str, read: Read) -> None:
    assert partition_of(region) == partition
    role = f"arn:{partition}:iam::123456789012:role/path/to/backup"
    found = read((REGION, f'region = "{region}"'), (ARN, role))
    assert found.sts.region == region
    assert found.token_roles["backup"].arn == role
    assert found.token_roles["backup"].account == "123456789012"


@pytest.mark.parametrize("url", ["https://sts.example.com", "https://sts.example.com:8443/x", "http://127.0.0.1:4566",
                                 "http://[::1]:4566", "http://localhost:4566"])  # fmt: skip
def test_an_endpoint_is_https_or_on_this_machine(url: str, read: Read) -> None:
    assert read((REGION, f'{REGION}\nendpoint_url = "{url}"')).sts.endpoint_url == url


@pytest.mark.parametrize("url", ["http://10.0.0.1", "ftp://a", "https://a:b", "https://a:0", "https://[", "https://a?b",
                                 "https://me@a", "//a", "https://a b", "http://127.0.0.1.example.com"])  # fmt: skip
def test_an_endpoint_that_cannot_be_used_is_refused(url: str, mistakes: Mistakes) -> None:
    told = mistakes((REGION, f'{REGION}\nendpoint_url = "{url}"'))
    assert len(told) == 1
    assert told[0].startswith("sts.endpoint_url: ")


def test_how_sts_is_reached_can_be_said(read: Read, tmp_path: Path) -> None:
    new = f'{REGION}\nfips = true\ndualstack = true\nca_bundle = "ca.pem"\nproxy = "http://proxy.example.com:3128"'
    sts = read((REGION, f'{new}\nconcurrency = 2\nconnect_timeout = "2s"\nread_timeout = "20s"')).sts
    assert (sts.fips, sts.dualstack, sts.ca_bundle) == (True, True, tmp_path / "ca.pem")
    assert (sts.proxy, sts.concurrency) == ("http://proxy.example.com:3128", 2)
    assert (sts.connect_timeout, sts.read_timeout) == (timedelta(seconds=2), timedelta(seconds=20))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("web-1", "rolecall-web-1"), ("web 1/a", "rolecall-web-1-a"), ("", "rolecall-"), ("wöb", "rolecall-w-b"),
        ("a" * 100, "rolecall-" + "a" * 55),
    ],
)  # fmt: skip
def test_the_default_session_name_bends_to_any_host(host: str, name: str, read: Read) -> None:
    found = read(('source = "self_signed"', 'subject = "somebody"'), host=host)
    assert found.token_roles["backup"].session_name == name


def test_a_session_name_that_is_written_has_to_fit_as_it_is(read: Read, mistakes: Mistakes) -> None:
    change = ('role/backup"', 'role/backup"\nsession_name = "${ROLE}@${HOST}"')
    assert read(change).token_roles["backup"].session_name == "backup@web-1"
    told = mistakes(change, host="web 1")
    assert len(told) == 1
    assert told[0].startswith('roles.backup.session_name: comes to "backup@web 1"; AWS takes 2 to 64 characters')


POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Sid": "é"}]}


def test_a_policy_is_kept_compact_wherever_it_was_written(read: Read, tmp_path: Path) -> None:
    pretty = json.dumps(POLICY, indent=8, ensure_ascii=False)
    (tmp_path / "policy.json").write_text(pretty, encoding="utf-8")
    inline = read(('role/backup"', f"role/backup\"\npolicy = '''{pretty}'''")).token_roles["backup"].session_policy
    filed = read(('role/backup"', 'role/backup"\npolicy_file = "policy.json"')).token_roles["backup"].session_policy
    assert inline == filed == json.dumps(POLICY, separators=(",", ":"))


@pytest.mark.parametrize("policy", ['{"Statement": NaN}', "[" * 100_000, "1" * 5000, '"Statement"', "", "null"])
def test_a_policy_that_is_none_is_refused(policy: str, mistakes: Mistakes) -> None:
    told = mistakes(('role/backup"', f"role/backup\"\npolicy = '{policy}'"))
    assert len(told) == 1
    assert told[0].startswith("roles.backup.policy: is ")


def test_a_policy_file_that_cannot_be_read_is_refused(mistakes: Mistakes, tmp_path: Path) -> None:
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe")
    (tmp_path / "large.json").write_text(" " * 100_000 + json.dumps(POLICY))
    for name, said in {
        ".": '"." is not a file',
        "/dev/zero": '"/dev/zero" is not a file',
        "none.json": '"none.json" cannot be read: No such file or directory',
        "bytes.json": '"bytes.json" is not UTF-8 text',
        "large.json": "is not JSON: line 1, column 65537 of the policy cannot be read",
        "": "is not a path",
    }.items():
        told = mistakes(('role/backup"', f'role/backup"\npolicy_file = "{name}"'))
        assert told == [f"roles.backup.policy_file: {said}"]


def test_managed_policies_of_the_account_and_of_aws_are_taken(read: Read) -> None:
    arns = ("arn:aws:iam::aws:policy/job-function/ViewOnlyAccess", "arn:aws:iam::123456789012:policy/a/b")
    found = read(('role/backup"', f'role/backup"\npolicy_arns = {json.dumps(arns)}'))
    assert found.token_roles["backup"].policy_arns == arns


@pytest.mark.parametrize("name", ["a", "0", "a.b_c-d", "a" * 63])
def test_roles_have_names_that_stand_in_urls(name: str, read: Read) -> None:
    found = read(("[roles.backup]", f'[roles."{name}"]'), ('roles = ["backup"]', f'roles = ["{name}"]'))
    assert list(found.roles) == [name]


@pytest.mark.parametrize("name", ["", "-a", ".a", "..", "a/b", "A", "a b", "é", "a" * 64, "a\\n"])
def test_other_names_are_refused(name: str, mistakes: Mistakes) -> None:
    told = mistakes(("[roles.backup]", f'[roles."{name}"]'), ('roles = ["backup"]', f'roles = ["{name or "x"}"]'))
    assert "is no name for a role" in told[0]


def test_a_role_has_tags_of_its_own(read: Read) -> None:
    found = read(('role/backup"', 'role/backup"\ntags = { for = "${ROLE} on ${HOST}" }'))
    assert found.token_roles["backup"].tags == {"for": "backup on web-1"}
