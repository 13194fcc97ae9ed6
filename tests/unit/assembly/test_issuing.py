import random
from datetime import timedelta

import jwt
import pytest

from agent.assembly.issuing import Issuing, identity_of, issuing, subject_of
from agent.callers import Origin, Peer
from agent.clock import RemoteClock
from agent.errors import ConfigurationError, CredentialsUnavailable
from agent.settings import Settings, load
from agent.tokens.self_signed import Signer
from agent.wording import TokenGrant, Wording
from tests.fakes.clock import FakeClock
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
