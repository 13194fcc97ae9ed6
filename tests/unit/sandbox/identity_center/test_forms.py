"""Does a form count that was not shown here, to this browser?"""

from collections.abc import Iterator
from random import Random

import pytest

from agent.sandbox import practice_world
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.forms import Forms
from tests.fakes.surfer import Surfer
from tests.unit.sandbox.identity_center.visit import Visit, refused, visit


@pytest.fixture(scope="module")
def v() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


def test_another_browser_cannot_send_it(v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register()))
    assert Surfer().send(page, user="ada", decision="allow").status == 403
    other = Surfer()
    other.open(v.authorize_url(v.register()))
    assert other.send(page, user="ada", decision="allow").status == 403
    assert v.surfer.send(page, user="ada", decision="allow").status == 303


@pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://127.0.0.1:1", "http://127.0.0.1"])
def test_another_site_cannot_send_it(origin: str, v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register()))
    assert v.surfer.send(page, {"Origin": origin}, user="ada", decision="allow").status == 403
    assert v.surfer.send(page, {"Origin": v.sandbox.endpoint_url}, user="ada", decision="allow").status == 303


def test_a_seal_is_of_one_request(v: Visit) -> None:
    first = v.surfer.open(v.authorize_url(v.register()))
    second = v.surfer.open(v.authorize_url(v.register()))
    mixed = {**first.hidden, "seal": second.hidden["seal"], "user": "ada", "decision": "allow"}
    assert v.surfer.post(first.url.partition("?")[0], mixed).status == 403


def test_a_device_cannot_be_approved_by_a_form_from_elsewhere(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    v.surfer.open(told["verificationUriComplete"])
    forged = {"user_code": told["userCode"], "seal": "0" * 64, "user": "ada", "decision": "allow"}
    assert v.surfer.post(told["verificationUri"], forged).status == 403
    assert refused(lambda: v.poll(client, told)) == "AuthorizationPending"


def test_the_cookie_is_kept_from_scripts_and_from_other_sites(v: Visit) -> None:
    page = Surfer().open(v.authorize_url(v.register()))
    name, *rest = page.headers["Set-Cookie"].split("; ")
    assert len(name.partition("=")[2]) == 32
    assert rest == ["Path=/", "HttpOnly", "SameSite=Strict"]
    secure = Forms(Cloud(practice_world(), v.clock, Random(1), endpoint_url="https://127.0.0.1:1"))
    assert secure.cookie("x").endswith("; SameSite=Strict; Secure")


@pytest.mark.parametrize("cookie", ["rolecall-sandbox-browser=short", "rolecall-sandbox-browser=\x22", ";;;===", ""])
def test_a_cookie_that_is_not_ours_is_none(cookie: str, v: Visit) -> None:
    page = Surfer().open(v.authorize_url(v.register()), {"Cookie": cookie})
    assert page.status == 200
    assert len(page.headers["Set-Cookie"].partition(";")[0].partition("=")[2]) == 32
