"""Is an issuer's site seen from outside as it is, or as wrong as it was told to be, by STS too?"""

import json
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import aiohttp
import pytest

from agent.sandbox import Fault, PracticeIssuer, Sandbox, practice_world
from agent.sandbox.faults import SiteAnswer, SiteTls
from tests.fakes.clock import FakeClock
from tests.unit.sandbox.scene import ISSUER, Scene, rsa_key, scene
from tests.unit.sandbox.visits import DISCOVERY, NO_KEY, WRONG_CERTIFICATE


async def seen(sandbox: Sandbox, url: str) -> tuple[int, Any]:
    """What a URL shows to whoever goes through the proxy and trusts the sandbox's authority."""
    context = ssl.create_default_context(cafile=sandbox.ca_file)
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http,
        http.get(url, proxy=sandbox.proxy_url, ssl=context, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.json() if answer.status == 200 else None


async def test_a_site_is_at_its_own_url_by_its_own_certificate(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        assert await seen(here.sandbox, ISSUER + DISCOVERY) == (200, here.issuer.discovery)
        assert (await seen(here.sandbox, f"{ISSUER}/nothing"))[0] == 404
        assert here.sandbox.endpoint_url.startswith("http://")  # only what is public has to have TLS
        assert (await here.assume()).status == 200


async def test_issuers_with_paths_share_a_host(tmp_path: Path) -> None:
    issuers = [
        PracticeIssuer(url, rsa_key()) for url in (ISSUER, f"{ISSUER}/a", f"{ISSUER}/ab/", "https://B.example/X")
    ]
    sites = {issuer.url: tmp_path / str(number) for number, issuer in enumerate(issuers)}
    for issuer in issuers:
        issuer.publish(sites[issuer.url])
    async with Sandbox(practice_world(), sites=sites, public=True) as sandbox:
        for issuer in issuers:
            where = issuer.url.rstrip("/") + DISCOVERY
            assert await seen(sandbox, where) == (200, issuer.discovery), issuer.url
        assert (await seen(sandbox, f"{ISSUER}/abc{DISCOVERY}"))[0] == 404


async def test_the_proxy_leads_nowhere_else(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        with pytest.raises(aiohttp.ClientHttpProxyError) as caught:
            await seen(here.sandbox, "https://sts.amazonaws.com/")
        assert caught.value.status == 403


async def test_it_is_private_unless_told_otherwise(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert here.sandbox.proxy_url is None
        assert here.sandbox.ca_file is None


async def test_nothing_of_it_is_left_when_it_has_stopped(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        gone = here.sandbox.proxy_url
        assert gone
        assert here.sandbox.ca_file
    assert not here.sandbox.ca_file.exists()
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientProxyConnectionError):
            await http.get(ISSUER, proxy=gone)


#: With what STS can live: it knows nothing of caches, and tries all keys of one kid.
HARMLESS = {"kid_twice", "gzip", "week", "no_cache_control", "no_store", "stale", "key_foreign", "wrong_order"}


async def judged(here: Scene, fault: Fault) -> tuple[int, str]:
    here.sandbox.faults.replace([fault])
    answer = await here.assume()
    return answer.status, "" if answer.status == 200 else answer.text("Message")


@pytest.mark.parametrize("site", [one for one in get_args(SiteAnswer) if one != "slow"])
async def test_sts_sees_what_is_wrong_with_an_answer(site: SiteAnswer, tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        status, message = await judged(here, Fault("site", site=site))
        assert (status == 200) == (site in HARMLESS), message
        if site in ("html", "status", "redirect", "issuer_slash", "jwks_elsewhere", "keys_too_many"):
            assert message == NO_KEY
        here.sandbox.faults.clear()
        assert (await here.assume()).status == 200


@pytest.mark.parametrize("site", get_args(SiteTls))
async def test_sts_sees_what_is_wrong_with_a_certificate(site: SiteTls, tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        wanted = (200, "") if site in HARMLESS else (400, WRONG_CERTIFICATE)
        assert await judged(here, Fault("site", site=site)) == wanted


async def test_a_stale_site_shows_what_was_there_when_it_went_stale(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        here.sandbox.faults.add(Fault("site", site="stale"))
        successor = replace(here.issuer, kid="successor")
        successor.publish(here.site)
        assert (await seen(here.sandbox, f"{ISSUER}/keys.json"))[1]["keys"][0]["kid"] == here.issuer.kid
        here.sandbox.faults.add(Fault("site", site="week"))  # still stale, and no newer for it
        assert (await seen(here.sandbox, f"{ISSUER}/keys.json"))[1]["keys"][0]["kid"] == here.issuer.kid
        here.sandbox.faults.clear()
        assert (await seen(here.sandbox, f"{ISSUER}/keys.json"))[1]["keys"][0]["kid"] == "successor"


async def test_one_document_may_be_stale_once(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        here.sandbox.faults.add(Fault("site", site="stale", document="jwks", times=1))
        (here.site / "keys.json").write_text('{"keys": []}')
        (here.site / ".well-known" / "openid-configuration").write_text("{}")
        assert await seen(here.sandbox, ISSUER + DISCOVERY) == (200, {})
        assert await seen(here.sandbox, f"{ISSUER}/keys.json") == (200, {"keys": [here.issuer.jwk]})
        assert await seen(here.sandbox, f"{ISSUER}/keys.json") == (200, {"keys": []})


async def test_a_slow_site_is_slow_by_the_sandboxs_clock(tmp_path: Path) -> None:
    class Hasty(FakeClock):
        waits: list[float] = []  # noqa: RUF012 - of one instance

        async def sleep(self, seconds: float) -> None:
            self.waits.append(seconds)
            await super().sleep(0 if seconds == 9 else seconds)

    clock = Hasty()
    async with scene(tmp_path, public=True, clock=clock) as here:
        here.sandbox.faults.add(Fault("site", site="slow", seconds=9, times=1))
        assert await seen(here.sandbox, ISSUER + DISCOVERY) == (200, here.issuer.discovery)
        assert clock.waits == [9]
        assert here.sandbox.faults.current() == ()


async def test_faults_of_sites_are_set_over_the_control_endpoint(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        fault = {"kind": "site", "site": "status", "status": 404, "document": "jwks", "times": 1}
        async with here.http.put(f"{here.sandbox.control_url}/faults", data=json.dumps(fault)) as told:
            assert await told.json() == [{**fault, "about": ""}]
        assert (await seen(here.sandbox, ISSUER + DISCOVERY))[0] == 200
        assert (await seen(here.sandbox, f"{ISSUER}/keys.json"))[0] == 404
        assert (await seen(here.sandbox, f"{ISSUER}/keys.json"))[0] == 200


async def test_nothing_goes_wrong_where_the_site_really_is(tmp_path: Path) -> None:
    async with scene(tmp_path, public=True) as here:
        here.sandbox.faults.add(Fault("site", site="html"))
        origin = await here.get(here.sandbox.site_urls[ISSUER] + DISCOVERY)
        assert json.loads(origin.body) == here.issuer.discovery


async def test_a_site_that_is_no_directory_is_led_to_as_it_is(tmp_path: Path) -> None:
    """Another sandbox shows it here, as the agent's own listener would."""
    long = FakeClock()
    await long.advance(timedelta(days=1))
    async with scene(tmp_path, tls=True) as other:
        there = {ISSUER: other.sandbox.site_urls[ISSUER]}
        async with Sandbox(practice_world(), sites=there, public=True, clock=long) as sandbox:
            sandbox.ca_file = other.sandbox.ca_file
            assert await seen(sandbox, ISSUER + DISCOVERY) == (200, other.issuer.discovery)
