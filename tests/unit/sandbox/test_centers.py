"""Is an Identity Center that cannot be refused when it is made?"""

from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.errors import ConfigurationError
from agent.sandbox.centers import Account, IdentityCenter, PermissionSet, User
from tests.unit.sandbox.identity_center.visit import HERE, center

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Account("12345", "x"), "is not an AWS account id"),
        (lambda: PermissionSet("a b"), "can be called"),
        (lambda: PermissionSet("x" * 33), "can be called"),
        (lambda: PermissionSet("x", HOUR / 2), "last 0:30:00"),
        (lambda: PermissionSet("x", 13 * HOUR), "last 13:00:00"),
        (lambda: PermissionSet("x", policies=({"Version": "1999-01-01"},)), "IAM would refuse"),
        (lambda: User("a"), "no user can be called"),
        (lambda: User("ada lovelace"), "no user can be called"),
        (lambda: center(start_url="http://d-1.awsapps.com/start"), "not the URL of an access portal"),
        (lambda: center(start_url="https://d-1.awsapps.com/start#/"), "not the URL of an access portal"),
        (lambda: center(region="Frankfurt"), "is not a region"),
        (lambda: center(page=101), "cannot list 101"),
        (lambda: center(interval=timedelta(milliseconds=500)), "cannot wait"),
        (lambda: center(code=timedelta(0)), "code of the Identity Center is no time"),
        (lambda: center(accounts=(Account(HERE, "a"), Account(HERE, "b"))), f"the account {HERE} exists twice"),
        (lambda: center(users=(User("ada"), User("ada"))), "the user ada exists twice"),
        (lambda: center(users=(User("ada", {"999999999999": ()}),)), "assigned 999999999999, which does not exist"),
        (lambda: center(users=(User("ada", {HERE: ("Nothing",)}),)), "assigned Nothing, which does not exist"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        make()
    assert caught.value.hint


def test_the_roles_of_permission_sets_are_named_as_awss() -> None:
    arn = center().role_arn("aws", HERE, "Developer")
    start = f"arn:aws:iam::{HERE}:role/aws-reserved/sso.amazonaws.com/eu-central-1/AWSReservedSSO_Developer_"
    assert arn.startswith(start)
    assert arn == center().role_arn("aws", HERE, "Developer")
    assert len({center().role_arn("aws", account, "Developer") for account in (HERE, "210987654321")}) == 2
    there = IdentityCenter(region="us-east-1").role_arn("aws-us-gov", HERE, "X")
    assert there.startswith(f"arn:aws-us-gov:iam::{HERE}:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_X_")


@pytest.mark.parametrize("url", ["https://d-1234567890.awsapps.com/start/x", "https://d-1234567890.awsapps.com", ""])
def test_another_url_is_another_portal(url: str) -> None:
    assert not center().is_start_url(url)
