import json

import pytest

from agent.errors import CredentialsUnavailable
from tests.unit.web.world import BOTH, NONE, WEB, Broken, OnlyOrdinary, World, answers, ask, request, say


@pytest.fixture
async def world() -> World:
    world = World()
    await world.fetch()
    return world


#: Requests, and the status and code of their answers.
TABLE = [
    (request("/v1/credentials/web"), 200, "Success"),
    (request("/v1/credentials/web?any=thing&%zz"), 200, "Success"),
    (request("/v1/credentials"), 200, "Success"),
    (request("/v1/credentials/backup", BOTH), 200, "Success"),
    (request("/v1/credentials", BOTH), 409, "RoleAmbiguous"),
    (request("/v1/credentials/backup"), 403, "CallerDenied"),
    (request("/v1/credentials/web", NONE), 403, "CallerDenied"),
    (request("/v1/credentials", NONE), 403, "CallerDenied"),
    (request("/v1/credentials/nosuch"), 404, "RoleUnknown"),
    (request("/v1/credentials/nosuch", NONE), 403, "CallerDenied"),
    (request("/v1/credentials/nosuch", None), 401, "CallerUnknown"),
    (request("/v1/credentials/web", None), 401, "CallerUnknown"),
    (request("/v1/credentials", None), 401, "CallerUnknown"),
    (request("/v1/credentials/web", WEB + b"x"), 401, "CallerUnknown"),
    (request("/v1/credentials/web", b"Bearer " + WEB), 401, "CallerUnknown"),
    (request("/v1/credentials/web", b"\xff\xfe"), 401, "CallerUnknown"),
    (request("/"), 404, "NotFound"),
    (request("/metrics"), 404, "NotFound"),
    (request("/v1/credentials/"), 404, "NotFound"),
    (request("/v1/credentials/web/"), 404, "NotFound"),
    (request("//v1/credentials/web"), 404, "NotFound"),
    (request("/v1//credentials/web"), 404, "NotFound"),
    (request("/v1/credentials/./web"), 404, "NotFound"),
    (request("/v1/credentials/x/../web"), 404, "NotFound"),
    (request("/v1/credentials/.."), 404, "NotFound"),
    (request("/v1/credentials/w%65b"), 404, "NotFound"),
    (request("/v1%2fcredentials/web"), 404, "NotFound"),
    (request("/v1/credentials/web%00"), 404, "NotFound"),
    (request("/v1/credentials/web;x"), 404, "NotFound"),
    (request("/V1/Credentials/web"), 404, "NotFound"),
    (request("/v1/credentials/web", method="POST"), 405, "MethodNotAllowed"),
    (request("/v1/credentials", method="DELETE"), 405, "MethodNotAllowed"),
    (request("/v1/credentials/web", None, method="OPTIONS"), 405, "MethodNotAllowed"),
    (request("/nothing", method="PUT"), 404, "NotFound"),
    (request("http://127.0.0.1/v1/credentials/web"), 400, "BadRequest"),
    (request("*", method="OPTIONS"), 400, "BadRequest"),
    (request("127.0.0.1:80", method="CONNECT"), 400, "BadRequest"),
    (request("/v1/credentials/web", WEB, b"Content-Length: 3") + b"abc", 400, "BadRequest"),
    (request("/v1/credentials/web", WEB, b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400, "BadRequest"),
    (request("/v1/credentials/web", WEB, b"Host: 127.0.0.1"), 400, "BadRequest"),
    (request("/v1/credentials/web", WEB, b"Authorization: " + WEB), 400, "BadRequest"),
    (request().replace(b"Host: 127.0.0.1\r\n", b""), 400, "BadRequest"),
    (request().replace(b"Host: 127.0.0.1", b"Host: evil.example.com"), 403, "HostRefused"),
    (request("/v1/credentials/web", WEB, b"Origin: http://127.0.0.1"), 403, "BrowserRefused"),
    (request("/v1/credentials/web", WEB, b"Referer: http://127.0.0.1/"), 403, "BrowserRefused"),
    (request("/v1/credentials/web", WEB, b"X-Forwarded-For: 10.0.0.1"), 403, "BrowserRefused"),
    (request("/v1/credentials/web", WEB, b"X-Long: " + b"x" * 17_000), 431, "HeadTooLarge"),
    (request("/v1/credentials/web", WEB, *[b"X-%d: " % n + b"x" * 900 for n in range(20)]), 431, "HeadTooLarge"),
    (request("/v1/credentials/" + "w" * 17_000), 431, "HeadTooLarge"),
    (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 3000, 431, "HeadTooLarge"),
    (b"\r\n" * 9000, 431, "HeadTooLarge"),
    (b"nonsense\r\n\r\n", 400, "BadRequest"),
    (b"GET /v1/credentials/web HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n", 400, "BadRequest"),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "BadRequest"),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "BadRequest"),
]


@pytest.mark.parametrize(("sent", "status", "code"), TABLE, ids=lambda value: repr(value)[:60])
async def test_every_request_has_its_answer(world: World, sent: bytes, status: int, code: str) -> None:
    async with world.listening() as address:
        told = answers(await say(address, sent))[0]
    body = json.loads(told.body)
    assert (told.status, body["Code"]) == (status, code)
    assert told.headers["Content-Type"] == "application/json"
    assert told.headers["Cache-Control"] == "no-store"
    assert told.headers["Date"] == "Fri, 20 Nov 2026 12:00:00 GMT"
    assert told.headers["Server"] == "rolecall"
    assert ("Allow" in told.headers) == (status == 405)
    assert not {"Transfer-Encoding", "Content-Encoding", "Location", "WWW-Authenticate"} & set(told.headers)
    assert (told.headers.get("Connection") == "close") == (status in (400, 431))
    assert world.bugs == []


async def test_head_is_not_allowed_and_its_answer_has_no_body(world: World) -> None:
    async with world.listening() as address:
        received = await say(address, request(method="HEAD"))
    assert received.startswith(b"HTTP/1.1 405 ")
    assert b"\r\nAllow: GET\r\n" in received
    assert received.endswith(b"\r\n\r\n")


async def test_the_connection_ends_with_a_request_that_has_a_body(world: World) -> None:
    sent = request("/v1/credentials/web", WEB, b"Content-Length: 1000000", method="POST") + b"x" * 1000
    async with world.listening() as address:
        (told,) = answers(await say(address, sent))
    assert (told.status, told.headers["Connection"]) == (405, "close")


async def test_a_good_request_is_answered_whatever_bad_one_comes_in_the_same_chunk(world: World) -> None:
    good = request("/v1/credentials/web?x", WEB, b"Connection: close")
    for at in range(1, 5):  # the head ends across two chunks
        async with world.listening() as address:
            received = await say(address, good[:-at], good[-at:] + request() + b"nonsense\r\n\r\n", pause=0.01)
        assert [told.status for told in answers(received)] == [200]


async def test_http_1_0_is_answered_and_the_connection_closed(world: World) -> None:
    sent = b"GET /v1/credentials/web HTTP/1.0\r\nAuthorization: " + WEB + b"\r\n\r\n"
    async with world.listening() as address:
        received = await say(address, sent, sent)
    assert received.startswith(b"HTTP/1.0 200 OK\r\n")
    assert len(answers(received)) == 1


async def test_a_wish_to_close_is_granted_on_both_routes(world: World) -> None:
    sent = request("/v1/credentials/web", WEB, b"Connection: close")
    for output in (world.output, OnlyOrdinary(world.output)):
        async with world.listening(output) as address:
            (told,) = answers(await say(address, sent + request()))
        assert told.headers["Connection"] == "close"


async def test_a_wish_to_speak_something_else_is_ignored(world: World) -> None:
    sent = request("/v1/credentials/web", WEB, b"Connection: upgrade", b"Upgrade: h2c")
    async with world.listening() as address:
        assert (await ask(address, sent)).status == 200


async def test_without_credentials_there_is_no_200(world: World) -> None:
    cold = World()
    cold.sources["web"].failure = CredentialsUnavailable("STS is down: secret reason", hint="wait")
    await cold.fetch()
    async with cold.listening() as address:
        told = await ask(address, request())
    assert (told.status, json.loads(told.body)["code"]) == (503, "ServiceUnavailable")
    assert told.headers["Retry-After"] == "5"
    assert b"STS" not in told.body


async def test_the_connection_survives_a_bug(world: World) -> None:
    async with world.listening(Broken(world.output)) as address:
        told = answers(await say(address, request() + request()))
    assert [one.status for one in told] == [500, 500]
    assert {type(bug) for bug in world.bugs} == {ZeroDivisionError}


async def test_labels_of_the_counts_are_never_made_up_by_callers(world: World) -> None:
    async with world.listening() as address:
        for path in ("/v1/credentials/web", "/v1/credentials/nosuch", "/../../etc/passwd", "/v1/credentials"):
            await ask(address, request(path))
        await say(address, b"nonsense\r\n\r\n")
    assert world.stats.requests() == {
        ("ecs", "web", 200): 2,
        ("ecs", "", 404): 2,
        ("ecs", "", 400): 1,
    }
