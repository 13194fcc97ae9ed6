import pytest

from agent.errors import CredentialsRefused, SignInNeeded, TokenUnavailable
from agent.tokens.cognito.refusals import Refused, Turn, readable

INCORRECT = "Incorrect username or password."


@pytest.mark.parametrize(
    ("code", "message", "turn", "kind", "hint"),
    [
        ("NotAuthorizedException", INCORRECT, Turn.PASSWORD, SignInNeeded, "identity.password_file"),
        ("NotAuthorizedException", "Password attempts exceeded", Turn.LOCKED, TokenUnavailable, "quarter of an hour"),
        ("NotAuthorizedException", "Refresh Token has been revoked", Turn.OVER, SignInNeeded, "rolecall login"),
        ("NotAuthorizedException", "Refresh Token has expired", Turn.OVER, SignInNeeded, "rolecall login"),
        ("NotAuthorizedException", "Invalid Refresh Token", Turn.OVER, SignInNeeded, "rolecall login"),
        ("RefreshTokenReuseException", "", Turn.OVER, SignInNeeded, "rolecall login"),
        (
            "NotAuthorizedException",
            "Unable to verify secret hash for client x",
            Turn.SOMEBODY,
            CredentialsRefused,
            "identity.client_secret_file",
        ),
        (
            "NotAuthorizedException",
            "Client x is configured for secret but secret was not received",
            Turn.SOMEBODY,
            CredentialsRefused,
            "identity.client_secret_file",
        ),
        ("NotAuthorizedException", "User is disabled.", Turn.SOMEBODY, CredentialsRefused, "enable the user machine"),
        (
            "NotAuthorizedException",
            "Invalid session for the user, session is expired.",
            Turn.CODE,
            SignInNeeded,
            "three minutes",
        ),
        (
            "NotAuthorizedException",
            "Temporary password has expired and must be reset by an administrator.",
            Turn.PERSON,
            SignInNeeded,
            "administrator",
        ),
        ("NotAuthorizedException", "whatever comes next year", Turn.PASSWORD, SignInNeeded, "rolecall login"),
        ("UserNotFoundException", "User does not exist.", Turn.SOMEBODY, CredentialsRefused, "identity.user"),
        ("UserNotConfirmedException", "User is not confirmed.", Turn.PERSON, SignInNeeded, "admin-confirm-sign-up"),
        ("PasswordResetRequiredException", "", Turn.PERSON, SignInNeeded, "admin-set-user-password"),
        (
            "InvalidParameterException",
            "USER_PASSWORD_AUTH flow not enabled for this client",
            Turn.SOMEBODY,
            CredentialsRefused,
            "ALLOW_USER_SRP_AUTH",
        ),
        ("InvalidParameterException", "other", Turn.SOMEBODY, CredentialsRefused, "[identity]"),
        ("ResourceNotFoundException", "", Turn.SOMEBODY, CredentialsRefused, "identity.client_id"),
        ("TooManyRequestsException", "Rate exceeded", Turn.SOON, TokenUnavailable, "patience"),
        ("InternalErrorException", "", Turn.SOON, TokenUnavailable, "patience"),
        ("ForbiddenException", "Request not allowed due to WAF block.", Turn.SOMEBODY, CredentialsRefused, "WAF"),
        ("CodeMismatchException", "", Turn.CODE, SignInNeeded, "fresh code"),
        ("ExpiredCodeException", "", Turn.CODE, SignInNeeded, "fresh code"),
        ("InvalidPasswordException", "", Turn.CODE, SignInNeeded, "another password"),
        ("UserLambdaValidationException", "", Turn.SOMEBODY, CredentialsRefused, "Lambda"),
        ("UnknownOperationException", "", Turn.SOMEBODY, CredentialsRefused, "identity.endpoint_url"),
        ("BrandNewException", "", Turn.SOMEBODY, CredentialsRefused, "API reference"),
        ("404", "", Turn.SOMEBODY, CredentialsRefused, "identity.endpoint_url"),
    ],
)
def test_each_error_says_whose_turn_it_is(code: str, message: str, turn: Turn, kind: type, hint: str) -> None:
    refused = Refused(code, message, 400)
    error = refused.apology("machine", flow="ALLOW_USER_SRP_AUTH")

    assert refused.turn is turn
    assert type(error) is kind
    assert hint in error.hint
    assert "machine" in error.what


@pytest.mark.parametrize(("code", "status"), [("NotAuthorizedException", 500), ("429", 429), ("502", 502)])
def test_trouble_of_cognitos_own_passes_whatever_it_says(code: str, status: int) -> None:
    assert isinstance(Refused(code, INCORRECT, status).apology("machine"), TokenUnavailable)


def test_what_is_quoted_is_one_line_without_tokens() -> None:
    assert (
        readable("Value 'eyJhbGciOi.eyJ.x' \n at\x1b[31m 'refreshToken' " + "a" * 80)
        == "Value '…' at [31m 'refreshToken' …"
    )
    assert len(readable("word " * 1000)) <= 300
