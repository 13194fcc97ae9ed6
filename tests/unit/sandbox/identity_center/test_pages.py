"""Do the pages hold nothing that they should not, and hold browsers to that?"""

import re

import pytest

from agent.sandbox.identity_center.pages import code_page, consent_page, done_page, refusal_page, sent_to
from agent.sandbox.wire import Reply

NASTY = "\"><script>alert(1)</script>&'"
PAGES = [
    consent_page("/authorize", NASTY, ["ada", NASTY], {NASTY: NASTY}, user_code=NASTY),
    consent_page("/authorize", "client", [], {}),
    code_page(NASTY),
    code_page(),
    refusal_page(NASTY),
    done_page(NASTY),
]


@pytest.mark.parametrize("page", PAGES)
def test_what_others_write_is_text(page: Reply) -> None:
    text = page.body.decode()
    assert "<script" not in text
    assert not re.search(r"\son\w+=|javascript:|https?://", text)
    assert text.count("<style>") == 1


@pytest.mark.parametrize("page", [*PAGES, sent_to("http://127.0.0.1:1/")])
def test_nothing_is_kept_framed_or_fetched_from_elsewhere(page: Reply) -> None:
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["X-Frame-Options"] == "DENY"
    policy = dict(one.strip().split(" ", 1) for one in page.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["form-action"] == "'self'"
    assert "unsafe" not in str(policy)


def test_a_form_may_lead_back_to_where_the_client_listens() -> None:
    page = consent_page("/authorize", "client", ["ada"], {}, leads_to="http://127.0.0.1:41234")
    assert "form-action 'self' http://127.0.0.1:41234;" in page.headers["Content-Security-Policy"]


def test_denying_needs_no_user() -> None:
    assert b'value="deny" formnovalidate' in consent_page("/device", "client", ["ada"], {}).body
