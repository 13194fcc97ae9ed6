from datetime import timedelta

import pytest

from agent.credentials.sts import Answer, Role
from agent.errors import ConfigurationError


@pytest.mark.parametrize(
    ("arn", "session_arn"),
    [
        ("arn:aws:iam::123456789012:role/backup", "arn:aws:sts::123456789012:assumed-role/backup/host"),
        ("arn:aws:iam::123456789012:role/a/b/backup", "arn:aws:sts::123456789012:assumed-role/backup/host"),
        ("arn:aws-cn:iam::123456789012:role/x", "arn:aws-cn:sts::123456789012:assumed-role/x/host"),
        ("arn:aws-us-gov:iam::123456789012:role/x", "arn:aws-us-gov:sts::123456789012:assumed-role/x/host"),
        ("arn:aws-eusc:iam::123456789012:role/x+=,.@-", "arn:aws-eusc:sts::123456789012:assumed-role/x+=,.@-/host"),
    ],
)
def test_a_session_is_named_by_the_role_without_its_path(arn: str, session_arn: str) -> None:
    role = Role(arn, "host", timedelta(hours=1))
    assert role.session_arn == session_arn
    assert role.account_id == "123456789012"


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "backup",
        "arn:aws:iam::123456789012:user/backup",
        "arn:aws:iam::12345678901:role/backup",
        "arn:aws:iam::\u0661\u06623456789012:role/backup",
        "arn:aws:sts::123456789012:assumed-role/backup/host",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/backup\n",
        "arn:aws:iam::123456789012:role/back up",
        "arn:amazon:iam::123456789012:role/backup",
    ],
)
def test_what_is_no_arn_of_a_role_is_refused_with_its_setting(arn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"roles\.web\.arn"):
        Role(arn, "host", timedelta(hours=1), setting="roles.web")


def test_an_answer_does_not_print_what_it_grants() -> None:
    answer = Answer("Success", result={"Credentials": {"SecretAccessKey": "canary"}})
    assert answer.granted
    assert "canary" not in f"{answer!r} {answer}"
