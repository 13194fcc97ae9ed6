from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.errors import ConfigurationError
from agent.infrastructure import Account, Role, by_account

HOUR = timedelta(hours=1)
HERE = Account("aws", "123456789012")


def a_role(name: str = "backup", arn: str = "arn:aws:iam::123456789012:role/backup", hours: float = 1) -> Role:
    return Role.of(name, arn, timedelta(hours=hours))


@pytest.mark.parametrize(
    ("arn", "account", "path", "name"),
    [
        ("arn:aws:iam::123456789012:role/backup", HERE, "/", "backup"),
        ("arn:aws:iam::123456789012:role/site/a/backup", HERE, "/site/a/", "backup"),
        ("arn:aws:iam::123456789012:role/a+=,.@-_Z9", HERE, "/", "a+=,.@-_Z9"),
        ("arn:aws-cn:iam::210987654321:role/x", Account("aws-cn", "210987654321"), "/", "x"),
        ("arn:aws-us-gov:iam::210987654321:role/x", Account("aws-us-gov", "210987654321"), "/", "x"),
        ("arn:aws-iso-b:iam::210987654321:role/x", Account("aws-iso-b", "210987654321"), "/", "x"),
    ],
)
def test_an_arn_is_taken_apart_and_put_together_again(arn: str, account: Account, path: str, name: str) -> None:
    role = Role.of("web", arn, HOUR)
    assert (role.account, role.path, role.role, role.arn) == (account, path, name, arn)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "backup",
        "arn:aws:iam::123456789012:user/backup",
        "arn:aws:iam::12345:role/backup",
        "arn:aws:iam:eu-central-1:123456789012:role/backup",
        "arn:aws:sts::123456789012:assumed-role/backup/session",
        "arn:aws:iam::123456789012:role/",
        "arn:aws:iam::123456789012:role/back up",
        "arn:aws:iam::123456789012:role/backup\n",
        "arn:aws:iam::123456789012:role/" + "x" * 65,
        "arn:gcp:iam::123456789012:role/backup",
        "arn:aws:iam::١٢٣٤٥٦٧٨٩٠١٢:role/backup",
    ],
)
def test_what_is_not_a_roles_arn_is_refused_by_its_name(arn: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^roles\.web: .* is not the ARN of an IAM role$") as refused:
        Role.of("web", arn, HOUR)
    assert refused.value.hint


@pytest.mark.parametrize(("asked", "allowed"), [(0.25, 1), (1, 1), (3, 3), (12, 12), (20, 12)])
def test_the_longest_session_is_what_is_asked_for_within_what_iam_allows(asked: float, allowed: float) -> None:
    assert a_role(hours=asked).max_session == timedelta(hours=allowed)


def test_two_entries_with_one_arn_are_one_role_with_the_longer_session() -> None:
    assert by_account([a_role("reader", hours=2), a_role("writer", hours=4), a_role("short", hours=1)]) == {
        HERE: (Role(("reader", "writer", "short"), HERE, "/", "backup", timedelta(hours=4)),)
    }


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from("abc")), max_size=12))
def test_every_role_is_in_its_own_account_and_no_name_is_lost(entries: list[tuple[int, str]]) -> None:
    arns = [f"arn:aws:iam::{number:012}:role/{name}" for number, name in entries]
    sorted_out = by_account([a_role(f"name-{number}", arn) for number, arn in enumerate(arns)])
    names = [name for roles in sorted_out.values() for role in roles for name in role.names]
    assert sorted(names) == sorted(f"name-{number}" for number in range(len(entries)))
    for account, roles in sorted_out.items():
        assert {role.account for role in roles} == {account}
        assert len({role.arn for role in roles}) == len(roles)
    assert list(sorted_out) == sorted(sorted_out)


def test_files_are_named_after_the_account_and_its_partition_where_that_is_unusual() -> None:
    assert HERE.label == "123456789012"
    assert Account("aws-cn", "123456789012").label == "aws-cn-123456789012"
