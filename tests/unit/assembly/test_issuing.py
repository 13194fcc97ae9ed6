import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import jwt
import pytest

from agent.assembly.issuing import Issuing, identity_of, issuing, subject_of
from agent.callers import Origin, Peer
from agent.clock import RemoteClock
from agent.errors import ConfigurationError, CredentialsUnavailable
from agent.sessions import NAP
from agent.settings import Settings, load
from agent.tokens.self_signed import Signer
from agent.wording import TokenGrant, Wording
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

WEB = Peer(Origin("127.0.0.1", "127.0.0.1", frozenset({("unix.uid", "1000")})), None)
CONFIGURATION = """
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
"""
ANYONE = frozenset[tuple[str, str]]()
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)
PLAIN = Wording("host:web-1", timedelta(minutes=2), ("read",), (("team", "web"),))
OF_USER = Wording("user:${UID}", timedelta(minutes=10))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("home") / "rolecall.toml"
    path.write_text(CONFIGURATION)
    return load(path, environ={}, host="web-1")


@pytest.fixture(scope="module")
def key() -> MemoryKey:
    return MemoryKey()


def built(settings: Settings, signer: Signer | None, clock: FakeClock, *grants: TokenGrant) -> Issuing:
    return issuing(settings, grants, signer, clock=RemoteClock(clock), report=Reported(), chance=random.Random(1))


@asynccontextmanager
async def kept(parts: Issuing) -> AsyncIterator[Issuing]:
    keeping = asyncio.ensure_future(parts.keeper.keep_fresh())
    await settle()
    try:
        yield parts
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


def given(parts: Issuing) -> dict[str, int]:
    """What the one token says that is handed out now."""
    (only,) = parts.roster.kept()
    held = only.session.usable()
    assert held is not None
    said: dict[str, int] = jwt.decode(held.value.reveal(), options={"verify_signature": False})
    return said


async def test_what_depends_on_nobody_is_signed_before_anybody_asks(
    settings: Settings, key: MemoryKey, clock: FakeClock
) -> None:
    parts = built(settings, lambda: key, clock, TokenGrant("api", ANYONE, PLAIN, "grants#1"))
    (kept,) = parts.roster.kept()
    await kept.session.renew()
    assert (kept.name, kept.extent, kept.extent.about) == ("api", PLAIN, "grants#1")
    _, token = await parts.vendor([TokenGrant("api", ANYONE, PLAIN)], []).vend(WEB, "api")
    claims = jwt.decode(token.value.reveal(), options={"verify_signature": False})
    assert (claims["sub"], claims["aud"], claims["scope"], claims["team"]) == ("host:web-1", "api", "read", "web")
    assert claims["iss"] == settings.issuer.url if settings.issuer else False


async def test_even_a_token_of_two_minutes_is_handed_out_and_renewed_in_time(
    settings: Settings, key: MemoryKey, clock: FakeClock
) -> None:
    parts = built(settings, lambda: key, clock, TokenGrant("api", ANYONE, PLAIN, "grants#1"))
    (kept,) = parts.roster.kept()
    wait = await kept.session.renew()
    await clock.advance(wait)
    held = kept.session.usable()
    assert held is not None
    assert held.expires_at - clock.now() > timedelta(seconds=45)


async def test_what_depends_on_the_caller_is_made_when_it_asks(
    settings: Settings, key: MemoryKey, clock: FakeClock
) -> None:
    grant = TokenGrant("api", ANYONE, OF_USER, "grants#1")
    parts = built(settings, lambda: key, clock, grant)
    assert list(parts.roster.kept()) == []
    session = parts.roster.wake("api", OF_USER.filled(WEB.origin.facts, "grants#1"), "uid 1000")
    await session.renew()
    _, token = await parts.vendor([grant], []).vend(WEB, "api")
    assert jwt.decode(token.value.reveal(), options={"verify_signature": False})["sub"] == "user:1000"


async def test_without_a_key_nobody_could_sign(settings: Settings, clock: FakeClock) -> None:
    with pytest.raises(ConfigurationError):
        built(settings, None, clock, TokenGrant("api", ANYONE, PLAIN))
    parts = built(settings, None, clock, TokenGrant("api", ANYONE, OF_USER))
    with pytest.raises(CredentialsUnavailable):
        parts.roster.wake("api", OF_USER.filled(WEB.origin.facts), "uid 1000")


def test_a_grant_that_says_no_subject_speaks_of_the_host(settings: Settings) -> None:
    assert subject_of(settings) == "host:web-1"


def test_what_a_token_says_is_what_the_wording_says() -> None:
    identity = identity_of("https://oidc.example.com", "api", PLAIN)
    assert identity.facts() == {
        "iss": "https://oidc.example.com",
        "sub": "host:web-1",
        "aud": "api",
        "scope": "read",
        "team": "web",
    }


LONG = Wording("host:web-1", timedelta(hours=24))
LOOK = timedelta(seconds=NAP + 0.1)


@pytest.mark.parametrize("by", [3 * HOUR, -3 * HOUR, 20 * SECOND, -20 * SECOND], ids=str)
@pytest.mark.parametrize("wording", [PLAIN, LONG], ids=["2m", "24h"])
async def test_where_no_service_tells_the_time_a_clock_that_is_set_has_tokens_dated_anew(
    settings: Settings, key: MemoryKey, clock: FakeClock, by: timedelta, wording: Wording
) -> None:
    """A host without a battery for its clock starts hours off; what it signed then is over, or not good yet."""
    async with kept(built(settings, lambda: key, clock, TokenGrant("api", ANYONE, wording))) as parts:
        clock.step(by)
        await clock.advance(LOOK)
        said, now = given(parts), clock.now().timestamp()
        assert said["nbf"] <= now
        assert said["exp"] >= now + wording.lifetime.total_seconds() / 2


@pytest.mark.parametrize("off", [HOUR, -HOUR], ids=str)
async def test_what_was_signed_before_a_service_told_the_time_is_dated_anew(
    settings: Settings, key: MemoryKey, clock: FakeClock, off: timedelta
) -> None:
    remote, right = RemoteClock(clock), clock.now() - off
    parts = issuing(
        settings,
        [TokenGrant("api", ANYONE, LONG)],
        lambda: key,
        clock=remote,
        report=Reported(),
        chance=random.Random(1),
    )
    async with kept(parts):
        before = given(parts)
        remote.learn(right)
        await clock.advance(LOOK)
        assert before["iat"] - given(parts)["iat"] == pytest.approx(off.total_seconds(), abs=NAP + 2)


async def test_a_pause_is_made_up_for_though_the_service_that_tells_the_time_is_away(
    settings: Settings, key: MemoryKey, clock: FakeClock
) -> None:
    remote = RemoteClock(clock)
    remote.learn(clock.now())
    parts = issuing(
        settings,
        [TokenGrant("api", ANYONE, LONG)],
        lambda: key,
        clock=remote,
        report=Reported(),
        chance=random.Random(1),
    )
    async with kept(parts):
        clock.pause(30 * HOUR)
        await clock.advance(LOOK)
        assert given(parts)["exp"] > clock.now().timestamp() + 23 * 3600


async def test_a_clock_that_only_drifts_has_nothing_signed(
    settings: Settings, key: MemoryKey, clock: FakeClock
) -> None:
    async with kept(built(settings, lambda: key, clock, TokenGrant("api", ANYONE, LONG))) as parts:
        before = given(parts)["jti"]
        for _ in range(4):
            clock.step(timedelta(seconds=1))
            await clock.advance(LOOK)
        assert given(parts)["jti"] == before


class Slow(MemoryKey):
    """A device that signs when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.signs = asyncio.Event()

    async def sign(self, message: bytes) -> bytes:
        await self.signs.wait()
        return await super().sign(message)


async def test_what_a_stolen_key_is_just_signing_is_signed_anew_at_once(settings: Settings, clock: FakeClock) -> None:
    """Or it would be handed out for half of its life, though the issuer shows its key no more."""
    stolen, fresh = Slow(), MemoryKey()
    keys: list[MemoryKey] = [stolen]
    parts = built(settings, lambda: keys[-1], clock, TokenGrant("api", ANYONE, LONG))
    async with kept(parts):
        keys.append(fresh)
        parts.keeper.renew_all()
        stolen.signs.set()
        await clock.advance(SECOND)
        (only,) = parts.roster.kept()
        held = only.session.usable()
        assert held is not None
        assert jwt.get_unverified_header(held.value.reveal())["kid"] == fresh.public.kid
        signed = len(fresh.signed)
        await clock.advance(HOUR)
        assert (signed, len(fresh.signed)) == (1, 1)
