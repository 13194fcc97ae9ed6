from datetime import timedelta
from pathlib import PurePath

import pytest

from agent.infrastructure import Role, Trust
from agent.infrastructure.all_files import Place, all_files, why_not
from agent.infrastructure.hosting import Bucket, Folder
from agent.infrastructure.terraform import terraform

TRUST = Trust("https://oidc.example.com/site-a", "sts.amazonaws.com", "host:web-1")
HOUR = timedelta(hours=1)
ROLES = [
    Role.of("backup", "arn:aws:iam::123456789012:role/backup", HOUR),
    Role.of("web", "arn:aws-cn:iam::210987654321:role/web", HOUR),
]
ACCOUNTS = {
    "terraform/123456789012/main.tf",
    "cloudformation/123456789012.yaml",
    "terraform/aws-cn-210987654321/main.tf",
    "cloudformation/aws-cn-210987654321.yaml",
}
CLOUD = {"terraform/hosting/main.tf", "cloudformation/hosting.yaml", "cloudformation/hosting-certificate.yaml"}


@pytest.mark.parametrize(
    ("place", "more"),
    [
        (None, set()),
        (Bucket("oidc-example-com", "eu-central-1", "site-a"), CLOUD),
        (Folder(PurePath("/var/www/oidc"), timedelta(minutes=5)), {"nginx/oidc.example.com_site-a.conf"}),
    ],
)
def test_there_is_a_file_for_each_account_and_for_the_place(place: Place, more: set[str]) -> None:
    files = all_files(TRUST, ROLES, place)
    assert files.keys() == ACCOUNTS | more
    assert files["terraform/123456789012/main.tf"] == terraform(TRUST, ROLES[0].account, ROLES[:1])
    assert all(text.startswith("#") and text.endswith("\n") for text in files.values())
    assert why_not(TRUST.issuer, place) is None


@pytest.mark.parametrize(
    ("place", "said"),
    [
        (Bucket("oidc-example-com", "cn-north-1", "site-a"), "partition"),
        (Bucket("oidc-example-com", "eu-central-1"), "prefix"),
        (Folder(PurePath("/srv/$x"), HOUR), "nginx"),
    ],
)
def test_a_place_that_cannot_be_written_down_costs_its_own_files_alone_and_it_is_said_why(
    place: Place, said: str
) -> None:
    assert all_files(TRUST, ROLES, place).keys() == ACCOUNTS
    reason = why_not(TRUST.issuer, place)
    assert reason is not None
    assert said in reason.what
