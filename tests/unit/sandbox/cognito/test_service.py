import json

import pytest

from agent.sandbox import Fault
from agent.sandbox.cognito.service import USER_POOLS
from agent.sandbox.wire import Wire
from tests.fakes.cognito import CLIENT, ISSUER, POOL_ID, pool_keys
from tests.unit.sandbox.cognito.counter import Counter


def get(path: str, method: str = "GET", **headers: str) -> Wire:
    return Wire(method, path, "", headers)


@pytest.mark.parametrize(
    ("wire", "theirs"),
    [
        (get(f"/{POOL_ID}/.well-known/jwks.json"), True),
        (get(f"/{POOL_ID}/.well-known/openid-configuration", "HEAD"), True),
        (get(f"/{POOL_ID}/.well-known/jwks.json", "PUT"), False),
        (get("/eu-central-1_other/.well-known/jwks.json"), False),
        (get(f"/{POOL_ID}"), False),
        (get("/", "POST", **{"x-amz-target": f"{USER_POOLS}.InitiateAuth"}), True),
        (get("/", "POST", **{"x-amz-target": "AWSCognitoIdentityService.GetId"}), True),
        (get("/", "POST", **{"x-amz-target": "TrentService.Sign"}), False),
        (get("/", "POST"), False),
    ],
)
def test_requests_are_told_apart_by_their_target_and_documents_by_their_pool(wire: Wire, theirs: object) -> None:
    assert Counter().room.concerns(wire) is theirs


async def test_the_documents_of_a_pool_are_where_its_api_is() -> None:
    counter = Counter()
    discovery = await counter.room.answer(get(f"/{POOL_ID}/.well-known/openid-configuration"), "1")
    jwks = await counter.room.answer(get(f"/{POOL_ID}/.well-known/jwks.json"), "1")

    assert discovery is not None
    assert jwks is not None
    assert json.loads(discovery.body)["jwks_uri"] == f"{ISSUER}/.well-known/jwks.json"
    assert json.loads(jwks.body) == pool_keys().jwks
    assert len(json.loads(jwks.body)["keys"]) == 2
    assert discovery.media_type == "application/json"


async def test_every_call_is_noted_and_by_its_operation() -> None:
    counter = Counter()
    await counter.sign_in()
    await counter.sign_in("wrong")
    assert [(one.action, one.code) for one in counter.cloud.calls] == [
        ("InitiateAuth", "Success"),
        ("InitiateAuth", "NotAuthorizedException"),
    ]


async def test_answers_carry_an_id_and_the_type_of_json() -> None:
    reply = await Counter().send(f"{USER_POOLS}.InitiateAuth", {})
    assert reply.media_type == "application/x-amz-json-1.1"
    assert reply.headers["x-amzn-requestid"] == "request-1"


@pytest.mark.parametrize(
    ("fault", "status", "code"),
    [
        (Fault("throttled"), 400, "TooManyRequestsException"),
        (Fault("status", status=500), 500, "InternalErrorException"),
        (
            Fault("status", status=400, code="ForbiddenException", message="Request not allowed due to WAF block."),
            400,
            "ForbiddenException",
        ),
    ],
)
async def test_faults_strike_in_cognitos_words(fault: Fault, status: int, code: str) -> None:
    counter = Counter()
    counter.cloud.faults.add(fault)
    reply = await counter.send(f"{USER_POOLS}.InitiateAuth", {"ClientId": CLIENT})
    assert (reply.status, json.loads(reply.body)["__type"]) == (status, code)


async def test_a_fault_may_be_for_one_operation() -> None:
    counter = Counter()
    counter.cloud.faults.add(Fault("throttled", role="GetTokensFromRefreshToken"))
    token = (await counter.tokens())["RefreshToken"]
    answer = await counter.ask("GetTokensFromRefreshToken", RefreshToken=token, ClientId=CLIENT)
    assert answer["error"][0] == "TooManyRequestsException"


async def test_a_fault_may_hang_up_spoil_the_answer_or_be_slow() -> None:
    counter = Counter()
    counter.cloud.faults.replace([Fault("drop", times=1)])
    wire = get("/", "POST", **{"x-amz-target": f"{USER_POOLS}.InitiateAuth"})
    assert await counter.room.answer(wire, "1") is None
    assert counter.cloud.calls[-1].code == "(dropped)"
    counter.cloud.faults.replace([Fault("garbage", garbage="html")])
    reply = await counter.room.answer(wire, "1")
    assert reply is not None
    assert (reply.status, reply.media_type) == (200, "text/html")
