import json
import logging
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from agent.assembly.outputs import Doors
from agent.assembly.publishing import OwnSite
from agent.clock import RemoteClock, SystemClock
from agent.errors import ListenerUnavailable
from agent.publishing.discovery import JWKS_PATH, published
from agent.publishing.shelf import Shelf
from agent.roster import Roster
from agent.service import Listener
from agent.sessions import Keeper
from agent.settings import Https, load
from agent.settings.section import Surroundings
from agent.status.snapshot import KeyRing, ListenerStatus, Overview
from agent.telemetry.metrics import Metrics
from agent.vending import Vendor
from agent.web.stats import RequestStats
from tests.fakes.certificates import DAY, authority, put
from tests.fakes.clock import START
from tests.fakes.issuer_site import request, say
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported
from tests.fakes.written import write_configuration


def doors_on(home: Path, credentials: str, admin: str) -> Doors:
    return Doors(
        load(write_configuration(home, credentials=credentials, admin=admin).config, environ={}, host="h").listen
    )


def listeners(doors: Doors) -> dict[str, Listener]:
    clock, stats = RemoteClock(SystemClock()), RequestStats()
    overview = Overview(
        Roster({}), clock=clock, version="1", keys=KeyRing, listeners=doors.open_now, callers=lambda *_: ()
    )
    keeper = Keeper([], clock=clock, concurrency=1, spread=lambda: 0.5)
    metrics = Metrics(CollectorRegistry(), overview, stats)
    vendor = Vendor(Roster({}), [], [], Reported())
    return dict(
        [
            doors.credentials(vendor, (), clock, stats, logging.getLogger("tests"), Reported()),
            doors.admin(overview, metrics, keeper),
        ]
    )


async def test_a_door_counts_as_open_only_while_it_is(tmp_path: Path) -> None:
    doors = doors_on(tmp_path, "127.0.0.1:0", "[::1]:0")
    built = listeners(doors)
    assert doors.open_now() == []
    async with built["credentials"]() as first, built["admin"]() as second:
        assert doors.open_now() == [
            ListenerStatus("credentials", f"http://127.0.0.1:{first[1]}"),
            ListenerStatus("admin", f"http://[::1]:{second[1]}"),
        ]
        async with aiohttp.ClientSession() as session:
            for listener in doors.open_now():
                async with session.get(f"{listener.address}/nowhere") as answer:
                    assert answer.status in {401, 403, 404}
                    assert "code" in await answer.json()
    assert doors.open_now() == []


async def test_a_door_that_does_not_open_is_not_open(tmp_path: Path) -> None:
    doors = doors_on(tmp_path, "127.0.0.1:0", "127.0.0.1:0")
    async with listeners(doors)["credentials"]() as (_, port):
        taken = doors_on(tmp_path, f"127.0.0.1:{port}", "127.0.0.1:0")
        with pytest.raises(ListenerUnavailable):
            async with listeners(taken)["credentials"]():
                pass
        assert taken.open_now() == []


async def test_the_issuer_s_door_shows_the_shelf_over_tls_and_counts_as_open(tmp_path: Path) -> None:
    put(tmp_path, authority().issue("oidc.example.com", since=START - 999 * DAY, until=START + 999 * DAY))
    doors = doors_on(tmp_path, "127.0.0.1:0", "127.0.0.1:0")
    words = Https.model_validate(
        {
            "to": "https",
            "listen": "127.0.0.1:0",
            "certificate": f"{tmp_path}/fullchain.pem",
            "private_key": f"{tmp_path}/privkey.pem",
        },
        context=Surroundings(tmp_path, None, {}),
    )
    shelf = Shelf("https://oidc.example.com", max_age=timedelta(minutes=5))
    key = published(MemoryKey().public)
    await shelf.publish([key], [])
    site = OwnSite(shelf, "https://oidc.example.com", words)
    stats = RequestStats()
    name, listener = doors.issuer(site, SystemClock(), stats, logging.getLogger("tests"), Reported(), None)
    async with listener() as (host, port):
        assert (name, doors.open_now()) == ("issuer", [ListenerStatus("issuer", f"https://{host}:{port}")])
        answer = await say((host, port), request(f"/{JWKS_PATH}", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"keys": [key]}
    assert doors.open_now() == []
