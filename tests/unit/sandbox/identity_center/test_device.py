"""Does a machine without a browser get what somebody decides elsewhere, and no sooner than it may ask?"""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.unit.sandbox.identity_center.visit import START_URL, Visit, refused, visit


@pytest.fixture
def v() -> Iterator[Visit]:
    with visit() as opened:
        yield opened


def test_what_a_device_is_told(v: Visit) -> None:
    told = v.device(v.register_device())
    assert (told["expiresIn"], told["interval"]) == (600, 5)
    assert re.fullmatch(r"[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}", told["userCode"])
    assert told["verificationUri"] == f"{v.sandbox.endpoint_url}/device"
    assert told["verificationUriComplete"] == f"{v.sandbox.endpoint_url}/device?user_code={told['userCode']}"
    assert len(told["deviceCode"]) >= 43


@pytest.mark.parametrize("url", [START_URL, START_URL + "/", START_URL + "/#", START_URL + "#/", START_URL + "/#/"])
def test_a_start_url_is_known_as_people_copy_it(url: str, v: Visit) -> None:
    client = v.register_device()
    secret = {"clientId": client["clientId"], "clientSecret": client["clientSecret"]}
    assert v.oidc.start_device_authorization(**secret, startUrl=url)["userCode"]


@pytest.mark.parametrize(
    "entered", [lambda code: code.lower(), lambda code: code.replace("-", ""), lambda code: f" {code[:4]} {code[5:]} "]
)
def test_a_code_is_known_however_somebody_writes_it(entered: Any, v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    page = v.surfer.open(f"{told['verificationUri']}?user_code={entered(told['userCode']).replace(' ', '%20')}")
    assert told["userCode"] in page.text
    assert v.surfer.send(page, user="ada", decision="allow").status == 200
    assert v.poll(client, told)["accessToken"]


def test_a_code_of_nobody_is_said_to_be_so(v: Visit) -> None:
    page = v.surfer.open(f"{v.sandbox.endpoint_url}/device?user_code=%3Cb%3EBBBB-BBBB")
    assert page.status == 404
    assert "No device is waiting for the code &lt;b&gt;BBBB-BBBB" in page.text


def test_a_device_waits_and_is_let_in_once(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    assert refused(lambda: v.poll(client, told)) == "AuthorizationPending"
    assert "Request approved" in v.approve(told).text
    v.wait(seconds=5)
    tokens = v.poll(client, told)
    assert v.sso.list_accounts(accessToken=tokens["accessToken"])["accountList"]
    v.wait(seconds=5)
    assert refused(lambda: v.poll(client, told)) == "InvalidGrant"
    assert v.surfer.open(told["verificationUriComplete"]).status == 404


def test_who_asks_too_soon_waits_five_seconds_longer_each_time(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    for seconds, answer in [
        (0, "AuthorizationPending"),
        (4, "SlowDown"),
        (9, "SlowDown"),
        (14, "SlowDown"),
        (20, "AuthorizationPending"),
        (19, "SlowDown"),
        (25, "AuthorizationPending"),
    ]:
        v.wait(seconds=seconds)
        assert refused(lambda: v.poll(client, told)) == answer, seconds


def test_who_asks_too_soon_is_let_in_all_the_same_once_somebody_has_said_yes(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    assert refused(lambda: v.poll(client, told)) == "AuthorizationPending"
    v.approve(told)
    assert v.poll(client, told)["accessToken"]


def test_a_denial_is_final(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    assert "Request denied" in v.approve(told, decision="deny").text
    assert refused(lambda: v.poll(client, told)) == "AccessDenied"
    assert v.surfer.open(told["verificationUriComplete"]).status == 404
    assert refused(lambda: v.poll(client, told)) == "AccessDenied"


def test_codes_expire_for_people_and_for_the_device(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    page = v.surfer.open(told["verificationUriComplete"])
    v.wait(minutes=10)
    assert v.surfer.send(page, user="ada", decision="allow").status == 400
    assert v.surfer.open(told["verificationUriComplete"]).status == 404
    assert refused(lambda: v.poll(client, told)) == "ExpiredToken"


def test_what_was_allowed_expires_if_it_is_not_fetched(v: Visit) -> None:
    client = v.register_device()
    told = v.device(client)
    v.approve(told)
    assert v.sandbox.identity_center.expire("device_codes") == 1
    assert refused(lambda: v.poll(client, told)) == "ExpiredToken"


def test_a_device_code_is_of_one_client(v: Visit) -> None:
    told = v.device(v.register_device())
    assert refused(lambda: v.poll(v.register_device(), told)) == "InvalidGrant"


def test_two_devices_at_once_are_two() -> None:
    with visit() as v:
        client = v.register_device()
        first, second = v.device(client), v.device(client)
        v.approve(second, "brook")
        assert refused(lambda: v.poll(client, first)) == "AuthorizationPending"
        token = v.poll(client, second)["accessToken"]
        assert v.sso.list_accounts(accessToken=token)["accountList"] == []


def test_with_tls_people_are_sent_to_https() -> None:
    with visit(tls=True) as v:
        assert v.device(v.register_device())["verificationUri"].startswith("https://127.0.0.1:")
