"""A certified OpenID provider gives us our identity token, and AWS gives us the role for it: all of it, for real."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jwt
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from cryptography.x509 import load_pem_x509_certificate
from jwt.algorithms import ECAlgorithm

from agent.cli.sandbox import world_of
from agent.sandbox import Provider, Sandbox, World
from tests.fakes.line import line_to
from tests.live import oidc
from tests.live.host import ALL_OF_S3, ISSUER, Agent, Host, agent_on, fetch
from tests.live.oidc import AUDIENCE, Judge, client, client_certificate, openid_provider

pytestmark = pytest.mark.long

SECRET = "a secret of the tests: +/%&= and more than thirty-two bytes"
SUBJECT = "rolecall"


def identity(judge: Judge, *words: str) -> str:
    """What [identity] says."""
    return "\n".join(
        (
            "[identity]",
            'source = "oauth2"',
            f'issuer = "{oidc.ISSUER}"',
            f'client_id = "{SUBJECT}"',
            f'resource = "{oidc.RESOURCE}"',
            'scope = "aws"',
            f'expected_subject = "{SUBJECT}"',
            f'expected_audience = "{AUDIENCE}"',
            f'ca_bundle = "{judge.ca}"',
            f'proxy = "{judge.proxy}"',
            *words,
        )
    )


def by_secret(home: Path) -> str:
    path = home / "secret"
    path.write_text(SECRET + "\n")
    path.chmod(0o600)
    return f'client_secret_file = "{path}"'


@asynccontextmanager
async def host_of(
    home: Path, judge: Judge, *words: str, roles: Sequence[str] = ("backup",)
) -> AsyncIterator[tuple[Host, Sandbox]]:
    """A host that is configured for the provider, and an AWS that trusts it."""
    world = World(account_id="123456789012", objects={"hello.txt": b"hello"})
    sites: dict[str, str | Path] = {ISSUER: home / "site", oidc.ISSUER: judge.url}
    async with Sandbox(world, sites=sites) as sandbox:
        host = Host(home, sandbox.endpoint_url, roles, more=identity(judge, *words))
        trusting = world_of(await host.furnish())
        roles_there = tuple(replace(role, policies=(ALL_OF_S3,)) for role in trusting.roles)
        provider = Provider(oidc.ISSUER, (AUDIENCE,), (judge.thumbprint,))
        sandbox.world = replace(world, providers=(provider,), roles=roles_there)
        yield host, sandbox


@asynccontextmanager
async def running(home: Path, judge: Judge, *words: str, roles: Sequence[str] = ("backup",)) -> AsyncIterator[Agent]:
    async with host_of(home, judge, *words, roles=roles) as (host, _), agent_on(host) as agent:
        await agent.ready()
        yield agent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the provider has its files."""
    (tmp_path / "provider").mkdir()
    return tmp_path / "provider"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_a_secret_gets_the_role_by_the_way_that_the_provider_takes(home: Path, folder: Path, method: str) -> None:
    without = ["client_secret_basic"] if method == "client_secret_post" else []
    clients = [client(SUBJECT, method, client_secret=SECRET)]
    async with (
        openid_provider(folder, clients, without=without) as judge,
        running(home, judge, by_secret(home), roles=("backup", "web", "mail")) as agent,
    ):
        for role in ("backup", "web", "mail"):
            status, document, _ = await fetch(agent.host, role)
            assert status == 200, "".join(agent.lines)
            assert document["RoleArn"] == f"arn:aws:iam::123456789012:role/{role}"


@pytest.mark.parametrize("method", ["tls_client_auth", "self_signed_tls_client_auth"])
async def test_a_certificate_gets_the_role(home: Path, folder: Path, method: str) -> None:
    certificate, key = client_certificate(folder, "ours")
    words = [
        'client_authentication = "tls"',
        f'client_certificate = "{certificate}"',
        f'client_key = "{key}"',
    ]
    registered: dict[str, Any] = {"tls_client_auth_subject_dn": "CN=a private CA"}
    if method == "self_signed_tls_client_auth":
        der = base64.b64encode(_der(certificate)).decode()
        registered = {"jwks": {"keys": [{**_public_jwk(certificate), "x5c": [der]}]}}
    async with (
        openid_provider(folder, [client(SUBJECT, method, **registered)], authorities=[certificate]) as judge,
        running(home, judge, *words) as agent,
    ):
        assert (await fetch(agent.host))[0] == 200, "".join(agent.lines)


@asynccontextmanager
async def shown(site: Path) -> AsyncIterator[str]:
    """The documents that we publish, on a web server."""
    application = web.Application()
    application.router.add_static("/", site)
    server = TestServer(application)
    await server.start_server()
    try:
        yield str(server.make_url("")).rstrip("/")
    finally:
        await server.close()


async def test_a_jwt_that_our_own_key_signs_gets_the_role_and_is_checked_by_what_we_publish(
    home: Path, folder: Path
) -> None:
    """The provider knows no secret of ours: only where our keys are shown."""
    registered = client(
        SUBJECT,
        "private_key_jwt",
        jwks_uri=f"{ISSUER}/.well-known/jwks.json",
        token_endpoint_auth_signing_alg="ES256",
    )
    (home / "site").mkdir()
    async with (
        shown(home / "site") as site,
        openid_provider(folder, [registered], sites={ISSUER: site}) as judge,
    ):
        (home / "site").rmdir()
        async with running(home, judge, 'client_authentication = "private_key_jwt"') as agent:
            assert (await fetch(agent.host))[0] == 200, "".join(agent.lines)


async def test_a_provider_that_comes_late_and_goes_again_is_waited_for_and_not_missed(home: Path, folder: Path) -> None:
    clients = [client(SUBJECT, "client_secret_basic", client_secret=SECRET)]
    async with openid_provider(folder, clients) as judge, line_to(judge.proxy) as line:
        line.cut()
        async with running(home, replace(judge, proxy=line.url), by_secret(home)) as agent:
            assert (await fetch(agent.host))[0] == 503
            assert [one["level"] for one in agent.events("provider_failed")][:1] == ["warning"]

            line.mend()
            assert (await agent.host.rolecall("wait", "backup", "-c", str(agent.host.config)))[0] == 0
            assert [one["level"] for one in agent.events("provider_answered")] == ["info"]

            line.cut()
            assert (await fetch(agent.host))[0] == 200
            assert not any(SECRET in text for text in agent.lines)


@pytest.mark.long
async def test_a_key_that_was_never_shown_is_believed_once_the_provider_has_read_it(home: Path, folder: Path) -> None:
    """As after an emergency: whoever has a copy of the old key set says no until then, and we say what that may be."""
    registered = client(
        SUBJECT,
        "private_key_jwt",
        jwks_uri=f"{ISSUER}/.well-known/jwks.json",
        token_endpoint_auth_signing_alg="ES256",
    )
    (home / "site").mkdir()
    async with shown(home / "site") as site:
        (home / "site").rmdir()
        async with (
            openid_provider(folder, [registered], sites={ISSUER: site}) as judge,
            host_of(home, judge, 'client_authentication = "private_key_jwt"') as (host, _),
        ):
            mint = ("token", "mint", "-c", str(host.config))
            assert (await host.rolecall(*mint))[0] == 0
            code, _, err = await host.rolecall("keys", "rotate", "--emergency", "--yes", "-c", str(host.config))
            assert code == 0, err
            code, _, err = await host.rolecall(*mint)
            assert code == 1
            assert "what it has kept of them is not old" in err

        async with openid_provider(folder, [registered], sites={ISSUER: site}) as without_a_copy:
            host.config.write_text(host.config.read_text().replace(judge.proxy, without_a_copy.proxy))
            code, _, err = await host.rolecall(*mint)
            assert code == 0, err


async def test_the_commands_see_what_the_agent_sees(home: Path, folder: Path) -> None:
    clients = [client(SUBJECT, "client_secret_basic", client_secret=SECRET)]
    async with (
        openid_provider(folder, clients) as judge,
        host_of(home, judge, by_secret(home)) as (host, _),
    ):
        (code, token, err), (checked, _, said), (_, found, _) = await asyncio.gather(
            host.rolecall("token", "mint", "-c", str(host.config)),
            host.rolecall("check", "-c", str(host.config)),
            host.rolecall("doctor", "--json", "-c", str(host.config)),
        )
        assert code == 0, err
        claims = jwt.decode(token.strip(), options={"verify_signature": False})
        assert (claims["iss"], claims["sub"], claims["aud"]) == (oidc.ISSUER, SUBJECT, AUDIENCE)
        assert checked == 0, said
        links = {one["link"]: one for one in json.loads(found)["links"]}
        assert links["token"]["good"], found
        assert links["roles"]["good"], found


async def test_a_secret_that_is_wrong_is_said_to_be(home: Path, folder: Path) -> None:
    clients = [client(SUBJECT, "client_secret_basic", client_secret=SECRET + "!")]
    async with (
        openid_provider(folder, clients) as judge,
        host_of(home, judge, by_secret(home)) as (host, _),
    ):
        code, _, err = await host.rolecall("token", "mint", "-c", str(host.config))

        assert code == 1
        assert "invalid_client" in err
        assert "identity.client_secret_file" in err
        assert SECRET not in err


async def test_an_opaque_token_is_said_to_be_none(home: Path, folder: Path) -> None:
    """Without a resource the provider's tokens are for itself alone, and no JWTs."""
    clients = [client(SUBJECT, "client_secret_basic", client_secret=SECRET)]
    async with (
        openid_provider(folder, clients) as judge,
        host_of(home, judge, by_secret(home)) as (host, _),
    ):
        text = host.config.read_text()
        host.config.write_text(text.replace(f'resource = "{oidc.RESOURCE}"\n', ""))

        code, _, err = await host.rolecall("token", "mint", "-c", str(host.config))

        assert code == 1
        assert "no signed JWT" in err
        assert "identity.resource" in err


def _der(certificate: Path) -> bytes:
    text = certificate.read_text().replace("-----BEGIN CERTIFICATE-----", "").replace("-----END CERTIFICATE-----", "")
    return base64.b64decode(text)


def _public_jwk(certificate: Path) -> dict[str, Any]:

    key: Any = load_pem_x509_certificate(certificate.read_bytes()).public_key()
    members: dict[str, Any] = ECAlgorithm.to_jwk(key, as_dict=True)
    return members
