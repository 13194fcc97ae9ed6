"""Can what goes wrong be asked for from outside, and what is going on be seen?"""

import json
import re
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError

import pytest

from agent.errors import ConfigurationError
from tests.unit.sandbox.identity_center.visit import START_URL, Visit, refused, visit


def error(v: Visit, path: str, document: object) -> str:
    with pytest.raises(HTTPError) as caught:
        v.tell(path, document)
    with caught.value:
        assert caught.value.code == 400
        return str(json.load(caught.value)["error"])


def test_who_is_signed_in_and_who_waits_is_shown_without_secrets() -> None:
    with visit() as v:
        client = v.register_device(clientName="a device")
        tokens = v.tokens()
        told = v.device(client)
        shown = v.tell("/identity-center")
        assert [one["user"] for one in shown["sessions"]] == ["ada"]
        assert [(one["user_code"], one["client_name"]) for one in shown["devices"]] == [(told["userCode"], "a device")]
        text = json.dumps(shown)
        for secret in (tokens["accessToken"], tokens["refreshToken"], told["deviceCode"], client["clientSecret"]):
            assert secret not in text


def test_sign_ins_are_revoked_all_or_of_one_user() -> None:
    with visit() as v:
        client = v.register()
        ada, brook = v.tokens("ada", client), v.tokens("brook", client)
        assert v.tell("/identity-center/revoke", {"user": "ada"}) == {"revoked": 1}
        assert refused(lambda: v.refresh(client, ada)) == "InvalidGrant"
        brook = v.refresh(client, brook)
        assert v.tell("/identity-center/revoke", {"what": "refresh_tokens"}) == {"revoked": 1}
        assert refused(lambda: v.refresh(client, brook)) == "InvalidGrant"
        assert v.sso.list_accounts(accessToken=brook["accessToken"])["accountList"] == []


def test_codes_are_made_to_expire() -> None:
    with visit() as v:
        client = v.register_device()
        told = v.device(client)
        assert v.tell("/identity-center/expire", {"what": "device_codes"}) == {"expired": 1}
        assert refused(lambda: v.poll(client, told)) == "ExpiredToken"


@pytest.mark.parametrize("allow", [True, False])
def test_somebody_can_be_had_to_decide(*, allow: bool) -> None:
    with visit() as v:
        client = v.register_device()
        told = v.device(client)
        v.tell("/identity-center/decide", {"user_code": told["userCode"], "user": "ada", "allow": allow})
        if allow:
            assert v.poll(client, told)["accessToken"]
        else:
            assert refused(lambda: v.poll(client, told)) == "AccessDenied"


def test_what_makes_no_sense_is_refused() -> None:
    with visit() as v:
        assert "cannot be revoked" in error(v, "/identity-center/revoke", {"what": "everything"})
        assert "cannot expire" in error(v, "/identity-center/expire", {"what": "milk"})
        assert "no device waits" in error(v, "/identity-center/decide", {"user_code": "BBBB-BBBB", "user": "ada"})
        told = v.device(v.register_device())
        assert "no user" in error(v, "/identity-center/decide", {"user_code": told["userCode"], "user": "eve"})
        v.sandbox.world = replace(v.sandbox.world, identity_center=None)
        with pytest.raises(ConfigurationError, match="has no Identity Center"):
            v.sandbox.identity_center.state()


def test_the_documentation_shows_what_there_is() -> None:
    text = (Path(__file__).parents[4] / "docs" / "sandbox.md").read_text()
    rows = re.findall(r"^\| `(\w+) (/identity-center\S*)` \| (.*) \|$", text, re.MULTILINE)
    assert f"sso_start_url = {START_URL}\n" in text
    with visit() as v:
        answers = v.sandbox.identity_center.answers
        assert {(method, path) for path, methods in answers.items() for method in methods} == {row[:2] for row in rows}
        told = {path: said for method, path, said in rows if method == "POST"}
        for what in (revocable := re.findall(r'"(\w+s)"', told["/identity-center/revoke"])):
            assert v.tell("/identity-center/revoke", {"what": what}) == {"revoked": 0}
        for what in (expirable := re.findall(r'"(\w+s)"', told["/identity-center/expire"])):
            assert v.tell("/identity-center/expire", {"what": what}) == {"expired": 0}
        assert (len(revocable), len(expirable)) == (3, 3)
        decision = json.loads(told["/identity-center/decide"].split("`")[1])
        decision["user_code"] = v.device(v.register_device())["userCode"]
        assert v.tell("/identity-center/decide", decision)["sessions"][0]["user"] == "ada"
