"""Is a request for Identity Center told from all others, and do faults strike it?"""

import urllib.request
from dataclasses import replace
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from agent.sandbox import Fault
from tests.unit.sandbox.identity_center.visit import Visit, refused, visit


def status(v: Visit, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str]:
    """The answer's status and media type."""
    request = urllib.request.Request(v.sandbox.endpoint_url + path, None, headers or {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"]
    except HTTPError as answer:
        with answer:
            return answer.code, answer.headers["Content-Type"]


def test_where_there_is_no_identity_center_its_paths_are_s3s() -> None:
    with visit() as v:
        assert status(v, "/device")[0] == 200
        v.sandbox.world = replace(v.sandbox.world, identity_center=None)
        assert status(v, "/device") == (403, "application/xml")


def test_a_bucket_may_be_called_as_a_path_is() -> None:
    with visit() as v:
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=…".replace("…", "x")}
        assert status(v, "/device", headers=signed)[1] == "application/xml"
        assert status(v, "/devices")[1] == "application/xml"


@pytest.mark.parametrize(("path", "method"), [("/token", "GET"), ("/assignment/accounts", "POST"), ("/logout", "GET")])
def test_an_operation_has_one_method(path: str, method: str) -> None:
    with visit() as v:
        assert status(v, path, method) == (404, "application/json")


def test_calls_are_remembered_with_what_aws_would_not_tell() -> None:
    with visit() as v:
        refused(lambda: v.redeem(v.register(), "code"))
        told = [(call.action, call.code, call.status, call.why) for call in v.sandbox.requests]
        assert told == [
            ("RegisterClient", "Success", 200, ""),
            ("CreateToken", "InvalidGrantException", 400, "there is no such code"),
        ]


def test_faults_strike_all_operations_or_one() -> None:
    with visit() as v:
        token = v.access_token()
        v.sandbox.faults.add(Fault("status", status=500, times=1))
        assert refused(v.register) == "InternalServer"
        v.sandbox.faults.add(Fault("drop", role="ListAccounts", times=1))
        v.register()
        with pytest.raises(ConnectionClosedError):
            v.sso.list_accounts(accessToken=token)
        v.sandbox.faults.add(Fault("garbage", garbage="html", role="ListAccounts", times=1))
        assert "accountList" not in v.sso.list_accounts(accessToken=token)
        v.sandbox.faults.add(Fault("status", status=418, code="TeapotException", message="short", times=1))
        with pytest.raises(ClientError, match=r"TeapotException.*short"):
            v.sso.list_accounts(accessToken=token)
        assert v.sso.list_accounts(accessToken=token)["accountList"]


def test_the_clock_of_the_whole_aws_is_its_clock() -> None:
    with visit() as v:
        tokens = v.tokens()
        v.sandbox.faults.add(Fault("clock", seconds=3600))
        assert refused(lambda: v.sso.list_accounts(accessToken=tokens["accessToken"])) == "Unauthorized"
