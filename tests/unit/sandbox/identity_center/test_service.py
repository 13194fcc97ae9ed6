"""Is a request for Identity Center told from all others, and do faults strike it?"""

import asyncio
import json
import urllib.request
from dataclasses import replace
from random import Random
from urllib.error import HTTPError
from urllib.parse import quote

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.sandbox import Fault, practice_world
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.service import IdentityCenterService
from agent.sandbox.wire import Wire
from tests.fakes.clock import FakeClock
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


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=()), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=4,
)
MEMBERS = st.sampled_from(
    [
        "clientName", "clientType", "scopes", "grantTypes", "redirectUris", "issuerUrl", "clientId", "clientSecret",
        "startUrl", "grantType", "code", "codeVerifier", "redirectUri", "refreshToken", "deviceCode",
    ]
)  # fmt: skip
LIKELY = st.sampled_from(
    ["public", "authorization_code", "http://127.0.0.1/cb", ["refresh_token"], ["http://[", "\ud800"]]
)
PATHS = ["/client/register", "/device_authorization", "/token", "/authorize", "/device", "/assignment/accounts"]
PATHS += ["/assignment/roles", "/federation/credentials", "/logout"]
ORDINARY = "application/x-www-form-urlencoded"
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "host": st.just("127.0.0.1:1"),
        "origin": st.sampled_from(["http://[", "null", "http://127.0.0.1:1", "\udcff"]),
        "cookie": st.sampled_from(["rolecall-sandbox-browser=" + "0" * 32, "=", '"', "\udcff;a=\x01"]),
        "x-amz-sso_bearer_token": st.text(max_size=4),
        "content-type": st.just(ORDINARY),
    },
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            ["client_id", "redirect_uri", "user_code", "state", "account_id", "role_name", "max_result", "next_token"]
        ),
        st.text(max_size=6).map(quote),
    ),
    max_size=4,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))
BODIES = (
    st.binary(max_size=30)
    | st.dictionaries(MEMBERS, ANYTHING | LIKELY, max_size=8).map(lambda one: json.dumps(one).encode())
    | st.dictionaries(
        st.sampled_from(["request", "seal", "user", "user_code", "decision"]),
        st.text(max_size=5).map(quote),
        max_size=5,
    ).map(lambda one: "&".join(f"{name}={value}" for name, value in one.items()).encode())
)


@given(st.sampled_from(["GET", "POST", "HEAD", "PUT"]), st.sampled_from(PATHS), QUERIES, HEADERS, BODIES)
@settings(max_examples=300)
def test_whatever_is_sent_is_answered_politely(
    method: str, path: str, query: str, headers: dict[str, str], body: bytes
) -> None:
    service = IdentityCenterService(Cloud(practice_world(), FakeClock(), Random(1)))
    wire = Wire(method, path, query, headers, body)
    assert service.concerns(wire)
    reply = asyncio.run(service.answer(wire, "id"))
    assert reply is not None
    assert reply.status in (200, 303, 400, 401, 403, 404, 405)
