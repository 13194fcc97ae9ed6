import pytest

from agent.credentials.identity_center.permission_set import PermissionSet, apology, stranger
from agent.errors import CredentialsRefused, CredentialsUnavailable
from agent.sign_in import Answer
from tests.fakes.center import refused

ASKED = PermissionSet("123456789012", "Developer", "eu-central-1", "roles.dev")
ROLE = "AWSReservedSSO_Developer_0123456789abcdef"


def session(
    role: str = ROLE, account: str = "123456789012", partition: str = "aws", user: str = "me@example.com"
) -> str:
    return f"arn:{partition}:sts::{account}:assumed-role/{role}/{user}"


def test_the_role_of_a_session_has_the_region_in_its_path() -> None:
    path = "aws-reserved/sso.amazonaws.com/eu-central-1"
    assert ASKED.role_arn(session()) == f"arn:aws:iam::123456789012:role/{path}/{ROLE}"


def test_that_of_the_first_region_has_not() -> None:
    first = PermissionSet("123456789012", "Developer", "us-east-1")
    assert first.role_arn(session()) == f"arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/{ROLE}"


def test_the_partition_is_that_of_the_session() -> None:
    arn = PermissionSet("123456789012", "Developer", "us-gov-west-1").role_arn(session(partition="aws-us-gov"))
    assert arn is not None
    assert arn.startswith("arn:aws-us-gov:iam::")


def test_dots_in_a_name_are_dots() -> None:
    dotted = PermissionSet("123456789012", "A.B", "eu-central-1")
    assert dotted.role_arn(session("AWSReservedSSO_A.B_0123456789abcdef")) is not None
    assert dotted.role_arn(session("AWSReservedSSO_AxB_0123456789abcdef")) is None


@pytest.mark.parametrize(
    "arn",
    [
        session(account="210987654321"),
        session("AWSReservedSSO_Developer_x_0123456789abcdef"),
        session("AWSReservedSSO_Admin_0123456789abcdef"),
        session("AWSReservedSSO_Developer_0123"),
        session("Developer"),
        "arn:aws:iam::123456789012:user/me",
        "",
    ],
)
def test_the_session_of_something_else_is_none(arn: str) -> None:
    assert ASKED.role_arn(arn) is None
    assert stranger(arn, ASKED).retryable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("ForbiddenException", 403, "No access"), CredentialsRefused),
        (refused("ResourceNotFoundException", 404), CredentialsRefused),
        (refused("InvalidRequestException", 400), CredentialsRefused),
        (refused("TooManyRequestsException", 429), CredentialsUnavailable),
        (refused("503", 503), CredentialsUnavailable),
    ],
)
def test_whose_turn_it_is(answer: Answer, kind: type[Exception]) -> None:
    assert type(apology(answer, ASKED)) is kind


def test_no_access_names_the_setting_and_may_pass() -> None:
    error = apology(refused("ForbiddenException", 403, "No access"), ASKED)
    assert "Developer of account 123456789012: ForbiddenException: No access" in error.what
    assert "roles.dev.account and roles.dev.permission_set" in error.hint
    assert "pass by itself" in error.hint
