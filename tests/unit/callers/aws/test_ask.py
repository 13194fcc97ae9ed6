"""Is STS asked what was shown, and nothing else, and is its answer taken for no more than it is?"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from agent.callers.aws import Principal
from agent.callers.aws.ask import AT_ONCE, Sts, Way
from agent.callers.aws.presigned import Presigned
from agent.clock import Clock, SystemClock
from agent.errors import ConfigurationError, ProofUnchecked, TokenRejected
from agent.secret import Secret
from tests.fakes.clock import START, FakeClock
from tests.unit.callers.aws.shown import SERVER, parameters, query

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
HERE = "192.0.2.1"
ARN = "arn:aws:sts::123456789012:assumed-role/deploy/web"


def proof(origin: str, nonce: str = "") -> Presigned:
    url = Secret(f"{origin}/?{query(parameters())}")
    return Presigned(url, nonce, "eu-central-1", START, START + timedelta(minutes=5), Secret("00"))


def caller(arn: object = ARN, account: object = "123456789012") -> dict[str, Any]:
    result = {"Arn": arn, "UserId": "AROAEXAMPLE:web", "Account": account}
    return {"GetCallerIdentityResponse": {"GetCallerIdentityResult": result, "ResponseMetadata": {"RequestId": "1"}}}


def refusal(code: str) -> dict[str, Any]:
    return {"Error": {"Code": code, "Message": "AKIAEXAMPLE is not yours", "Type": "Sender"}, "RequestId": "1"}


def says(status: int, said: object) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=json.dumps(said).encode(), content_type="application/json")

    return answer


class Endpoint:
    """What answers in place of STS, and what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.asked: list[web.Request] = []
        self.arrived = asyncio.Semaphore(0)
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        self.arrived.release()
        return await self.answer(request)


@asynccontextmanager
async def endpoint(answer: Answer) -> AsyncIterator[Endpoint]:
    here = Endpoint(answer)
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", here.serve)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield here
    finally:
        await runner.cleanup()


@asynccontextmanager
async def asking(
    answer: Answer, clock: Clock | None = None
) -> AsyncIterator[tuple[Endpoint, Callable[[], Awaitable[Principal]]]]:
    sts = Sts(Way(SERVER), clock or SystemClock())
    async with endpoint(answer) as here, sts.open():
        yield here, lambda: sts.whose(proof(here.url), HERE)


async def test_it_tells_who_signed() -> None:
    async with asking(says(200, caller())) as (_, ask):
        assert await ask() == Principal("arn:aws:iam::123456789012:role/deploy", "123456789012", "web")


async def test_exactly_what_was_shown_is_sent_with_our_own_name_and_nothing_of_ours_besides() -> None:
    async with asking(says(200, caller())) as (here, ask):
        await ask()
    (asked,) = here.asked
    assert (asked.method, asked.raw_path) == ("GET", f"/?{query(parameters())}")
    assert asked.headers["X-Rolecall-Server-Id"] == SERVER
    assert asked.headers["Accept"] == "application/json"
    assert not {"Authorization", "Cookie", "Referer", "X-Rolecall-Nonce"} & {*asked.headers}


async def test_a_nonce_that_was_signed_is_sent() -> None:
    sts = Sts(Way(SERVER), SystemClock())
    async with endpoint(says(200, caller())) as here, sts.open():
        await sts.whose(proof(here.url, "a-nonce-of-the-tests"), HERE)
    assert here.asked[0].headers["X-Rolecall-Nonce"] == "a-nonce-of-the-tests"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(status: int) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path == "/elsewhere":
            return web.json_response(caller())
        return web.Response(status=status, headers={"Location": "/elsewhere"})

    async with asking(answer) as (here, ask):
        with pytest.raises(ProofUnchecked):
            await ask()
        assert len(here.asked) == 1


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (403, "SignatureDoesNotMatch"),
        (403, "InvalidClientTokenId"),
        (403, "ExpiredToken"),
        (403, "AccessDenied"),
        (400, "IncompleteSignature"),
        (401, "Whatever"),
    ],
)
async def test_what_sts_does_not_believe_is_refused_with_its_code_and_no_more(status: int, code: str) -> None:
    async with asking(says(status, refusal(code))) as (_, ask):
        with pytest.raises(TokenRejected) as error:
            await ask()
    assert error.value.reason == "refused"
    assert error.value.what.endswith(f": {code}")
    assert "AKIA" not in f"{error.value.what}{error.value.hint}"


async def test_a_code_that_no_code_can_be_is_not_repeated() -> None:
    async with asking(says(403, refusal("a\r\nb"))) as (_, ask):
        with pytest.raises(TokenRejected, match="another code"):
            await ask()


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (400, refusal("Throttling")),
        (400, refusal("RequestLimitExceeded")),
        (429, refusal("TooManyRequests")),
        (500, refusal("InternalFailure")),
        (503, refusal("ServiceUnavailable")),
        (403, "a captive portal"),
        (400, {}),
        (404, refusal("NotFound")),
        (204, caller()),
        (200, "<html>"),
        (200, {}),
        (200, {"GetCallerIdentityResponse": []}),
        (200, caller(arn=None)),
        (200, caller(arn="arn:aws:iam::123456789012:group/all")),
        (200, caller(account="999999999999")),
        (200, caller(account=123456789012)),
        (200, [[[]]]),
    ],
)
async def test_anything_else_says_nothing_of_the_proof(status: int, said: object) -> None:
    async with asking(says(status, said)) as (_, ask):
        with pytest.raises(ProofUnchecked):
            await ask()


async def test_an_answer_without_end_is_not_read() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)

    async with asking(answer) as (_, ask):
        async with asyncio.timeout(5):
            with pytest.raises(ProofUnchecked):
                await ask()


async def test_an_answer_as_deep_as_it_is_long_is_none() -> None:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"[" * 16_000)

    async with asking(answer) as (_, ask):
        with pytest.raises(ProofUnchecked):
            await ask()


async def test_an_sts_that_is_not_there_says_nothing_of_the_proof_and_the_error_quotes_nothing_of_it() -> None:
    sts = Sts(Way(SERVER), SystemClock())
    async with sts.open():
        with pytest.raises(ProofUnchecked) as error:
            await sts.whose(proof("http://127.0.0.1:1"), HERE)
    assert "Signature" not in f"{error.value} {error.value.hint}"
    assert error.value.__cause__ is None
    assert error.value.__context__ is None


async def test_an_sts_that_does_not_answer_is_given_five_seconds() -> None:
    silent = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await silent.wait()
        return web.Response()

    clock = FakeClock()
    async with asking(answer, clock) as (here, ask):
        asked = asyncio.ensure_future(ask())
        await here.arrived.acquire()
        await clock.advance(timedelta(seconds=5))
        with pytest.raises(ProofUnchecked):
            await asked
        silent.set()


async def test_only_so_many_are_asked_about_at_once() -> None:
    go = asyncio.Event()

    async def answer(_: web.Request) -> web.StreamResponse:
        await go.wait()
        return web.json_response(caller())

    async with asking(answer) as (here, ask):
        several = [asyncio.ensure_future(ask()) for _ in range(3 * AT_ONCE)]
        for _ in range(AT_ONCE):
            await here.arrived.acquire()
        await asyncio.sleep(0.05)  # in which more would have come
        assert len(here.asked) == AT_ONCE
        go.set()
        assert len(await asyncio.gather(*several)) == 3 * AT_ONCE


async def test_no_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with asking(says(200, caller())) as (_, ask):
        assert await ask()


async def test_before_it_is_open_nothing_is_asked() -> None:
    with pytest.raises(ProofUnchecked):
        await Sts(Way(SERVER), SystemClock()).whose(proof("http://127.0.0.1:1"), HERE)


async def test_a_ca_bundle_that_is_none_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigurationError, match="CA bundle"):
        async with Sts(Way(SERVER, tmp_path / "ca.pem"), SystemClock()).open():
            pass
