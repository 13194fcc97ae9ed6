"""Is the issuer's site visited as AWS visits it?"""

import asyncio
import hashlib
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from agent.clock import SystemClock
from agent.errors import ConfigurationError
from agent.sandbox import Fault, PracticeIssuer, Sandbox
from agent.sandbox.listen import listening
from agent.sandbox.tls import Authority, new_authority, server_context
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, Scene, provided, rsa_key, scene

NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)
WRONG_CERTIFICATE = "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint"
DISCOVERY = "/.well-known/openid-configuration"
OURS = PracticeIssuer(ISSUER, rsa_key())


@dataclass
class Site:
    """Somebody else's web server, which shows our documents, or what a test puts in their place."""

    answers: dict[str, web.Response | str] = field(default_factory=dict)
    seen: list[tuple[str, str]] = field(default_factory=list)
    hang: bool = False
    visited: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append((request.path, request.headers["Host"]))
        self.visited.set()
        if self.hang:
            await asyncio.Event().wait()
        given = self.answers.get(request.path)
        if isinstance(given, web.Response):
            return given
        if isinstance(given, str):
            return web.Response(status=302, headers={"Location": given})
        documents: Mapping[str, object] = {DISCOVERY: OURS.discovery, "/keys.json": {"keys": [OURS.jwk]}}
        if request.path not in documents:
            return web.Response(status=404)
        return web.json_response(documents[request.path])


@asynccontextmanager
async def visited(home: Path, site: Site, *, tls: ssl.SSLContext | None = None, **options: Any) -> AsyncIterator[Scene]:
    async with (
        listening(site.serve, "127.0.0.1", 0, tls) as url,
        scene(home, sites={ISSUER: url, "https://keys.example.com": url}, **options) as here,
    ):
        yield here


async def test_both_documents_are_fetched_for_every_token_under_the_issuers_own_name(tmp_path: Path) -> None:
    site = Site()
    async with visited(tmp_path, site) as here:
        for _ in range(2):
            assert (await here.assume()).status == 200
        assert site.seen == [(DISCOVERY, "oidc.example.com"), ("/keys.json", "oidc.example.com")] * 2


@pytest.mark.parametrize(
    "media_type", ["application/octet-stream", "text/html", "text/plain", "binary/octet-stream", "application/jsonp"]
)
async def test_documents_of_another_type_are_not_read(media_type: str, tmp_path: Path) -> None:
    for path in (DISCOVERY, "/keys.json"):
        document = OURS.discovery if path == DISCOVERY else {"keys": [OURS.jwk]}
        body = json.dumps(document)
        async with visited(tmp_path, Site({path: web.Response(text=body, content_type=media_type)})) as here:
            assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)
            assert here.sandbox.requests[-1].why.endswith(f"is served as {media_type}, not as JSON")


@pytest.mark.parametrize("media_type", ["application/json", "application/jwk-set+json"])
async def test_a_key_set_may_call_itself_one(media_type: str, tmp_path: Path) -> None:
    document = web.Response(text=json.dumps({"keys": [OURS.jwk]}), content_type=media_type, charset="utf-8")
    async with visited(tmp_path, Site({"/keys.json": document})) as here:
        assert (await here.assume()).status == 200


@pytest.mark.parametrize("status", [204, 301, 403, 404, 500, 503])
async def test_only_a_200_will_do(status: int, tmp_path: Path) -> None:
    async with visited(tmp_path, Site({DISCOVERY: web.Response(status=status)})) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)


async def test_a_redirect_is_followed_over_https_alone(tmp_path: Path) -> None:
    async with visited(tmp_path, Site({"/keys.json": "https://keys.example.com/moved"})) as here:
        assert (await here.assume()).status == 400  # there is nothing at /moved
    for target, status in (
        ("https://keys.example.com/moved", 200),
        ("/moved", 200),
        ("http://keys.example.com/moved", 400),
        ("https://elsewhere.example.com/moved", 400),
        ("/keys.json", 400),
    ):
        moved = web.json_response({"keys": [OURS.jwk]})
        async with visited(tmp_path, Site({"/keys.json": target, "/moved": moved})) as here:
            assert (await here.assume()).status == status, target


async def test_keys_may_be_at_another_host_that_is_known(tmp_path: Path) -> None:
    elsewhere = {**OURS.discovery, "jwks_uri": "https://keys.example.com/keys.json"}
    site = Site({DISCOVERY: web.json_response(elsewhere)})
    async with visited(tmp_path, site) as here:
        assert (await here.assume()).status == 200
        assert site.seen[-1] == ("/keys.json", "keys.example.com")


async def test_an_issuer_gets_five_seconds(tmp_path: Path) -> None:
    clock, site = FakeClock(), Site(hang=True)
    async with visited(tmp_path, site, clock=clock) as here, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(here.assume())
        await asyncio.wait_for(site.visited.wait(), 5)
        await clock.advance(timedelta(seconds=4.9))
        assert not call.done()
        await clock.advance(timedelta(seconds=0.2))
        assert (await call).refusal == (400, "InvalidIdentityToken", NO_KEY)
        assert here.sandbox.requests[-1].why == f"{ISSUER}{DISCOVERY} did not answer within 5 s"


async def test_a_site_that_is_down_is_reported(tmp_path: Path) -> None:
    async with scene(tmp_path, sites={ISSUER: "http://127.0.0.1:1"}) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)


async def test_an_issuer_without_a_site_is_never_looked_for(tmp_path: Path) -> None:
    async with scene(tmp_path, sites={}) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)
        assert here.sandbox.requests[-1].why.endswith("is under none of the sandbox's sites")


def test_a_site_of_no_issuer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not an issuer's URL"):
        Sandbox(provided(), sites={"oidc.example.com": tmp_path})


async def test_the_directory_is_served_and_nothing_outside_it(tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_text("{}")
    async with scene(tmp_path) as here:
        (here.site / "link.json").symlink_to(tmp_path / "secret.json")
        base = here.sandbox.site_urls[ISSUER]
        discovery = await here.get(f"{base}{DISCOVERY}")
        assert json.loads(discovery.body) == here.issuer.discovery
        assert discovery.headers["Content-Type"] == "application/json"
        assert "max-age=" in discovery.headers["Cache-Control"]
        for path in ("/", "/nothing", "/link.json", "/%2e%2e/secret.json", "/..%2fsecret.json", "/.well-known", "/%00"):
            assert (await here.get(base + path)).status == 404, path
        async with here.http.post(base + DISCOVERY) as posted:
            assert posted.status == 405


# --- over TLS


def thumbprint(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA1()).hex()


def leaf_thumbprint(url: str) -> str:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    pem = ssl.get_server_certificate((parts.hostname, parts.port))
    return x509.load_pem_x509_certificate(pem.encode()).fingerprint(hashes.SHA1()).hex()


async def test_the_sites_own_certificate_is_verified(tmp_path: Path) -> None:
    async with scene(tmp_path, tls=True, clock=FakeClock(SystemClock().now())) as here:
        assert here.sandbox.ca_file
        assert here.sandbox.endpoint_url.startswith("https://127.0.0.1:")
        assert here.sandbox.site_urls[ISSUER].startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=here.sandbox.ca_file)
        async with here.http.post(here.sandbox.endpoint_url, data=here.parameters(), ssl=trusting) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await here.assume()


async def test_the_endpoint_can_show_a_wrong_certificate_and_a_right_one_again(tmp_path: Path) -> None:
    async with scene(tmp_path, tls=True, clock=FakeClock(SystemClock().now())) as here:
        trusting = ssl.create_default_context(cafile=here.sandbox.ca_file)
        for wrong in (False, True, False):
            here.sandbox.faults.replace([Fault("certificate")] if wrong else [])
            connector = aiohttp.TCPConnector(ssl=trusting)
            async with aiohttp.ClientSession(connector=connector) as fresh:
                call = fresh.post(here.sandbox.endpoint_url, data={"Action": "x"})
                if wrong:
                    with pytest.raises(aiohttp.ClientConnectorCertificateError):
                        await call
                else:
                    (await call).release()


@pytest.mark.parametrize("named", ["right", "another", "none"])
async def test_an_unknown_authority_needs_a_thumbprint(named: str, tmp_path: Path) -> None:
    now = SystemClock().now()
    stranger = new_authority("somebody else's", now)
    context = server_context(stranger, ["oidc.example.com"], now, tmp_path)
    site = Site()
    async with listening(site.serve, "127.0.0.1", 0, context) as url:
        leaf = await asyncio.to_thread(leaf_thumbprint, url)
        # Python before 3.13 shows the leaf alone, later ones the chain, of which the top counts.
        top = leaf if not hasattr(ssl.SSLObject, "get_unverified_chain") else thumbprint(stranger)
        thumbprints = {"right": (top,), "another": (hashlib.sha1(b"x").hexdigest(),), "none": ()}[named]
        world = provided(thumbprints=thumbprints)
        async with scene(tmp_path, sites={ISSUER: url}, world=world, clock=FakeClock(now)) as here:
            answer = await here.assume()
            if named == "right":
                assert answer.status == 200
                assert site.seen
            else:
                assert answer.refusal == (400, "InvalidIdentityToken", WRONG_CERTIFICATE)


async def test_a_certificate_for_another_host_is_no_certificate(tmp_path: Path) -> None:
    now = SystemClock().now()
    context = server_context(new_authority("somebody", now), ["elsewhere.example.com"], now, tmp_path)
    async with visited(tmp_path, Site(), tls=context, clock=FakeClock(now)) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", WRONG_CERTIFICATE)


async def test_no_key_is_left_on_disk(tmp_path: Path) -> None:
    server_context(new_authority("a", SystemClock().now()), ["x"], SystemClock().now(), tmp_path)
    assert list(tmp_path.iterdir()) == []
