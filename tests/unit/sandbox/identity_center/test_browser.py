"""Are the pages there for whoever looks, and do they say what is wrong?"""

from collections.abc import Iterator

import aiohttp
import pytest

from tests.unit.sandbox.identity_center.visit import Visit, visit


@pytest.fixture(scope="module")
def v() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


def test_who_asks_is_named_and_whoever_there_is_can_be_chosen(v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register(clientName="<b>rolecall</b> on web-1")))
    assert "&lt;b&gt;rolecall&lt;/b&gt; on web-1" in page.text
    assert 'value="ada"' in page.text
    assert 'value="brook"' in page.text


@pytest.mark.parametrize("user", ["", "mallory"])
def test_nobody_else_can_sign_in(user: str, v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register()))
    assert v.surfer.send(page, user=user, decision="allow").status == 400
    assert v.surfer.send(page, user="ada", decision="allow").status == 303
    told = v.device(v.register_device())
    assert v.approve(told, user).status == 400
    assert v.approve(told, "ada").status == 200


def test_a_decision_that_is_none_is_a_no(v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register()))
    assert v.surfer.send(page, user="ada").brought["error"] == "access_denied"


def test_a_form_of_another_kind_is_none(v: Visit) -> None:
    page = v.surfer.open(v.authorize_url(v.register()))
    whole = {**page.hidden, "user": "ada", "decision": "allow"}
    there = page.url.partition("?")[0]
    assert v.surfer.post(there, whole, {"Content-Type": "text/plain"}).status == 403


async def test_pages_are_looked_at_or_sent() -> None:
    with visit() as v:
        async with aiohttp.ClientSession() as http:
            for method, status in (("PUT", 405), ("DELETE", 405), ("HEAD", 200)):
                async with http.request(method, f"{v.sandbox.endpoint_url}/device") as answer:
                    assert answer.status == status
