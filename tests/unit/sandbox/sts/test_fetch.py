"""Is an issuer's site visited as AWS visits it?"""

import asyncio
import hashlib
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes

from agent.clock import SystemClock
from agent.sandbox.listen import listening
from agent.sandbox.tls import Authority, new_authority, server_context
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, provided, scene
from tests.unit.sandbox.visits import DISCOVERY, NO_KEY, OURS, WRONG_CERTIFICATE, Site, visited


@pytest.mark.parametrize("status", [204, 301, 403, 404, 500, 503])
async def test_only_a_200_will_do(status: int, tmp_path: Path) -> None:
    async with visited(tmp_path, Site({DISCOVERY: web.Response(status=status)})) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", NO_KEY)


async def test_a_redirect_is_followed_over_https_alone(tmp_path: Path) -> None:
    async with visited(tmp_path, Site({"/keys.json": "https://keys.example.com/moved"})) as here:
        assert (await here.assume()).status == 400  # there is nothing at /moved
    for target, why in (
        ("https://keys.example.com/moved", ""),
        ("/moved", ""),
        ("http://keys.example.com/moved", "http://keys.example.com/moved is not an https URL"),
        (
            "https://elsewhere.example.com/moved",
            "https://elsewhere.example.com/moved is under none of the sandbox's sites",
        ),
        (
            "https://keys.example.com.evil.example/moved",
            "https://keys.example.com.evil.example/moved is under none of the sandbox's sites",
        ),
        ("/keys.json", "https://oidc.example.com/keys.json redirects too often"),
    ):
        moved = web.json_response({"keys": [OURS.jwk]})
        async with visited(tmp_path, Site({"/keys.json": target, "/moved": moved})) as here:
            assert (await here.assume()).status == (400 if why else 200), target
            assert here.sandbox.requests[-1].why == why


async def test_an_issuer_gets_five_seconds(tmp_path: Path) -> None:
    clock, site = FakeClock(), Site(hang=True)
    async with visited(tmp_path, site, clock=clock) as here, asyncio.TaskGroup() as tasks:
        call = tasks.create_task(here.assume())
        await asyncio.wait_for(site.visited.wait(), 20)
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


def thumbprint(authority: Authority) -> str:
    return authority.certificate.fingerprint(hashes.SHA1()).hex()


@pytest.mark.parametrize("named", ["right", "another", "none"])
async def test_an_unknown_authority_needs_a_thumbprint(named: str, tmp_path: Path) -> None:
    now = SystemClock().now()
    stranger = new_authority("somebody else's")
    context = server_context(stranger, ["oidc.example.com"], tmp_path)
    site = Site()
    async with listening(site.serve, "127.0.0.1", 0, context) as url:
        thumbprints = {"right": (thumbprint(stranger),), "another": (hashlib.sha1(b"x").hexdigest(),), "none": ()}[
            named
        ]
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
    context = server_context(new_authority("somebody"), ["elsewhere.example.com"], tmp_path)
    async with visited(tmp_path, Site(), tls=context, clock=FakeClock(now)) as here:
        assert (await here.assume()).refusal == (400, "InvalidIdentityToken", WRONG_CERTIFICATE)
