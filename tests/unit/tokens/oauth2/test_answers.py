import string
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st

from agent.errors import AgentError, TokenRefused, TokenUnavailable
from agent.secret import Secret
from agent.tokens.oauth2.answers import audience_read, given, refusal
from agent.tokens.oauth2.asking import Wanted
from agent.tokens.oauth2.web import Answer
from tests.fakes.clock import START
from tests.fakes.oauth_provider import NOW, a_jwt

URL = "https://login.example.com/token"
MINUTE = timedelta(minutes=1)


def said(document: Any, status: int = 400) -> Answer:
    return Answer(URL, status, document)


def lasts(wanted: Wanted | None = None, *, told: Any = None, **members: Any) -> timedelta:
    document = {"access_token": a_jwt(), "id_token": a_jwt(), **members}
    return given(Answer(URL, 200, document, told=told), wanted or Wanted()).lasts


def test_a_token_lasts_as_long_as_iat_and_exp_say() -> None:
    assert lasts() == 60 * MINUTE


def test_a_token_that_was_made_earlier_lasts_from_the_date_of_the_answer() -> None:
    assert lasts(told=START + 50 * MINUTE) == 10 * MINUTE


@pytest.mark.parametrize("seconds", [120, "120", 120.0])
def test_the_provider_may_say_that_it_is_less(seconds: Any) -> None:
    assert lasts(expires_in=seconds) == 2 * MINUTE


@pytest.mark.parametrize("seconds", [7200, None, True, "soon", [], 10**300])
def test_what_it_says_never_makes_it_more(seconds: Any) -> None:
    assert lasts(expires_in=seconds) == 60 * MINUTE


def test_expires_in_is_not_said_of_an_id_token() -> None:
    assert lasts(Wanted("id_token", "openid"), expires_in=60) == 60 * MINUTE


@pytest.mark.parametrize("exp", [NOW + 60.9, NOW + 60])
def test_a_fraction_of_a_second_is_no_more_time(exp: float) -> None:
    answer = said({"access_token": a_jwt(exp=exp)}, 200)

    assert given(answer, Wanted()).expires_at == START + MINUTE


@pytest.mark.parametrize("exp", [-1, 253_402_300_800, 10**30, "3600", [3600], {"a": 1}])
def test_an_exp_out_of_this_world_is_no_date(exp: object) -> None:
    with pytest.raises(TokenRefused, match="exp that is no date"):
        given(said({"access_token": a_jwt(exp=exp)}, 200), Wanted())


@pytest.mark.parametrize(
    ("claims", "read"),
    [
        ({"aud": "a"}, "a"),
        ({"aud": ["a"]}, "a"),
        ({"aud": ["a", "b"], "azp": "c"}, "c"),
        ({"aud": "a", "azp": ""}, "a"),
        ({}, None),
    ],
)
def test_aws_reads_azp_before_aud(claims: Any, read: object) -> None:
    assert audience_read(claims) == read


def words(document: Any, status: int = 400, *secrets: str) -> AgentError:
    return refusal(said(document, status), way="WAY", secrets=[Secret(one) for one in secrets])


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid_client", TokenRefused),
        (401, None, TokenRefused),
        (401, "invalid_client", TokenRefused),
        (403, None, TokenRefused),
        (404, None, TokenRefused),
        (405, None, TokenRefused),
        (201, None, TokenRefused),
        (302, None, TokenRefused),
        (400, "temporarily_unavailable", TokenUnavailable),
        (408, None, TokenUnavailable),
        (429, "invalid_client", TokenUnavailable),
        (500, "invalid_client", TokenUnavailable),
        (503, None, TokenUnavailable),
    ],
)
def test_whose_turn_it_is_depends_on_the_code_and_the_status(
    status: int, code: str | None, kind: type[AgentError]
) -> None:
    error = words({"error": code} if code else None, status)

    assert type(error) is kind
    assert error.hint


def test_what_has_to_be_so_for_us_to_be_known_is_said_where_we_are_not() -> None:
    assert "WAY" in words({"error": "invalid_client"}).hint
    assert "WAY" in words(None, 401).hint
    assert "WAY" not in words({"error": "invalid_scope"}).hint


@pytest.mark.parametrize("code", ["<script>", "a b", "a\nb", "x" * 61, 42, ["invalid_client"], ""])
def test_a_code_that_is_none_is_not_repeated(code: object) -> None:
    assert words({"error": code}).what == (
        "login.example.com gives no token, and no error of OAuth 2.0 either: status 400"
    )


def test_of_a_description_one_short_line_is_left() -> None:
    what = words({"error": "invalid_scope", "error_description": "one\r\n\x1b[31mtwo " + "word " * 100}).what

    assert what.startswith("login.example.com refuses us a token: invalid_scope (one [31mtwo word")
    assert what.isprintable()
    assert len(what) < 300


@pytest.mark.parametrize("description", [None, 42, ["a"], {"a": 1}, ""])
def test_a_description_that_is_none_is_left_out(description: object) -> None:
    error = words({"error": "invalid_scope", "error_description": description})

    assert error.what == "login.example.com refuses us a token: invalid_scope"


@for_all(
    st.text(min_size=8, max_size=60),
    st.text(max_size=30),
    st.text(alphabet=string.ascii_letters + string.digits + "-_.", min_size=60, max_size=400),
)
def test_no_secret_of_ours_and_no_token_is_ever_repeated(secret: str, before: str, token: str) -> None:
    description = f"{before}{secret} {token}"

    told = words({"error": "invalid_client", "error_description": description}, 400, secret)

    shown = f"{told.what} {told.hint}"
    assert token not in shown
    assert secret not in told.what or secret in "login.example.com refuses us a token: invalid_client (…)"
