import pytest

from agent.sandbox.cognito import refusals
from agent.sandbox.refusals import Refusal


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (refusals.not_authorized("x"), "NotAuthorizedException"),
        (refusals.invalid("x"), "InvalidParameterException"),
        (refusals.no_client("x"), "ResourceNotFoundException"),
        (refusals.no_user(), "UserNotFoundException"),
        (refusals.flow_not_enabled("x"), "InvalidParameterException"),
        (refusals.reused(), "RefreshTokenReuseException"),
        (refusals.mismatch(), "CodeMismatchException"),
        (refusals.bad_password("x"), "InvalidPasswordException"),
    ],
)
def test_every_refusal_is_a_400_with_the_name_that_the_model_has(refusal: Refusal, code: str) -> None:
    assert (refusal.code, refusal.status) == (code, 400)
    assert refusal.message
