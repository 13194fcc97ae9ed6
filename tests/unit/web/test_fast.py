from datetime import timedelta

import pytest

from agent.callers import Origin, Peer
from agent.web import Answered, Asked, Label
from agent.web.fast import Ready, ReadyAnswers, Recognised, recognise
from agent.web.shares import Shares
from tests.fakes.clock import FakeClock
from tests.unit.web.world import WEB, Broken, World, ask, request

HERE = Origin("127.0.0.1", "127.0.0.1")
GOOD = request()


class Given:
    """An output that has what a test gives it, and counts how often it is asked."""

    def __init__(self) -> None:
        self.body: bytes | None = b'{"a":1}'
        self.asked: list[Asked] = []

    def label(self, path: str) -> Label:  # noqa: ARG002 - the shape of an output
        return Label("given", "web")

    async def answer(self, asked: Asked) -> Answered:
        raise NotImplementedError

    def ready(self, asked: Asked) -> Answered | None:
        self.asked.append(asked)
        return None if self.body is None else Answered("web", self.body)


def no_bug(error: BaseException) -> None:
    raise error


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def given() -> Given:
    return Given()


@pytest.fixture
def answers(given: Given, clock: FakeClock) -> ReadyAnswers:
    return ReadyAnswers(given, clock, Shares(), no_bug)


def found(answers: ReadyAnswers, clock: FakeClock, sent: bytes = GOOD, origin: Origin = HERE) -> Ready:
    ready = answers.find(origin, sent, clock.steady())
    assert ready is not None
    return ready


# What real SDKs send, as they send it.
BOTOCORE = (
    b"GET /v1/credentials/web HTTP/1.1\r\nHost: 127.0.0.1:9170\r\nAccept: application/json\r\n"
    b"User-Agent: python-urllib3/2.6\r\nAuthorization: token\r\nAccept-Encoding: identity\r\n\r\n"
)
GO_V2 = (
    b"GET /v1/credentials/web HTTP/1.1\r\nHost: 127.0.0.1:9170\r\nUser-Agent: Go-http-client/1.1\r\n"
    b"Accept: application/json\r\nAmz-Sdk-Request: attempt=1; max=3\r\nAuthorization: token\r\n"
    b"Accept-Encoding: gzip\r\n\r\n"
)
JS_V3 = (
    b"GET /v1/credentials/web HTTP/1.1\r\nauthorization: token\r\nHost: 127.0.0.1:9170\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
CRT = (
    b"GET /v1/credentials/web HTTP/1.1\r\nAccept: application/json\r\nHost: 127.0.0.1\r\nauthorization: token\r\n"
    b"Accept-Encoding: identity\r\nUser-Agent: aws-sdk-crt/ecs-credentials-provider\r\n\r\n"
)


@pytest.mark.parametrize("sent", [BOTOCORE, GO_V2, JS_V3, CRT], ids=["botocore", "go", "js", "crt"])
def test_what_sdks_send_is_recognised(sent: bytes) -> None:
    assert recognise(sent, HERE) == Recognised(Asked("GET", "/v1/credentials/web", Peer(HERE, b"token")), last=False)


def test_a_wish_to_close_is_recognised() -> None:
    recognised = recognise(request("/v1/credentials/web", WEB, b"Connection: Close"), HERE)
    assert recognised is not None
    assert recognised.last


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        GOOD[:-1],
        GOOD + b"G",
        GOOD * 2,
        b"\r\n" + GOOD,
        GOOD.replace(b"\r\n", b"\n"),
        GOOD.replace(b"GET", b"get"),
        GOOD.replace(b"GET", b"HEAD"),
        GOOD.replace(b"GET ", b"GET  "),
        GOOD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"),
        GOOD.replace(b"/web", b"/web?x=<1>"),
        GOOD.replace(b"/web", b"/web?"),
        GOOD.replace(b"/web", b"/w%65b"),
        GOOD.replace(b" /v1", b" http://127.0.0.1/v1"),
        GOOD.replace(b"Host: 127.0.0.1\r\n", b""),
        GOOD.replace(b"Host: 127.0.0.1", b"Host: evil.example.com"),
        GOOD.replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\nHost: 127.0.0.1\r\n"),
        GOOD.replace(b"Host: 127.0.0.1", b"Host : 127.0.0.1"),
        GOOD.replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\n folded\r\n"),
        GOOD.replace(b"application/json", b"application/json\xff"),
        GOOD.replace(b"application/json", b"application\tjson"),
        GOOD.replace(b"application/json", b"application\x00json"),
        request("/v1/credentials/web", WEB, b"Authorization: " + WEB),
        request("/v1/credentials/web", WEB, b"Content-Length: 0"),
        request("/v1/credentials/web", WEB, b"Transfer-Encoding: chunked"),
        request("/v1/credentials/web", WEB, b"Connection: upgrade"),
        request("/v1/credentials/web", WEB, b"Expect: 100-continue"),
        request("/v1/credentials/web", WEB, b"Origin: http://127.0.0.1"),
        request("/v1/credentials/web", WEB, b"X-Anything: new"),
        request("/v1/credentials/web", WEB, b"User-Agent: " + b"x" * 2048),
        request("/v1/credentials/web", WEB, *[b"User-Agent-%d: x" % n for n in range(30)]),
    ],
)
def test_whatever_is_unusual_is_not_recognised(sent: bytes) -> None:
    assert recognise(sent, HERE) is None


def test_the_same_bytes_ask_the_output_once_a_second(given: Given, answers: ReadyAnswers, clock: FakeClock) -> None:
    first = found(answers, clock)
    assert found(answers, clock) is first
    assert len(given.asked) == 1


async def test_a_second_later_everything_is_decided_anew(given: Given, answers: ReadyAnswers, clock: FakeClock) -> None:
    assert b"Date: Fri, 20 Nov 2026 12:00:00 GMT\r\n" in found(answers, clock).content
    await clock.advance(timedelta(seconds=1))
    assert b"Date: Fri, 20 Nov 2026 12:00:01 GMT\r\n" in found(answers, clock).content
    given.body = None
    await clock.advance(timedelta(seconds=1))
    assert answers.find(HERE, GOOD, clock.steady()) is None


async def test_an_answer_lives_to_the_end_of_its_second_not_for_one(given: Given, answers: ReadyAnswers) -> None:
    clock = FakeClock()
    clock.step(timedelta(milliseconds=900))
    answers = ReadyAnswers(given, clock, Shares(), no_bug)
    found(answers, clock)
    await clock.advance(timedelta(milliseconds=101))
    assert b"12:00:01" in found(answers, clock).content


def test_an_answer_belongs_to_the_ends_of_its_connection(given: Given, answers: ReadyAnswers, clock: FakeClock) -> None:
    found(answers, clock)
    found(answers, clock, origin=Origin("10.0.0.7", "127.0.0.1"))
    assert [asked.peer.address for asked in given.asked] == ["127.0.0.1", "10.0.0.7"]


def test_what_is_not_ready_is_asked_for_each_time(given: Given, answers: ReadyAnswers, clock: FakeClock) -> None:
    given.body = None
    assert answers.find(HERE, GOOD, clock.steady()) is None
    given.body = b"{}"
    assert found(answers, clock).content.endswith(b"\r\n\r\n{}")


def test_the_memory_has_an_end(given: Given, answers: ReadyAnswers, clock: FakeClock) -> None:
    for number in range(2000):
        found(answers, clock, request("/v1/credentials/web", b"%d" % number))
    assert len(answers._known) <= 512
    given.body = b"x" * 100_000
    answers.forget(clock.steady())
    for number in range(20):
        found(answers, clock, request("/v1/credentials/web", b"%d" % number))
    assert sum(len(request) + len(ready.content) for (_, request), ready in answers._known.items()) <= 1 << 20


def test_nothing_is_remembered_when_told_to_forget(answers: ReadyAnswers, clock: FakeClock) -> None:
    found(answers, clock)
    answers.forget(clock.steady())
    assert answers._known == {}


async def test_a_bug_in_the_output_is_told_of_and_answered_with_500() -> None:
    world = World()
    async with world.listening(Broken(world.output)) as address:
        told = await ask(address, request())
    assert told.status == 500
    assert [type(bug) for bug in world.bugs] == [ZeroDivisionError, ZeroDivisionError]


async def test_a_token_taken_away_counts_within_a_second() -> None:
    world = World()
    await world.fetch()
    async with world.listening() as address:
        assert (await ask(address, request())).status == 200
        world.tokens.tokens.discard(WEB)
        await world.clock.advance(timedelta(seconds=1))
        assert (await ask(address, request())).status == 401


def test_what_a_proxy_passes_on_may_be_longer_and_have_more_with_it() -> None:
    long = request("/v1/verify/api", b"Bearer " + b"x" * 8000)
    browsers = request(
        "/v1/verify/api", WEB, b"Origin: https://app.example.com", b"Cookie: a=b", b"X-Real-IP: 10.0.0.1"
    )
    for sent in (long, browsers):
        assert recognise(sent, HERE) is None
        assert recognise(sent, HERE, proxied=True) is not None
    assert recognise(request("/v1/verify/api", b"x" * 8193), HERE, proxied=True) is None
    for framing in (b"Content-Length: 1", b"Transfer-Encoding: chunked", b"Expect: 100-continue", b"Upgrade: h2c"):
        assert recognise(request("/v1/verify/api", WEB, framing), HERE, proxied=True) is None
