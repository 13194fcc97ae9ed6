import asyncio
import base64
import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.callers import Origin, Peer
from agent.errors import TokenRejected
from agent.events import BearerRefused
from agent.outputs.verify import Gate, VerifyOutput
from agent.settings.verifying import HEADERS
from agent.verification import Rule, Verified
from agent.verification.published import PublishedKeys
from agent.verification.verifier import RuleVerifier
from agent.web import Answered, Asked
from agent.web.connections import Limits
from agent.web.listener import answering
from agent.web.problems import Problem, Refusal
from agent.web.stats import RequestStats
from tests.fakes.clock import FakeClock
from tests.fakes.foreign import AUDIENCE, ISSUER, NOW, FakeWeb, a_token, b64, claims, forged
from tests.fakes.report import Reported

SCOPED = Rule(ISSUER, (AUDIENCE,), scopes=("read", "admin"), claims={"team": ("web",)})
GOOD = {"alg": "RS256", "kid": "one"}


class World:
    def __init__(self, headers: Mapping[str, str] = HEADERS, *names: str) -> None:
        self.clock, self.web, self.told = FakeClock(), FakeWeb(), Reported()
        self.keys = PublishedKeys(ISSUER, self.web, clock=self.clock, report=self.told)
        rules = dict.fromkeys(names or ("api", "admin"), Rule(ISSUER, (AUDIENCE,)))
        rules |= {"admin": SCOPED} if "admin" in rules else {}
        gates = {
            name: Gate(RuleVerifier(rule, self.keys, self.clock), headers, rule.scopes) for name, rule in rules.items()
        }
        self.output = VerifyOutput(gates, clock=self.clock, report=self.told)

    async def ask(self, token: bytes | None, path: str = "/v1/verify/api", method: str = "GET") -> Answered | Problem:
        """The answer; and what is ready must be the same, or nothing."""
        asked = Asked(method, path, Peer(Origin("127.0.0.1"), token))
        try:
            answered: Answered | Problem = await self.output.answer(asked)
        except Refusal as refusal:
            answered = refusal.problem
        ready = self.output.ready(asked)
        assert ready == (answered if isinstance(answered, Answered) else None)
        return answered

    async def headers(self, token: bytes) -> dict[str, str]:
        answered = await self.ask(b"Bearer " + token)
        assert isinstance(answered, Answered)
        return dict(answered.headers)


def about(problem: Answered | Problem) -> tuple[int, str, str]:
    """Status, code, and what WWW-Authenticate says."""
    assert isinstance(problem, Problem)
    return problem.status, problem.code, dict(problem.headers).get("WWW-Authenticate", "")


async def test_a_good_token_is_told_in_headers_and_nothing_in_a_body() -> None:
    token = a_token(claims(client_id="app"))
    answered = await World().ask(b"Bearer " + token)

    assert isinstance(answered, Answered)
    headers = dict(answered.headers)
    whole = headers.pop("X-Token-Claims")
    assert headers == {
        "X-Token-Subject": "alice",
        "X-Token-Issuer": ISSUER,
        "X-Token-Scope": "read write",
        "X-Token-Client": "app",
    }
    assert json.loads(base64.urlsafe_b64decode(whole + "==")) == claims(client_id="app")
    assert answered.body == b"", "nginx does not read it, and would end the connection instead"
    assert token.decode() not in repr(answered)


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER   "])
async def test_the_scheme_is_written_as_people_write_it(scheme: bytes) -> None:
    assert isinstance(await World().ask(scheme + a_token()), Answered)


@pytest.mark.parametrize(
    "shown", [None, b"", b"Bearer", b"Bearer ", b"Basic YTpi", b"Token eyJ", b"Bearer a b", b"eyJ"]
)
async def test_without_a_token_a_client_is_told_to_bring_one_and_no_error(shown: bytes | None) -> None:
    assert about(await World().ask(shown)) == (401, "TokenAbsent", 'Bearer realm="api"')


async def test_a_token_that_is_no_good_is_a_401_that_says_why() -> None:
    expired = a_token(claims(exp=NOW - 60))
    assert about(await World().ask(b"Bearer " + expired)) == (
        401,
        "TokenExpired",
        'Bearer realm="api", error="invalid_token", error_description="the token has ended"',
    )


async def test_a_token_that_may_not_do_this_is_a_403_with_the_scope_that_it_wants() -> None:
    lacking = await World().ask(b"Bearer " + a_token(claims(team="web")), "/v1/verify/admin")
    assert about(lacking) == (
        403,
        "TokenScope",
        (
            'Bearer realm="admin", error="insufficient_scope", error_description="the token has not the scope admin", '
            'scope="read admin"'
        ),
    )
    stranger = await World().ask(b"Bearer " + a_token(claims(scope="read admin", team="db")), "/v1/verify/admin")
    status, code, told = about(stranger)
    assert (status, code) == (403, "TokenClaims")
    assert 'error="insufficient_scope"' in told


async def test_without_keys_there_is_neither_yes_nor_no() -> None:
    world = World()
    world.web.fail()
    problem = await world.ask(b"Bearer " + a_token())
    assert isinstance(problem, Problem)
    assert (problem.status, problem.code) == (503, "KeysUnavailable")
    assert ("Retry-After", "5") in problem.headers


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v1/verify/other", "GET", 404),
        ("/v1/verify/API", "GET", 404),
        ("/v1/verify/api/", "GET", 404),
        ("/v1/verify/", "GET", 404),
        ("/v1/verify/%61pi", "GET", 404),
        ("/v1/verify", "GET", 404),
        ("/", "GET", 404),
        ("/v1/verify/api", "POST", 405),
        ("/v1/verify/api", "HEAD", 405),
    ],
)
async def test_only_a_rule_that_there_is_gives_a_verdict(path: str, method: str, status: int) -> None:
    problem = await World().ask(b"Bearer " + a_token(), path, method)
    assert isinstance(problem, Problem)
    assert problem.status == status


async def test_a_rule_that_is_the_only_one_need_not_be_named() -> None:
    world = World(HEADERS, "api")
    assert await world.ask(b"Bearer " + a_token(), "/v1/verify") == await world.ask(b"Bearer " + a_token())
    assert about(await world.ask(None, "/v1/verify"))[2] == 'Bearer realm="api"'


# what goes into headers


async def test_every_header_is_there_even_for_claims_that_are_not() -> None:
    """Proxies that copy them would leave a client's own standing otherwise."""
    headers = await World().headers(a_token(claims(sub=None, scope=None)))
    assert [headers[name] for name in ("X-Token-Subject", "X-Token-Scope", "X-Token-Client")] == ["", "", ""]
    assert headers.keys() == HEADERS.keys()


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("alice", "alice"),
        ("host:web-1/unit@3", "host:web-1/unit@3"),
        ("john smith", "john%20smith"),
        (" alice ", "%20alice%20"),
        ("jürgen", "j%C3%BCrgen"),
        ("50%", "50%25"),
        ("j%C3%BCrgen", "j%25C3%25BCrgen"),
        ("a,b", "a%2Cb"),
        (["a", "b"], "a,b"),
        (["a,b"], "a%2Cb"),
        ([], ""),
        ("alice\r\nX-Admin: yes", "alice%0D%0AX-Admin:%20yes"),
        ("alice\n", "alice%0A"),
        ("\0", "%00"),
        ('"', "%22"),
        ("\ud800", "%ED%A0%80"),
        (7, "7"),
        (True, "true"),
        (1.5, "1.5"),
        ([1, "a", False], "1,a,false"),
        (None, ""),
        ({"a": ["b"]}, "{%22a%22:[%22b%22]}"),
        ([["a"]], "[[%22a%22]]"),
    ],
)
async def test_claims_become_headers_in_which_nothing_can_be_hidden(value: object, shown: str) -> None:
    world = World({"X-Name": "name"})
    assert await world.headers(forged(GOOD, {**claims(), "name": value})) == {"X-Name": shown}


async def test_claims_of_objects_are_reached_by_their_way() -> None:
    headers = await World({"X-Roles": "realm_access.roles", "X-Team": "https://example.com/team"}).headers(
        a_token(claims(**{"realm_access": {"roles": ["a", "b"]}, "https://example.com/team": "web"}))
    )
    assert headers == {"X-Roles": "a,b", "X-Team": "web"}


@pytest.mark.parametrize("name", ["client_id", "azp", "appid", "cid"])
async def test_a_client_is_told_whatever_its_issuer_calls_it(name: str) -> None:
    assert (await World().headers(a_token(claims(**{name: "app"}))))["X-Token-Client"] == "app"


async def test_scopes_are_told_as_words_wherever_they_stand() -> None:
    for said in ({"scope": "a b"}, {"scope": None, "scp": ["a", "b"]}, {"scope": "a", "scp": "b a"}):
        assert (await World().headers(a_token(claims(**said))))["X-Token-Scope"] == "a b"
    odd = a_token(claims(scope=None, scp=["a b", "c,d", "e\r\nf"]))
    assert (await World().headers(odd))["X-Token-Scope"] == "a%20b c%2Cd e%0D%0Af"


async def test_a_token_that_says_more_than_goes_into_headers_is_not_let_in_with_less() -> None:
    status, code, _ = about(await World().ask(b"Bearer " + a_token(claims(more="x" * 11_000))))
    assert (status, code) == (401, "TokenOversized")
    assert await World({"X-Sub": "sub"}).headers(a_token(claims(more="x" * 11_000))) == {"X-Sub": "alice"}


async def test_a_claim_too_deep_to_be_told_is_not_told_by_half() -> None:
    deep: Any = "x"
    for _ in range(400):
        deep = [deep]
    assert (await World({"X-Deep": "deep"}).headers(a_token(claims(deep=deep))))["X-Deep"].startswith("[[[")


class Deep:
    """A verifier whose token says what only its issuer could have made so deep."""

    def ready(self, _: bytes) -> Verified | None:
        value: Any = {}
        for _level in range(100_000):
            value = {"a": value}
        return Verified({"deep": value}, {})

    async def verify(self, token: bytes) -> Verified:
        found = self.ready(token)
        assert found is not None
        return found


async def test_a_claim_that_would_break_us_is_refused() -> None:
    output = VerifyOutput({"api": Gate(Deep(), {"X-Deep": "deep"})}, clock=FakeClock(), report=Reported())
    with pytest.raises(Refusal) as caught:
        await output.answer(Asked("GET", "/v1/verify/api", Peer(Origin("127.0.0.1"), b"Bearer a.AA.a")))
    assert caught.value.problem.code == "TokenOversized"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(first=_JSON, second=_JSON)
def test_no_value_makes_a_second_header_and_no_two_texts_look_alike(first: object, second: object) -> None:
    shown = [_header(value) for value in (first, second)]
    assert all(re.fullmatch("[!-~]*", one) for one in shown)
    if isinstance(first, str) and isinstance(second, str):
        assert (shown[0] == shown[1]) == (first == second)


def _header(value: object) -> str:
    class Says(Deep):
        def ready(self, _: bytes) -> Verified | None:
            return Verified({"name": value}, {})

    output = VerifyOutput({"api": Gate(Says(), {"X-Name": "name"})}, clock=FakeClock(), report=Reported())
    ready = output.ready(Asked("GET", "/v1/verify/api", Peer(Origin("127.0.0.1"), b"Bearer a." + b64(b"{}") + b".a")))
    assert ready is not None
    return dict(ready.headers)["X-Name"]


# what is told of refusals


async def test_refusals_are_counted_each_and_told_at_a_bounded_rate() -> None:
    world = World()
    bad = b"Bearer " + a_token(claims(aud="other"))
    for _ in range(1000):
        await world.ask(bad)
    await world.ask(None)
    await world.clock.advance(timedelta(seconds=10))
    await world.ask(bad)

    refused = world.told.of(BearerRefused)
    assert len(refused) == 1002
    assert [(event.reason, event.untold) for event in refused if event.tell] == [
        ("audience", 0),
        ("absent", 0),
        ("audience", 999),
    ]
    assert {event.rule for event in refused} == {"api"}
    assert a_token(claims(aud="other")).decode() not in repr(refused)


async def test_what_is_told_can_be_quoted() -> None:
    """RFC 6750 §3: no quotes and no backslashes in error_description."""
    rule = Rule(ISSUER, (AUDIENCE,), claims={'a"b\\c\nd': ("x",)})
    world = World()
    verifier = RuleVerifier(rule, world.keys, world.clock)
    output = VerifyOutput({"api": Gate(verifier, {})}, clock=world.clock, report=world.told)
    with pytest.raises(Refusal) as caught:
        await output.answer(Asked("GET", "/v1/verify", Peer(Origin("127.0.0.1"), b"Bearer " + a_token())))
    told = dict(caught.value.problem.headers)["WWW-Authenticate"]
    assert "wanted of its a'b'c'd" in told
    assert isinstance(caught.value.__cause__, TokenRejected)


def test_metrics_call_all_of_it_verify() -> None:
    assert World().output.label("/v1/verify/whatever") == ("verify", "")


# over HTTP: a request that is recognised at once, and the same in a form that takes the ordinary way


async def test_both_ways_through_the_listener_give_the_same_answer_to_the_same_question() -> None:
    world, stats, bugs = World(), RequestStats(), list[BaseException]()
    good, bad = (b"Bearer " + a_token(), b"Bearer " + a_token(claims(aud="x")))
    long = b"Bearer " + a_token(claims(more="x" * 3000))
    listening = answering(
        world.output,
        ("127.0.0.1", 0),
        clock=world.clock,
        stats=stats,
        on_bug=bugs.append,
        report=world.told,
        limits=Limits(proxied=True),
    )
    async with listening as address:
        for token in (good, bad, long, None):
            quick = await _said(address, _request(token))
            slow = await _said(address, _request(token, b"X-Forwarded-For: 10.0.0.1", b"X-Forwarded-For: 10.0.0.2"))
            through = await _said(address, _request(token, b"Origin: https://a.example.com", b"Cookie: a=b"))
            assert quick == slow == through
            assert quick.startswith(b"HTTP/1.1 200 " if token in {good, long} else b"HTTP/1.1 401 ")
    assert stats.requests() == {("verify", "", 200): 6, ("verify", "", 401): 6}
    assert bugs == []


def _request(token: bytes | None, *more: bytes) -> bytes:
    shown = [b"Authorization: " + token] if token is not None else []
    return b"\r\n".join(
        (b"GET /v1/verify/api HTTP/1.1", b"Host: 127.0.0.1", *shown, *more, b"Connection: close", b"", b"")
    )


async def _said(address: tuple[str, int], request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    try:
        return await asyncio.wait_for(reader.read(), 10)
    finally:
        writer.close()
