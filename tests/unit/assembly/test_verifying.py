import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.assembly.rotation import signing_key
from agent.assembly.tokens import mint
from agent.assembly.verifying import keys_now, rule_of, verification, verify_once, verify_published
from agent.callers import Origin, Peer
from agent.clock import RemoteClock, SystemClock, WorldClock
from agent.errors import ConfigurationError, TokenRejected
from agent.jose import compact, signing_input
from agent.keys import PublicKey
from agent.ring import Held, Ring
from agent.service import running
from agent.settings import Settings, load
from agent.verification import Rule
from agent.web import Asked
from tests.fakes.clock import START, FakeClock
from tests.fakes.foreign import AUDIENCE, a_jwk, a_token, claims, forged
from tests.fakes.issuing import ISSUER as OURS
from tests.fakes.issuing import issuing
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

BASE = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
"""


def settings(tmp_path: Path, more: str) -> Settings:
    path = tmp_path / "rolecall.toml"
    path.write_text(BASE + more)
    return load(path, environ={}, host="web-1")


def a_ring(key: PublicKey) -> Ring:
    return Ring.founded(key, Held("pem", key.kid, ours=True), START)


def test_without_rules_there_is_no_listener(tmp_path: Path) -> None:
    assert verification(settings(tmp_path, ""), lambda: None, clock=FakeClock(), report=Reported()) is None


def test_rules_of_one_issuer_share_its_keys_and_one_job_keeps_them_fresh(tmp_path: Path) -> None:
    issuer = 'issuer = "https://login.example.com"\naudiences = ["a"]\n'
    words = settings(
        tmp_path,
        f'[verify.a]\n{issuer}[verify.b]\n{issuer}scopes = ["x"]\n'
        f'[verify.c]\n{issuer}jwks_url = "https://login.example.com/keys"\n'
        '[verify.d]\nissuer = "own"\naudiences = ["a"]\n',
    )
    made = verification(words, lambda: None, clock=FakeClock(), report=Reported())
    assert made is not None
    assert len(made.jobs) == 2
    assert str(made.address) == "127.0.0.1:9173"


def test_a_rule_is_what_is_written(tmp_path: Path) -> None:
    words = settings(
        tmp_path,
        '[verify.own]\nissuer = "own"\naudiences = "a"\n'
        '[verify.other]\nissuer = "https://login.example.com"\nclient_ids = ["app"]\n'
        'claims = { x = ["1", "2"], y = true }\n',
    )
    own, other = (rule_of(words, words.verify[name]) for name in ("own", "other"))
    assert (own.issuer, own.algorithms) == (
        "https://oidc.example.com",
        ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512"),
    )
    assert other.algorithms == ("RS256",)
    assert (other.client_ids, other.claims) == (("app",), {"x": ("1", "2"), "y": ("true",)})


async def test_tokens_of_our_own_are_verified_by_the_ring(tmp_path: Path) -> None:
    key, clock = MemoryKey(), FakeClock()
    words = settings(tmp_path, '[verify.own]\nissuer = "own"\naudiences = ["a"]\n')
    made = verification(words, lambda: a_ring(key.public), clock=clock, report=Reported())
    assert made is not None
    now = int(clock.now().timestamp())
    said = {"iss": "https://oidc.example.com", "sub": "host:web-1", "aud": "a", "iat": now, "exp": now + 300}
    signed = signing_input({"alg": "ES256", "kid": key.public.kid, "typ": "JWT"}, said)
    token = compact(signed, key.sign_now(signed)).encode()

    ready = made.output.ready(Asked("GET", "/v1/verify/own", Peer(Origin("127.0.0.1"), b"Bearer " + token)))
    assert ready is not None
    assert dict(ready.headers)["X-Token-Subject"] == "host:web-1"


async def test_a_machine_that_was_paused_takes_no_token_that_ended_meanwhile(tmp_path: Path) -> None:
    """Though the service that tells the time, which was heard before, is away."""
    key, base = MemoryKey(), FakeClock()
    remote = RemoteClock(base)
    remote.learn(base.now())
    words = settings(tmp_path, '[verify.own]\nissuer = "own"\naudiences = ["a"]\n')
    made = verification(words, lambda: a_ring(key.public), clock=WorldClock(remote), report=Reported())
    assert made is not None
    now = int(base.now().timestamp())
    said = {"iss": "https://oidc.example.com", "aud": "a", "iat": now, "exp": now + 300}
    signed = signing_input({"alg": "ES256", "kid": key.public.kid}, said)
    token = compact(signed, key.sign_now(signed)).encode()
    asked = Asked("GET", "/v1/verify/own", Peer(Origin("127.0.0.1"), b"Bearer " + token))
    assert made.output.ready(asked) is not None
    base.pause(timedelta(hours=1))
    assert made.output.ready(asked) is None


async def test_a_command_verifies_by_a_rule_and_the_keys_of_this_host(tmp_path: Path) -> None:
    with issuing(tmp_path) as host:
        host.more = '[verify.own]\nissuer = "own"\naudiences = ["sts.amazonaws.com"]\n'
        host.write()
        words = load(host.config, environ={}, host="web-1")
        async with signing_key(words, None, SystemClock()) as key:
            token = await mint(words, key, None, clock=SystemClock(), token_id=lambda: "1", changes={})
        good = token.value.reveal().encode()
        told = await verify_once(words, "own", good, credentials_directory=None, clock=SystemClock())
        assert told.claims["iss"] == OURS
        with pytest.raises(TokenRejected):
            await verify_once(words, "own", good[:-8], credentials_directory=None, clock=SystemClock())
        with pytest.raises(ConfigurationError, match="has no rule 'other'") as caught:
            await verify_once(words, "other", good, credentials_directory=None, clock=SystemClock())
        assert caught.value.hint == "it has: own"


async def test_each_rule_says_how_it_stands_and_is_tried_once_its_keys_have_been_asked_for(
    tmp_path: Path, local_jwks: Callable[[object], Awaitable[str]]
) -> None:
    issuer = 'issuer = "https://login.example.com"\naudiences = ["a"]\n'
    words = settings(
        tmp_path,
        f'[verify.there]\n{issuer}jwks_url = "{await local_jwks({"keys": [a_jwk()]})}"\n'
        f'[verify.away]\n{issuer}jwks_url = "http://127.0.0.1:1/"\n'
        '[verify.own]\nissuer = "own"\naudiences = ["a"]\n',
    )
    key = MemoryKey()
    made = verification(words, lambda: a_ring(key.public), clock=SystemClock(), report=Reported())
    assert made is not None
    assert [(one.rule, one.state) for one in made.statuses()] == [
        ("there", "starting"),
        ("away", "starting"),
        ("own", "good"),
    ]
    async with running(made.jobs), asyncio.timeout(20):
        await made.tried()
        told = {one.rule: one for one in made.statuses()}
    assert {name: (one.state, one.keys) for name, one in told.items()} == {
        "there": ("good", 1),
        "away": ("bare", 0),
        "own": ("good", 1),
    }
    assert told["own"].issuer == OURS
    assert "http://127.0.0.1:1/ cannot be read" in told["away"].problem

    seen = await keys_now(words, clock=SystemClock())
    assert {name: one.keys for name, one in seen.items()} == {"there": 1, "away": 0}
    assert "RS256" in seen["there"].algorithms
    assert seen["away"].problem


async def test_a_rule_on_a_command_line_needs_no_configuration(
    local_jwks: Callable[[object], Awaitable[str]],
) -> None:
    url = await local_jwks({"keys": [a_jwk()]})
    now = int(SystemClock().now().timestamp())
    token = a_token(claims(iat=now, exp=now + 60))
    rule = Rule("https://login.example.com/pool", (AUDIENCE,))
    assert (await verify_published(rule, url, token, clock=SystemClock())).claims["sub"] == "alice"
    with pytest.raises(TokenRejected):
        await verify_published(rule, url, forged({"alg": "none", "kid": "one"}, claims()), clock=SystemClock())


@pytest.fixture
async def local_jwks() -> AsyncIterator[Callable[[object], Awaitable[str]]]:
    """Shows a document on this machine."""
    servers: list[asyncio.Server] = []

    async def show(document: object) -> str:
        body = json.dumps(document).encode()

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(body), body))
            await writer.drain()
            writer.close()

        servers.append(await asyncio.start_server(answer, "127.0.0.1", 0))
        return f"http://127.0.0.1:{servers[-1].sockets[0].getsockname()[1]}/jwks.json"

    yield show
    for server in servers:
        server.close()
