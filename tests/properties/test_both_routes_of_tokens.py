"""Does it matter by which route a token is given out, or one of somebody else's verified? Whatever is asked."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.leases import TOKENS
from agent.outputs.token import PATH, TokenOutput
from agent.outputs.verify import Gate, VerifyOutput
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import Session
from agent.tokens import IssuedToken
from agent.tokens.self_signed import Identity, SelfSigned
from agent.vending import TokenVendor
from agent.verification import Rule
from agent.verification.published import PublishedKeys
from agent.verification.verifier import RuleVerifier
from agent.web.connections import Limits
from agent.wording import TokenGrant, Wording
from tests.fakes.foreign import AUDIENCE, ISSUER, FakeWeb, a_token, claims
from tests.fakes.memory_key import MemoryKey
from tests.properties.test_both_routes import Pair, lines, methods, tokens, told
from tests.unit.web.world import BOTH, WEB, OnlyOrdinary, World, in_a_thread, request

ALL = Wording("host:web-1", timedelta(minutes=10), ("read", "write"))
GRANTS = [
    TokenGrant(audience, frozenset({("token.file", token.decode())}), ALL, f"grants#{number}")
    for number, (audience, token) in enumerate([("api", WEB), ("api", BOTH), ("https://vault.example.com", BOTH)])
]


def a_session(world: World, audience: str, wording: Wording, numbers: Iterator[int]) -> Session[IssuedToken]:
    key, report = MemoryKey(), world.reported
    said = Identity("https://oidc.example.com", wording.subject, audience, wording.lifetime, claims=wording.as_claims())
    source = SelfSigned(lambda: key, said, world.clock, token_id=lambda: f"jti-{next(numbers)}", report=report)
    return Session(audience, source, RefreshPolicy(), clock=world.clock, report=report, spread=lambda: 0.5, kind=TOKENS)


@pytest.fixture(scope="module")
def giving() -> Iterator[Pair]:
    """Two listeners that give out the same tokens; the second has nothing ready, ever."""
    world, numbers, loop = World(), count(1), asyncio.new_event_loop()
    wanted = [(grant.name, extent) for grant in GRANTS for extent in (ALL, ALL.asking(["read"]))]
    sessions = {one: a_session(world, *one, numbers) for one in dict.fromkeys(wanted)}
    for session in sessions.values():
        loop.run_until_complete(session.renew())
    vendor = TokenVendor(Roster(sessions, kind=TOKENS), [world.tokens], GRANTS, world.reported, TOKENS)
    output = TokenOutput(vendor)
    with in_a_thread(loop, world, output, OnlyOrdinary(output)) as (fast, slow):
        yield Pair(fast, slow)
    assert world.bugs == []


@pytest.fixture(scope="module")
def verifying() -> Iterator[Pair]:
    """Two listeners for proxies, with one rule, to which one key is known; no other can be had."""
    world, loop, web = World(), asyncio.new_event_loop(), FakeWeb()
    keys = PublishedKeys(ISSUER, web, clock=world.clock, report=world.reported)
    loop.run_until_complete(keys.look_up("one"))
    web.fail()
    gates = {
        "api": Gate(RuleVerifier(Rule(ISSUER, (AUDIENCE,)), keys, world.clock), {"X-Sub": "sub", "X-All": "*"}),
        "admin": Gate(RuleVerifier(Rule(ISSUER, (AUDIENCE,), scopes=("admin",)), keys, world.clock), {}, ("admin",)),
    }
    output = VerifyOutput(gates, clock=world.clock, report=world.reported)
    limits = Limits(sweep=0.02, proxied=True)
    with in_a_thread(loop, world, output, OnlyOrdinary(output), limits=limits) as (fast, slow):
        yield Pair(fast, slow)
    assert world.bugs == []


pairs = st.sampled_from(
    [
        "aud=api",
        "aud=%61pi",
        "a%75d=api",
        "aud=https://vault.example.com",
        "aud=https%3a%2F%2Fvault.example.com",
        "aud=nosuch",
        "aud=api%00",
        "aud=%ff",
        "aud=a%u0070i",
        "aud=api;scope=read",
        "aud=api#x",
        "aud=\xff",
        "aud",
        "scope=read",
        "scope=write+read",
        "scope=read%20write",
        "scope=read++write",
        "scope=%72ead",
        "scope=read%00",
        "scope=admin",
        "scope=",
        "scope=" + "read+" * 110 + "read",
        "Aud=api",
        "x=1",
        "",
        "?",
    ]
)
queries = st.lists(pairs, max_size=3).map("&".join) | st.text("aud=pi&scoperead+%20;#?/", max_size=24)
targets = st.builds("{}{}".format, st.just(PATH), st.just("") | queries.map("?{}".format)) | st.sampled_from(
    [f"{PATH}/?aud=api", f"/{PATH}?aud=api", "/v1/%74oken?aud=api", f"http://127.0.0.1{PATH}?aud=api", "*"]
)


def sent_for(target: str, token: bytes | None, more: list[bytes], method: str) -> bytes:
    """`request` for any bytes: what is beyond ASCII is sent as one byte each."""
    line, _, rest = request("/", token, *more, method=method).partition(b"\r\n")
    return line.replace(b" / ", b" " + target.encode("latin-1") + b" ") + b"\r\n" + rest


asking = st.builds(sent_for, targets, tokens, st.lists(lines, max_size=2), methods)


@settings(max_examples=250)
@given(sent=st.lists(asking, min_size=1, max_size=3).map(b"".join))
def test_whatever_is_asked_for_the_same_token_is_given_by_both_routes(giving: Pair, sent: bytes) -> None:
    assert told(giving.fast, sent) == told(giving.slow, sent)


@pytest.mark.parametrize(
    ("query", "token", "expected"),
    [
        ("?aud=api", WEB, b'"scope":"read write"'),
        ("?scope=read&aud=%61pi", WEB, b'"scope":"read"'),
        ("", WEB, b'"audience":"api"'),
        ("", BOTH, b"409 "),
        ("?aud=https://vault.example.com", WEB, b"403 "),
        ("?aud=https://vault.example.com", BOTH, b'"audience":"https://vault.example.com"'),
        ("?aud=api&aud=api", WEB, b"400 "),
    ],
)
def test_both_say_what_the_grants_say(giving: Pair, query: str, token: bytes, expected: bytes) -> None:
    """Or the routes could agree on something else."""
    for door in (giving.slow, giving.fast, giving.fast):
        assert expected in told(door, request(PATH + query, token))


passed_on = st.sampled_from(
    [
        b"Cookie: a=b",
        b"Cookie: c=d",
        b"Origin: https://evil.example.com",
        b"Referer: https://evil.example.com/",
        b"X-Forwarded-For: 203.0.113.1",
        b"X-Forwarded-Host: evil.example.com",
        b"X-Original-URI: /?a=b",
        b"X-Token-Subject: root",
        b"Via: 1.1 proxy",
        b"TE: trailers",
        b"Keep-Alive: timeout=5",
        b"X-Long: " + b"x" * 5000,
    ]
)
shown = st.sampled_from(
    [
        b"Bearer " + a_token(),
        b"bearer   " + a_token(),
        b"Bearer " + a_token(claims(scope="admin")),
        b"Bearer " + a_token(kid="unknown"),
        b"Bearer " + a_token()[:-1],
        b"Bearer " + a_token(claims(exp=1)),
        b"Bearer " + a_token(claims(sub="a\r\nX-Sub: root, \xe9")),
        b"Bearer " + a_token(claims(more="x" * 3000)),
        b"Bearer\t" + a_token(),
        b"Basic eDp4",
        b"Bearer",
        None,
    ]
)
rules = st.sampled_from(["/v1/verify/api", "/v1/verify/admin", "/v1/verify/api?x=y", "/v1/verify", "/v1/verify/nosuch"])
judging = st.builds(
    lambda path, token, more, method: request(path, token, *more, method=method),
    rules,
    shown,
    st.lists(passed_on | lines, max_size=3),
    methods,
)


@settings(max_examples=250)
@given(sent=st.lists(judging, min_size=1, max_size=3).map(b"".join))
def test_whatever_a_proxy_passes_on_the_verdict_is_the_same_by_both_routes(verifying: Pair, sent: bytes) -> None:
    assert told(verifying.fast, sent) == told(verifying.slow, sent)


@pytest.mark.parametrize(
    ("path", "token", "expected"),
    [
        ("/v1/verify/api", a_token(), b"X-Sub: alice\r\n"),
        ("/v1/verify/api", a_token(claims(sub="a\r\nX-Sub: root")), b"X-Sub: a%0D%0AX-Sub:%20root\r\n"),
        ("/v1/verify/admin", a_token(), b"403 "),
        ("/v1/verify/admin", a_token(claims(scope="admin")), b"200 OK"),
        ("/v1/verify/api", a_token(kid="unknown"), b"401 "),
        ("/v1/verify/api", a_token()[:-1], b"401 "),
    ],
)
def test_both_give_the_verdict_of_the_rule(verifying: Pair, path: str, token: bytes, expected: bytes) -> None:
    """Or the routes could agree on something else."""
    for door in (verifying.slow, verifying.fast, verifying.fast):
        assert expected in told(door, request(path, b"Bearer " + token, b"Cookie: a=b"))
