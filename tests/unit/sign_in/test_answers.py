from datetime import timedelta

import pytest

from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.sign_in import Answer
from agent.sign_in.answers import needed, passes, refusal, registration_of, sign_in_of
from tests.fakes.center import PORTAL, REGISTERED, given, refused, sign_in, tokens
from tests.fakes.clock import START

REGISTRATION = registration_of(REGISTERED, PORTAL.scopes, ())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refused("InternalServerException", 500), CredentialsUnavailable),
        (refused("503", 503), CredentialsUnavailable),
        (refused("TooManyRequestsException", 429), CredentialsUnavailable),
        (refused("SlowDownException"), CredentialsUnavailable),
        (refused("408", 408), CredentialsUnavailable),
        (refused("InvalidGrantException"), CredentialsRefused),
        (refused("UnauthorizedException", 401), CredentialsRefused),
        (refused("ForbiddenException", 403), CredentialsRefused),
    ],
)
def test_what_passes_by_itself_is_told_from_what_somebody_must_mend(answer: Answer, kind: type[AgentError]) -> None:
    assert passes(answer) is (kind is CredentialsUnavailable)
    assert type(refusal(answer, PORTAL, "to help")) is kind


@pytest.mark.parametrize(
    ("code", "what", "hint"),
    [
        ("AccessDeniedException", "somebody denied it", "allow it: rolecall login"),
        ("ExpiredTokenException", "nobody allowed it in time", "rolecall login"),
        ("InvalidGrantException", "used already, or has ended", "rolecall login"),
        ("InvalidScopeException", "no such scope", "identity_center.scopes"),
        ("InvalidRequestException", "no such access portal", "identity_center.start_url"),
        ("SomethingNew", "SomethingNew: what it said", "in a browser"),
    ],
)
def test_each_refusal_says_what_is_wrong_and_what_to_do(code: str, what: str, hint: str) -> None:
    error: AgentError = refusal(refused(code, 400, "what it said"), PORTAL, "to sign anybody in")
    assert isinstance(error, CredentialsRefused)
    assert what in error.what
    assert hint in error.hint


def test_a_person_is_told_where_and_by_which_command() -> None:
    error = needed(PORTAL, "nobody has signed in")
    assert isinstance(error, SignInNeeded)
    assert error.what == "nobody has signed in at https://example.awsapps.com/start"
    assert error.hint == "sign in: rolecall login"


def test_a_refresh_token_stays_where_none_came_in_its_place() -> None:
    before = sign_in()
    after = sign_in_of(tokens("2"), PORTAL, REGISTRATION, START, before)
    assert after.refresh_token == before.refresh_token
    assert sign_in_of(tokens("2", refresh="new"), PORTAL, REGISTRATION, START, before).refresh_token is not None
    assert sign_in_of(tokens("2"), PORTAL, REGISTRATION, START).refresh_token is None
    assert after.expires_at == START + timedelta(hours=1)


@pytest.mark.parametrize(
    "answer",
    [
        given(),
        given(accessToken="a", expiresIn="3600"),
        given(accessToken="a", expiresIn=True),
        given(accessToken="a", expiresIn=0),
        given(accessToken="a", expiresIn=10**12),
        given(accessToken="", expiresIn=3600),
        given(accessToken=7, expiresIn=3600),
        given(accessToken="can\nary", expiresIn=3600),
        given(accessToken="a", expiresIn=3600, refreshToken=["canary"]),
    ],
)
def test_nonsense_is_no_sign_in(answer: Answer) -> None:
    with pytest.raises(CredentialsUnavailable) as caught:
        sign_in_of(answer, PORTAL, REGISTRATION, START)
    assert caught.value.hint
    assert "nary" not in caught.value.what


@pytest.mark.parametrize(
    "answer",
    [
        given(),
        given(clientId="id", clientSecret="canary"),
        given(clientId="id", clientSecret="canary", clientSecretExpiresAt=True),
        given(clientId="id", clientSecret="canary", clientSecretExpiresAt=1 << 40),
        given(clientId="id", clientSecretExpiresAt=1_800_000_000),
    ],
)
def test_nonsense_is_no_registration(answer: Answer) -> None:
    with pytest.raises(CredentialsUnavailable):
        registration_of(answer, PORTAL.scopes, ())
