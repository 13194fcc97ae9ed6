"""Does a code reach the one who asked for it, once, and nobody else?"""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

import pytest

from agent.sandbox.identity_center.authorization import s256
from tests.unit.sandbox.identity_center.visit import REDIRECT, VERIFIER, Visit, refused, visit


@pytest.fixture(scope="module")
def v() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


def test_the_challenge_is_that_of_the_rfc() -> None:
    """RFC 7636, appendix B."""
    assert s256("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk") == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_code_comes_back_with_the_state_as_it_was(v: Visit) -> None:
    page = v.surfer.sign_in(v.authorize_url(v.register()))
    assert page.status == 303
    assert page.location.startswith(f"{REDIRECT}?code=")
    assert page.brought["state"] == "a state & more"
    assert set(page.brought) == {"code", "state"}


def test_a_client_that_sends_no_state_gets_none(v: Visit) -> None:
    assert set(v.surfer.sign_in(v.authorize_url(v.register(), state=None)).brought) == {"code"}


def test_a_redirect_with_a_query_keeps_it(v: Visit) -> None:
    client = v.register(redirectUris=["http://localhost/cb?mine=yes"])
    page = v.surfer.sign_in(v.authorize_url(client, redirect_uri="http://localhost:7000/cb?mine=yes"))
    assert page.location.startswith("http://localhost:7000/cb?mine=yes&code=")


def test_a_denial_is_told_to_the_client(v: Visit) -> None:
    page = v.surfer.sign_in(v.authorize_url(v.register()), decision="deny")
    assert page.brought["error"] == "access_denied"
    assert page.brought["state"] == "a state & more"
    assert "code" not in page.brought


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": None}, "unsupported_response_type"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": s256(VERIFIER) + "="}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": "s256"}, "invalid_request"),
        ({"scopes": "sso:account:access codewhisperer:completions"}, "invalid_scope"),
    ],
)
def test_what_is_wrong_is_told_to_a_client_that_is_known(changed: dict[str, str | None], error: str, v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register(), **changed))
    assert page.status == 303
    parts = urlsplit(page.location)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == REDIRECT
    assert dict(parse_qsl(parts.query))["error"] == error
    assert page.brought["state"] == "a state & more"


def test_a_client_that_may_not_is_told_so(v: Visit) -> None:
    client = v.register_device(redirectUris=["http://127.0.0.1/oauth/callback"])
    assert v.surfer.open(v.authorize_url(client)).brought["error"] == "unauthorized_client"


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "http://127.0.0.1:41234/elsewhere"},
        {"redirect_uri": "https://example.com/oauth/callback"},
        {"redirect_uri": 'http://127.0.0.1/"><script>alert(1)</script>'},
    ],
)
def test_nobody_is_sent_where_nobody_registered(changed: dict[str, str | None], v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register(), **changed))
    assert (page.status, page.location) == (400, "")
    assert "<script>" not in page.text


def test_a_parameter_that_is_there_twice_is_not_chosen_from(v: Visit) -> None:
    url = v.authorize_url(v.register())
    assert v.surfer.open(f"{url}&redirect_uri={REDIRECT}").status == 400


def test_a_code_is_good_once_and_what_it_gave_ends_when_it_comes_again(v: Visit) -> None:
    client = v.register()
    code = v.code(client)
    tokens = v.redeem(client, code)
    assert v.sso.list_accounts(accessToken=tokens["accessToken"])["accountList"]
    assert refused(lambda: v.redeem(client, code)) == "InvalidGrant"
    assert v.whys[-1].endswith("what it gave is revoked")
    assert refused(lambda: v.sso.list_accounts(accessToken=tokens["accessToken"])) == "Unauthorized"
    assert refused(lambda: v.refresh(client, tokens)) == "InvalidGrant"
    assert refused(lambda: v.redeem(client, code)) == "InvalidGrant"


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"codeVerifier": VERIFIER[:-1] + "x"}, "verifier"),
        ({"codeVerifier": VERIFIER[:42]}, "verifier"),
        ({"codeVerifier": s256(VERIFIER)}, "verifier"),
        ({"redirectUri": "http://127.0.0.1:41235/oauth/callback"}, "redirect URI"),
        ({"redirectUri": "http://127.0.0.1/oauth/callback"}, "redirect URI"),
    ],
)
def test_a_code_is_bound_to_what_it_was_asked_with_and_there_is_one_try(
    changed: dict[str, str], why: str, v: Visit
) -> None:
    client = v.register()
    code = v.code(client)
    assert refused(lambda: v.redeem(client, code, **changed)) == "InvalidGrant"
    assert why in v.whys[-1]
    assert refused(lambda: v.redeem(client, code)) == "InvalidGrant"


def test_a_code_is_bound_to_its_client(v: Visit) -> None:
    first, second = v.register(), v.register()
    code = v.code(first)
    assert refused(lambda: v.redeem(second, code)) == "InvalidGrant"
    assert "another client's" in v.whys[-1]
    assert refused(lambda: v.redeem(first, code)) == "InvalidGrant"


def test_a_code_does_not_keep() -> None:
    with visit() as v:
        client = v.register()
        in_time, too_late = v.code(client), v.code(client)
        v.wait(seconds=59)
        assert v.redeem(client, in_time)["accessToken"]
        v.wait(seconds=1)
        assert refused(lambda: v.redeem(client, too_late)) == "InvalidGrant"
        assert v.whys[-1] == "InvalidGrantException: the code has expired"


def test_codes_can_be_made_to_expire() -> None:
    with visit() as v:
        client = v.register()
        code = v.code(client)
        assert v.sandbox.identity_center.expire("codes") == 1
        assert refused(lambda: v.redeem(client, code)) == "InvalidGrant"
        assert v.whys[-1] == "InvalidGrantException: the code has expired"


def test_a_page_cannot_be_decided_on_twice_nor_after_ten_minutes() -> None:
    with visit() as v:
        page = v.surfer.open(v.authorize_url(v.register()))
        v.wait(minutes=9)
        assert v.surfer.send(page, user="ada", decision="allow").status == 303
        assert v.surfer.send(page, user="ada", decision="allow").status == 400
        page = v.surfer.open(v.authorize_url(v.register()))
        v.wait(minutes=10)
        assert v.surfer.send(page, user="ada", decision="allow").status == 400
