import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.assembly.doctor_tokens import Elsewhere
from agent.errors import KeyUnavailable, TokenRefused
from agent.settings import Settings, load
from tests.fakes.clock import FakeClock, settle
from tests.fakes.memory_key import MemoryKey
from tests.fakes.oauth_provider import OAuthProvider, a_jwt, oauth_provider


@pytest.fixture
async def provider(tmp_path: Path) -> AsyncIterator[OAuthProvider]:
    async with oauth_provider(tmp_path) as provider:
        yield provider


def configured(folder: Path, identity: str) -> Settings:
    path = folder / "rolecall.toml"
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


def by_key(folder: Path, provider: OAuthProvider) -> Elsewhere:
    identity = f"""
source = "oauth2"
token_endpoint = "{provider.url}/token"
client_id = "rolecall"
client_authentication = "private_key_jwt"
ca_bundle = "{provider.ca}"
"""
    return Elsewhere(configured(folder, identity), FakeClock(), None)


async def test_our_own_tokens_are_nobody_elses(tmp_path: Path) -> None:
    assert not Elsewhere(configured(tmp_path, ""), FakeClock(), None).makes_them


async def test_the_token_of_a_file_is_read_from_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(a_jwt())
    elsewhere = Elsewhere(configured(tmp_path, f'source = "file"\nfile = "{tmp_path}/token"'), FakeClock(), None)

    assert elsewhere.makes_them
    assert (await elsewhere.token()).value.reveal() == a_jwt()
    assert "from a file" in elsewhere.key_link().good


async def test_a_provider_is_asked_once_however_many_links_want_a_token(
    tmp_path: Path, provider: OAuthProvider
) -> None:
    elsewhere = by_key(tmp_path, provider)
    elsewhere.key_tried(MemoryKey())

    tokens = await asyncio.gather(*(elsewhere.token() for _ in range(3)))

    assert {one.value.reveal() for one in tokens} == {a_jwt()}
    assert len(provider.forms) == 1


async def test_a_provider_that_refuses_is_asked_once_too(tmp_path: Path, provider: OAuthProvider) -> None:
    """It may lock out who asks too often."""
    provider.status, provider.answer = 401, {"error": "invalid_client"}
    elsewhere = by_key(tmp_path, provider)
    elsewhere.key_tried(MemoryKey())

    for _ in range(3):
        with pytest.raises(TokenRefused, match="invalid_client"):
            await elsewhere.token()

    assert len(provider.forms) == 1


async def test_a_key_that_has_to_sign_is_waited_for(tmp_path: Path, provider: OAuthProvider) -> None:
    elsewhere = by_key(tmp_path, provider)
    asked = asyncio.ensure_future(elsewhere.token())
    await settle()
    assert not asked.done()

    elsewhere.key_tried(None)

    with pytest.raises(KeyUnavailable, match="no key to show the provider who we are"):
        await asked
