"""Does the sandbox start, stop and say what keeps it from that?"""

import asyncio
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from agent.errors import ConfigurationError, ListenerUnavailable
from agent.sandbox import Sandbox, practice_world
from tests.unit.sandbox.scene import ISSUER, provided, scene


def test_a_site_of_no_issuer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not an issuer's URL"):
        Sandbox(provided(), sites={"oidc.example.com": tmp_path})


async def test_provider_and_roles_can_change_while_it_runs(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        assert (await here.assume()).status == 200
        here.sandbox.world = replace(here.sandbox.world, roles=())
        assert (await here.assume()).status == 403
        here.sandbox.world = replace(here.sandbox.world, providers=())
        assert (await here.assume()).status == 400
        here.sandbox.world = practice_world(ISSUER)
        assert (await here.assume()).status == 200


async def test_building_one_starts_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox(practice_world(), sites={ISSUER: tmp_path}, tls=True)
    assert sandbox.site_urls == {}
    assert sandbox.ca_file is None
    assert not hasattr(sandbox, "endpoint_url")


async def test_nothing_answers_when_it_has_stopped(tmp_path: Path) -> None:
    async with scene(tmp_path, tls=True) as here:
        urls = [here.sandbox.endpoint_url, here.sandbox.control_url, *here.sandbox.site_urls.values()]
        trusted = here.sandbox.ca_file
        assert trusted
        assert trusted.exists()
    assert len(set(urls)) == 3
    async with aiohttp.ClientSession() as http:
        for url in urls:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(url)
    assert not trusted.exists()


async def test_a_port_that_is_taken_leaves_nothing_open(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        port = int(here.sandbox.endpoint_url.rpartition(":")[2])
        second = Sandbox(practice_world(), sites={ISSUER: tmp_path}, listen=("127.0.0.1", port))
        with pytest.raises(ListenerUnavailable):
            await second.__aenter__()
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.ClientConnectorError):
                await http.get(second.site_urls[ISSUER])


async def test_it_can_listen_on_ipv6(tmp_path: Path) -> None:
    try:
        async with scene(tmp_path, listen=("::1", 0), tls=True) as here:
            assert here.sandbox.endpoint_url.startswith("https://[::1]:")
            assert here.sandbox.site_urls[ISSUER].startswith("https://[::1]:")
    except ListenerUnavailable:
        pytest.skip("this machine has no IPv6 loopback")


async def test_its_control_and_its_sites_stay_on_the_loopback(tmp_path: Path) -> None:
    async with scene(tmp_path, listen=("0.0.0.0", 0)) as here:
        assert here.sandbox.endpoint_url.startswith("http://0.0.0.0:")
        assert here.sandbox.control_url.startswith("http://127.0.0.1:")
        assert here.sandbox.site_urls[ISSUER].startswith("http://127.0.0.1:")


async def test_hundreds_at_once_are_all_answered(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        form = {"Action": "GetCallerIdentity", "Version": "2011-06-15"}
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:

            async def ask() -> int:
                async with http.post(here.sandbox.endpoint_url, data=form) as answer:
                    return answer.status

            assert set(await asyncio.gather(*(ask() for _ in range(500)))) == {403}
        assert len(here.sandbox.requests) == 500


async def test_a_site_is_called_as_it_was_named(tmp_path: Path) -> None:
    async with Sandbox(practice_world(), sites={f"{ISSUER}/": tmp_path}) as sandbox:
        assert set(sandbox.site_urls) == {f"{ISSUER}/"}
