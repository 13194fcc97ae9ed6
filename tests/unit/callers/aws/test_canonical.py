import pytest

from agent.callers.aws import Principal
from agent.callers.aws.canonical import TOLD, facts, principal

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deploy"


@pytest.mark.parametrize(
    ("arn", "canonical", "session"),
    [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/i-0123456789abcdef0", ROLE, "i-0123456789abcdef0"),
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy/alice@example.com", ROLE, "alice@example.com"),
        (ROLE, ROLE, ""),
        (f"arn:aws:iam::{ACCOUNT}:role/team/ci/deploy", ROLE, ""),
        (f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/deploy/web", f"arn:aws-cn:iam::{ACCOUNT}:role/deploy", "web"),
        (
            f"arn:aws-us-gov:sts::{ACCOUNT}:assumed-role/deploy/web",
            f"arn:aws-us-gov:iam::{ACCOUNT}:role/deploy",
            "web",
        ),
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/alice",
            f"arn:aws:iam::{ACCOUNT}:role/AWSReservedSSO_Admin_0123456789abcdef",
            "alice",
        ),
        (f"arn:aws:iam::{ACCOUNT}:user/alice", f"arn:aws:iam::{ACCOUNT}:user/alice", ""),
        (f"arn:aws:iam::{ACCOUNT}:user/team/alice", f"arn:aws:iam::{ACCOUNT}:user/team/alice", ""),
        (f"arn:aws:iam::{ACCOUNT}:root", f"arn:aws:iam::{ACCOUNT}:root", ""),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/alice", f"arn:aws:sts::{ACCOUNT}:federated-user/alice", ""),
    ],
)
def test_whoever_is_the_same_has_one_name(arn: str, canonical: str, session: str) -> None:
    assert principal(arn, ACCOUNT) == Principal(canonical, ACCOUNT, session)


@pytest.mark.parametrize(
    "arn",
    [
        "",
        "deploy",
        f"arn:aws:iam::{ACCOUNT}:group/all",
        f"arn:aws:iam::{ACCOUNT}:role/",
        f"arn:aws:iam::{ACCOUNT}:role/a b",
        f"arn:aws:iam::{ACCOUNT}:role/*",
        f"arn:aws:iam::{ACCOUNT}:role/deploy\n",
        f"arn:aws:iam::{ACCOUNT}:role/{'x' * 65}",
        f"arn:aws:iam::{ACCOUNT}:role/depl\u00f6y",
        f"arn:aws:iam::{ACCOUNT}:user/:{ACCOUNT}:role/deploy",
        f"arn:aws:iam::{ACCOUNT}:user/te*m/alice",
        f"arn:aws:iam::{ACCOUNT}:user/te?m/alice",
        f"arn:aws:iam::{ACCOUNT}:assumed-role/deploy/web",
        f"arn:aws:iam::{ACCOUNT}:federated-user/alice",
        f"arn:aws:sts::{ACCOUNT}:role/deploy",
        f"arn:aws:sts::{ACCOUNT}:user/alice",
        f"arn:aws:sts::{ACCOUNT}:root",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/deploy",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/team/deploy/web",
        f"arn:aws:s3::{ACCOUNT}:role/deploy",
        f"arn:example:iam::{ACCOUNT}:role/deploy",
        "arn:aws:iam::999999999999:role/deploy",
        "arn:aws:iam::12345678901\u0662:role/deploy",
    ],
)
def test_what_is_no_principal_of_the_account_is_nobody(arn: str) -> None:
    with pytest.raises(ValueError, match="ARN"):
        principal(arn, ACCOUNT)


def test_an_organization_is_one_or_there_is_none() -> None:
    assert principal(ROLE, ACCOUNT, "o-a1b2c3d4e5").organization == "o-a1b2c3d4e5"
    with pytest.raises(ValueError, match="organization"):
        principal(ROLE, ACCOUNT, "o-a1b2c3d4e5\n")


def test_only_what_is_known_is_a_fact() -> None:
    assert facts(Principal(ROLE, ACCOUNT)) == {("aws.principal", ROLE), ("aws.account", ACCOUNT)}
    whole = facts(Principal(ROLE, ACCOUNT, "web", "o-a1b2c3d4e5"))
    assert whole == {
        ("aws.principal", ROLE),
        ("aws.account", ACCOUNT),
        ("aws.session", "web"),
        ("aws.organization", "o-a1b2c3d4e5"),
        TOLD,
    }


def test_the_patterns_that_fit_are_facts_too() -> None:
    patterns = (f"arn:aws:iam::{ACCOUNT}:role/dep*", f"arn:aws:iam::{ACCOUNT}:user/*")
    assert ("aws.principal.like", patterns[0]) in facts(Principal(ROLE, ACCOUNT), patterns)
    assert ("aws.principal.like", patterns[1]) not in facts(Principal(ROLE, ACCOUNT), patterns)
