"""What every TokenSource must do, wherever its tokens come from."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any, Protocol

import jwt
import pytest
from aiohttp import web

from agent.clock import Clock, RemoteClock
from agent.errors import KeyUnavailable, TokenUnavailable
from agent.keys import PublicKey, SigningKey
from agent.keys.pem import PemKey
from agent.sandbox import Fault
from agent.secret import Secret
from agent.tokens import TokenSource
from agent.tokens.file import TokenFile
from agent.tokens.oauth2.asking import Client, ClientSecret, Place, Wanted
from agent.tokens.oauth2.source import OAuth2Tokens, Provider
from agent.tokens.self_signed import Identity, SelfSigned
from tests.fakes.clock import FakeClock
from tests.fakes.cognito import CLIENT, PASSWORD, a_world, agent_of, pool_keys, sandbox_of
from tests.fakes.memory_key import MemoryKey, pem
from tests.fakes.oauth_provider import SECRET, oauth_provider

AUDIENCE = "sts.amazonaws.com"
IDENTITY = Identity("https://oidc.example.com", "host:web-1", AUDIENCE, timedelta(minutes=10))


class Shown(Protocol):
    """Something that has a public key."""

    @property
    def public(self) -> PublicKey: ...


@dataclass(frozen=True, slots=True)
class KeyOfPool:
    """A key of a user pool."""

    public: PublicKey


@dataclass(frozen=True, slots=True)
class Bench:
    """A source, the key that verifies what it gives, and a way to break it."""

    source: TokenSource
    verifier: Shown
    break_it: Callable[[], None]
    audience: str = AUDIENCE


def signed_by(key: SigningKey, clock: Clock) -> SelfSigned:
    ids = itertools.count()
    return SelfSigned(lambda: key, IDENTITY, clock, token_id=lambda: str(next(ids)), report=lambda _: None)


async def in_memory(_: Path, clock: Clock, __: AsyncExitStack) -> Bench:
    key = MemoryKey()

    def break_it() -> None:
        key.failure = KeyUnavailable("the device is gone")

    return Bench(signed_by(key, clock), key, break_it)


async def with_rsa(_: Path, clock: Clock, __: AsyncExitStack) -> Bench:
    key = PemKey.parse(Secret(pem("rsa-2048").decode()), origin="a test")

    class Gone:
        public = key.public

        async def sign(self, message: bytes) -> bytes:
            if broken:
                raise KeyUnavailable("the device is gone")
            return await key.sign(message)

    broken: list[bool] = []
    return Bench(signed_by(Gone(), clock), key, lambda: broken.append(True))


async def in_a_file(directory: Path, clock: Clock, _: AsyncExitStack) -> Bench:
    key = MemoryKey()
    path = directory / "token"
    token = await signed_by(key, clock).token()
    path.write_text(token.value.reveal() + "\n")
    aws_time = RemoteClock(clock)
    aws_time.learn(clock.now())
    return Bench(TokenFile(path, aws_time), key, path.unlink)


async def of_a_provider(directory: Path, clock: Clock, stack: AsyncExitStack) -> Bench:
    key = MemoryKey()
    ours = signed_by(key, clock)
    provider = await stack.enter_async_context(oauth_provider(directory))

    async def give(_: web.Request) -> web.StreamResponse:
        token = (await ours.token()).value.reveal()
        return web.json_response({"access_token": token}, headers={"Date": format_datetime(clock.now(), usegmt=True)})

    provider.handler = give
    aws_time = RemoteClock(clock)
    aws_time.learn(clock.now())
    client = Client("us", ClientSecret(lambda: Secret(SECRET)))
    place = Place(provider.issuer, ca_bundle=provider.ca)
    source = OAuth2Tokens(
        Provider(place, client, Wanted(), aws_time), aws_time, report=lambda _: None, spread=lambda: 0.5
    )

    def break_it() -> None:
        provider.handler, provider.status = None, 503
        assert isinstance(clock, FakeClock)
        clock.suspend(timedelta(minutes=10))  # what is held is good until its end

    return Bench(source, key, break_it)


async def of_a_user(directory: Path, clock: Clock, stack: AsyncExitStack) -> Bench:
    assert isinstance(clock, FakeClock)
    (directory / "password").write_text(PASSWORD)
    sandbox = await stack.enter_async_context(sandbox_of(a_world(), clock))
    agent = await stack.enter_async_context(agent_of(sandbox, directory, clock))
    jwk = pool_keys().of_id_tokens.jwk

    def break_it() -> None:
        sandbox.faults.add(Fault("status", status=503))
        clock.suspend(timedelta(hours=1))  # what is held is good until its end

    key = KeyOfPool(PublicKey(str(jwk["kid"]), "RS256", {name: str(value) for name, value in jwk.items()}))
    return Bench(agent.source, key, break_it, CLIENT)


SOURCES: dict[str, Callable[[Path, Clock, AsyncExitStack], Coroutine[None, None, Bench]]] = {
    "self-signed": in_memory,
    "self-signed-rsa": with_rsa,
    "file": in_a_file,
    "oauth2": of_a_provider,
    "cognito": of_a_user,
}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=list(SOURCES))
async def bench(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        yield await SOURCES[request.param](tmp_path, clock, stack)


def claims(bench: Bench, token: str) -> dict[str, Any]:
    public = bench.verifier.public
    decoded: dict[str, Any] = jwt.decode(
        token,
        jwt.PyJWK(dict(public.jwk), public.algorithm),
        [public.algorithm],
        audience=bench.audience,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    return decoded


async def test_it_gives_a_token_that_is_signed_and_for_one_audience(bench: Bench) -> None:
    token = await bench.source.token()

    assert claims(bench, token.value.reveal())["aud"] == bench.audience


async def test_it_says_when_the_token_expires(bench: Bench) -> None:
    token = await bench.source.token()

    assert token.expires_at == datetime.fromtimestamp(claims(bench, token.value.reveal())["exp"], UTC)
    assert token.expires_at.utcoffset() == timedelta(0)


async def test_the_token_is_good_now_by_the_clock_it_was_given(bench: Bench, clock: FakeClock) -> None:
    token = await bench.source.token()
    stated = claims(bench, token.value.reveal())

    assert stated.get("nbf", stated["iat"]) <= clock.now().timestamp() < stated["exp"]


async def test_it_stays_good_for_as_long_as_it_is_asked(bench: Bench, clock: FakeClock) -> None:
    await bench.source.token()
    await clock.advance(timedelta(minutes=9))

    assert (await bench.source.token()).expires_at > clock.now()


async def test_many_may_ask_at_once(bench: Bench) -> None:
    tokens = await asyncio.gather(*(bench.source.token() for _ in range(50)))

    assert all(claims(bench, token.value.reveal()) for token in tokens)


async def test_what_it_gives_does_not_show_itself(bench: Bench) -> None:
    token = await bench.source.token()

    assert token.value.reveal() not in repr(token)


async def test_it_fails_with_one_of_two_errors_that_say_what_and_never_the_token(bench: Bench) -> None:
    token = await bench.source.token()
    bench.break_it()

    with pytest.raises((TokenUnavailable, KeyUnavailable)) as caught:
        await bench.source.token()

    assert caught.value.what
    assert token.value.reveal() not in f"{caught.value} {caught.value.hint}"
