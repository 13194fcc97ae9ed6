import random
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from agent.assembly.oauth2 import fetched, oauth2_tokens
from agent.assembly.tokens import shared_tokens
from agent.clock import RemoteClock
from agent.errors import ConfigurationError, KeyUnavailable
from agent.events import TokenSigned
from agent.keys import SigningKey
from agent.settings import OAuth2, Settings, load
from agent.tokens import TokenSource
from tests.fakes.certificate import certificate
from tests.fakes.clock import FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.oauth_provider import OAuthProvider, a_jwt, oauth_provider
from tests.fakes.report import Reported


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[OAuthProvider]:
    async with oauth_provider(tmp_path) as provider:
        yield provider


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("hunter2\n")
    path.chmod(0o600)
    return path


def configured(folder: Path, provider: OAuthProvider, *words: str) -> Settings:
    path = folder / "rolecall.toml"
    identity = "\n".join(
        (
            'source = "oauth2"',
            f'token_endpoint = "{provider.url}/token"',
            'client_id = "rolecall-${HOST}"',
            f'ca_bundle = "{provider.ca}"',
            *words,
        )
    )
    path.write_text(f"""
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[identity]
{identity}
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
""")
    return load(path, environ={}, host="web-1")


def shared(
    known: Settings, key: SigningKey | None = None, report: Reported | None = None, clock: FakeClock | None = None
) -> TokenSource | None:
    signer = None if key is None else lambda: key
    told = Reported() if report is None else report
    return shared_tokens(
        known, signer, None, clock=RemoteClock(clock or FakeClock()), report=told, chance=random.Random(1)
    )


async def asked(known: Settings, **about: Any) -> str:
    source = shared(known, **about)
    assert source is not None
    return (await source.token()).value.reveal()


async def test_what_is_configured_reaches_the_provider(tmp_path: Path, provider: OAuthProvider, secret: Path) -> None:
    known = configured(
        tmp_path,
        provider,
        f'client_secret_file = "{secret}"',
        'scope = "a b"',
        'audience = "aws"',
        'resource = ["urn:one"]',
        'expected_subject = "rolecall"',
        'expected_audience = "sts.amazonaws.com"',
    )

    assert await asked(known) == a_jwt()

    assert provider.forms == [
        {"grant_type": ["client_credentials"], "scope": ["a b"], "audience": ["aws"], "resource": ["urn:one"]}
    ]
    assert provider.requests[0].headers["Authorization"] == "Basic cm9sZWNhbGwtd2ViLTE6aHVudGVyMg=="


async def test_an_id_token_is_taken_where_that_is_configured(
    tmp_path: Path, provider: OAuthProvider, secret: Path
) -> None:
    provider.answer = {"id_token": a_jwt(n=1), "access_token": "opaque"}
    words = (f'client_secret_file = "{secret}"', 'scope = "openid"', 'token = "id_token"')

    assert await asked(configured(tmp_path, provider, *words)) == a_jwt(n=1)


async def test_a_certificate_is_shown_from_its_files(tmp_path: Path, provider: OAuthProvider) -> None:
    (tmp_path / "ours").mkdir()
    path, _ = certificate(tmp_path / "ours")
    key = tmp_path / "ours" / "server.pem"  # certificate and key in one file are as good
    key.chmod(0o600)
    words = ('client_authentication = "tls"', f'client_certificate = "{path}"', f'client_key = "{key}"')

    assert await asked(configured(tmp_path, provider, *words)) == a_jwt()

    assert provider.forms[0]["client_id"] == ["rolecall-web-1"]


async def test_our_key_signs_who_we_are_under_an_id_of_its_own_each_time(
    tmp_path: Path, provider: OAuthProvider
) -> None:
    key, told, clock = MemoryKey(), Reported(), FakeClock()
    known = configured(tmp_path, provider, 'client_authentication = "private_key_jwt"')
    source = shared(known, key, told, clock)
    assert source is not None
    await source.token()
    await clock.advance(timedelta(minutes=11))
    await source.token()

    claims = [jwt.decode(form["client_assertion"][0], options={"verify_signature": False}) for form in provider.forms]
    assert {one["sub"] for one in claims} == {"rolecall-web-1"}
    assert {one["aud"] for one in claims} == {f"{provider.url}/token"}
    assert len({one["jti"] for one in claims}) == 2
    assert told.of(TokenSigned) == [TokenSigned(key.public.kid)] * 2


async def test_without_a_key_nothing_can_be_signed(tmp_path: Path, provider: OAuthProvider) -> None:
    with pytest.raises(ConfigurationError, match="no key to sign it with"):
        shared(configured(tmp_path, provider, 'client_authentication = "private_key_jwt"'))


async def test_a_secret_that_others_can_read_is_not_used(tmp_path: Path, provider: OAuthProvider, secret: Path) -> None:
    secret.chmod(0o640)

    with pytest.raises(KeyUnavailable, match="open to others"):
        await asked(configured(tmp_path, provider, f'client_secret_file = "{secret}"'))


async def test_a_secret_that_systemd_hands_to_the_unit_is_used_as_it_is(
    tmp_path: Path, provider: OAuthProvider, secret: Path
) -> None:
    """systemd lets the unit's group read it."""
    secret.chmod(0o440)
    words = configured(tmp_path, provider, f'client_secret_file = "{secret}"').identity
    assert isinstance(words, OAuth2)

    token = await fetched(words, None, secret.parent, RemoteClock(FakeClock()))

    assert token.value.reveal() == a_jwt()


async def test_building_it_asks_nobody(tmp_path: Path, provider: OAuthProvider, secret: Path) -> None:
    words = configured(tmp_path, provider, f'client_secret_file = "{secret}"').identity
    assert isinstance(words, OAuth2)

    oauth2_tokens(
        words,
        None,
        None,
        clock=RemoteClock(FakeClock()),
        token_id=lambda: "an-id",
        report=Reported(),
        spread=lambda: 0.5,
    )

    assert not provider.requests
