import pytest

from agent.credentials.identity_pool.refusals import IdentityGone, apology
from agent.errors import CredentialsRefused, CredentialsUnavailable


def told(code: str, message: str = "", status: int = 400) -> object:
    return apology(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}, "pool"
    )


def test_what_is_quoted_is_one_line_without_tokens_and_names_the_pool() -> None:
    error = told("NotAuthorizedException", "bad\n eyJabc.def and " + "a" * 100)
    assert isinstance(error, CredentialsRefused)
    assert error.what == "the identity pool pool gave no credentials: NotAuthorized: bad … and …"


def test_a_page_of_somebody_else_is_not_quoted() -> None:
    error = told("503", "<html>welcome to the network", 503)
    assert isinstance(error, CredentialsUnavailable)
    assert "welcome" not in error.what


@pytest.mark.parametrize("code", ["", "a b", "x" * 100])
def test_a_code_that_is_none_is_not_shown(code: str) -> None:
    error = told(code)
    assert isinstance(error, CredentialsRefused)
    assert code == "" or code not in error.what


def test_an_identity_that_is_gone_is_told_from_a_pool_that_is() -> None:
    assert isinstance(told("ResourceNotFoundException", "Identity 'a:b' not found."), IdentityGone)
    assert isinstance(told("ResourceNotFoundException", "IdentityPool 'a:b' not found."), CredentialsRefused)
