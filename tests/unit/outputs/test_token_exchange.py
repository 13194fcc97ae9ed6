"""Does whoever proves who he is get a token over TLS, and does nobody else get or learn anything?"""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from agent.errors import AgentError, CallerDenied, KeyUnavailable, ListenerUnavailable, ProofUnchecked
from agent.events import ProofRefused, TokenDenied
from agent.outputs.token import Wanted
from agent.web.guests import Limits
from agent.web.problems import Problem, Refusal
from tests.fakes.issuer_site import connected, request, say
from tests.fakes.token_exchange import BODY, WHO, Desk
from tests.unit.web.world import Told, answers

GOOD, SLOW, BAD = "Authorization: Proof good", "Authorization: Proof slow", "Authorization: Proof bad"
CLOSE = "Connection: close"
ASK = "/token?aud=https%3A%2F%2Fapi.example.com"


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def ask(desk: Desk, path: str = ASK, *fields: str, method: str = "GET") -> Told:
    async with desk.listening() as address:
        (told,) = answers(await say(address, request(path, CLOSE, *fields, method=method)))
    return told


# --- what is given


async def test_who_proves_who_he_is_gets_a_token(desk: Desk) -> None:
    told = await ask(desk, ASK, GOOD)
    assert (told.status, told.body) == (200, BODY)
    assert told.headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(BODY)),
        "Cache-Control": "no-store",
        "Date": "Fri, 20 Nov 2026 12:00:00 GMT",
        "Server": "rolecall",
        "Connection": "close",
    }
    ((peer, wanted),) = desk.wanted
    assert wanted == Wanted("https://api.example.com", None)
    assert (peer.address, peer.presented) == ("127.0.0.1", None)
    assert peer.origin.facts == WHO | {("peer.address", "127.0.0.1")}
    assert desk.stats.requests() == {("token_exchange", "", 200): 1}
    assert desk.proofs.proof.given_back == 0


async def test_scopes_can_be_asked_for(desk: Desk) -> None:
    await ask(desk, f"{ASK}&scope=read%20write", GOOD)
    assert desk.wanted[0][1] == Wanted("https://api.example.com", ("read", "write"))


async def test_several_requests_on_one_connection_each_show_a_proof(desk: Desk) -> None:
    async with desk.listening() as address:
        told = answers(await say(address, request(ASK, GOOD) + request(ASK), request(ASK, GOOD, CLOSE)))
    assert [one.status for one in told] == [200, 401, 200]
    assert [shown for shown, _ in desk.proofs.seen] == [b"Proof good", None, b"Proof good"]


# --- what is not


@pytest.mark.parametrize(
    "path",
    [
        "/token",
        "/token?",
        "/token?aud",
        "/token?aud=",
        "/token?scope=read",
        f"{ASK}&aud=b",
        f"{ASK}&scope=read&scope=write",
        f"{ASK}&other=1",
        f"{ASK}&scope=",
        f"{ASK}&scope=a%22b",
        "/token?aud=%FF",
    ],
)
async def test_another_query_is_refused_before_anybody_is_asked(desk: Desk, path: str) -> None:
    told = await ask(desk, path, GOOD)
    assert told.status == 400
    assert json.loads(told.body)["code"] == "BadQuery"
    assert desk.proofs.seen == []


@pytest.mark.parametrize("path", ["/", "/token/", "/v1/token?aud=a", "/TOKEN?aud=a", "/%74oken?aud=a", "/metrics"])
async def test_another_path_is_not_there(desk: Desk, path: str) -> None:
    assert (await ask(desk, path, GOOD)).status == 404
    assert desk.proofs.seen == []


@pytest.mark.parametrize("method", ["POST", "HEAD", "PUT", "DELETE", "OPTIONS"])
async def test_another_method_is_not_allowed(desk: Desk, method: str) -> None:
    async with desk.listening() as address:
        raw = await say(address, request(ASK, CLOSE, GOOD, method=method))
    assert raw.startswith(b"HTTP/1.1 405 ")
    assert desk.proofs.seen == []


async def test_two_proofs_are_no_proof(desk: Desk) -> None:
    assert (await ask(desk, ASK, GOOD, GOOD)).status == 400
    assert desk.proofs.seen == []


async def test_a_body_is_refused(desk: Desk) -> None:
    async with desk.listening() as address:
        raw = await say(address, request(ASK, GOOD, "Content-Length: 5") + b"hello" + request(ASK, GOOD))
    assert [one.status for one in answers(raw)] == [400]


async def test_a_head_that_is_too_long_is_refused(desk: Desk) -> None:
    async with desk.listening() as address:
        raw = await say(address, request(ASK, f"Authorization: Proof {'x' * 20_000}"))
    assert [one.status for one in answers(raw)] == [431]


@pytest.mark.parametrize(("fields", "sentence"), [((BAD,), "does not hold"), ((), "no proof")])
async def test_a_proof_that_is_no_good_is_a_401_that_says_how_one_proves_who_one_is(
    desk: Desk, fields: tuple[str, ...], sentence: str
) -> None:
    told = await ask(desk, ASK, *fields)
    assert told.status == 401
    assert told.headers["WWW-Authenticate"] == "AWS-Presigned, Bearer"
    said = json.loads(told.body)
    assert said["code"] == "ProofRejected"
    assert sentence in said["message"]
    assert b"secret reason" not in told.body
    (denied,) = desk.told.of(TokenDenied)
    assert (denied.audience, denied.caller, denied.reason) == ("", "peer.address=127.0.0.1", "unknown_caller")
    assert desk.wanted == []


async def test_why_proofs_are_refused_is_told_once_a_minute_for_each_reason_with_how_many_there_were(
    desk: Desk,
) -> None:
    async with desk.listening() as address:

        async def show(*fields: str) -> None:
            await say(address, request(ASK, CLOSE, *fields))

        for _ in range(3):
            await show(BAD)
        await show()
        desk.proofs.error = ProofUnchecked("STS is away")
        await show(GOOD)
        desk.proofs.error = None
        await desk.clock.advance(timedelta(minutes=1))
        await show(BAD)
    told = [(one.reason, one.address, one.untold) for one in desk.told.of(ProofRefused)]
    here = "127.0.0.1"
    assert told == [("refused", here, 0), ("missing", here, 0), ("unchecked", here, 0), ("refused", here, 2)]


async def test_a_proof_that_cannot_be_judged_now_is_a_503(desk: Desk) -> None:
    desk.proofs.error = ProofUnchecked("a secret reason", hint="wait")
    told = await ask(desk, ASK, GOOD)
    assert (told.status, told.headers["Retry-After"]) == (503, "1")
    assert json.loads(told.body)["code"] == "ProofUnchecked"
    assert b"secret reason" not in told.body


async def test_who_is_granted_nothing_is_told_so_and_the_proof_is_used_up(desk: Desk) -> None:
    desk.refusal = Refusal(Problem(403, "CallerDenied", "This caller is not granted this token."))
    told = await ask(desk, ASK, GOOD)
    assert told.status == 403
    assert desk.proofs.proof.given_back == 0


async def test_where_there_is_no_token_the_proof_is_good_for_another_try(desk: Desk) -> None:
    desk.refusal = Refusal(Problem(503, "TokenNotReady", "The first token is still on its way."))
    assert (await ask(desk, ASK, GOOD)).status == 503
    assert desk.proofs.proof.given_back == 1


@pytest.mark.parametrize(
    ("error", "status"), [(KeyUnavailable("a secret reason"), 503), (CallerDenied("a secret reason"), 403)]
)
async def test_an_error_is_told_as_everywhere(desk: Desk, error: AgentError, status: int) -> None:
    desk.refusal = error
    told = await ask(desk, ASK, GOOD)
    assert told.status == status
    assert b"secret reason" not in told.body


async def test_a_bug_is_told_of_and_ends_the_connection(desk: Desk) -> None:
    desk.proofs.error = RuntimeError("a secret reason")
    async with desk.listening() as address:
        (told,) = answers(await say(address, request(ASK, GOOD) + request(ASK, GOOD)))
    assert told.status == 500
    assert b"secret reason" not in told.body
    assert [str(bug) for bug in desk.bugs] == ["a secret reason"]


async def test_what_takes_too_long_is_given_up(desk: Desk) -> None:
    async with desk.listening() as address:
        reader, writer = await connected(address)
        writer.write(request(ASK, SLOW, CLOSE))
        while not desk.proofs.waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await desk.clock.advance(timedelta(seconds=10))
        (told,) = answers(await reader.read())
        writer.close()
    assert told.status == 503
    assert desk.proofs.waiting == 0


# --- crowds


async def test_while_one_waits_others_are_served(desk: Desk) -> None:
    async with desk.listening() as address, AsyncExitStack() as stack:
        slow = []
        for _ in range(3):
            reader, writer = await connected(address)
            stack.callback(writer.close)
            writer.write(request(ASK, SLOW, CLOSE))
            slow.append(reader)
        assert [one.status for one in answers(await say(address, request(ASK, GOOD, CLOSE)))] == [200]
        desk.proofs.go.set()
        assert [answers(await one.read())[0].status for one in slow] == [200] * 3


async def test_pipelined_requests_are_answered_in_order_one_at_a_time(desk: Desk) -> None:
    async with desk.listening() as address:
        reader, writer = await connected(address)
        writer.write(request(ASK, SLOW) + request(ASK) + request(ASK, GOOD, CLOSE))
        while not desk.proofs.waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(desk.proofs.seen) == 1
        desk.proofs.go.set()
        told = answers(await reader.read())
        writer.close()
    assert [one.status for one in told] == [200, 401, 200]


async def test_who_is_shown_out_is_asked_about_no_longer(desk: Desk) -> None:
    async with desk.listening(Limits(connections=1)) as address:
        reader, writer = await connected(address)
        writer.write(request(ASK, SLOW))
        while not desk.proofs.waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        assert [one.status for one in answers(await say(address, request(ASK, GOOD, CLOSE)))] == [200]
        assert await reader.read() == b""
        writer.close()
        assert desk.proofs.waiting == 0
    assert desk.bugs == []


async def test_on_the_way_out_nobody_is_waited_for_long(desk: Desk) -> None:
    async with desk.listening(Limits(linger=0.1)) as address:
        reader, writer = await connected(address)
        writer.write(request(ASK, SLOW))
        while not desk.proofs.waiting:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 1
    assert desk.proofs.waiting == 0
    assert await reader.read() == b""
    writer.close()


async def test_a_port_that_is_taken_is_told_of_with_what_to_do(desk: Desk) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ListenerUnavailable) as error:
            async with desk.listening(where=taken.getsockname()):
                pass
    assert "aws_callers.listen" in error.value.hint
