import asyncio
import json
import logging
import os
import socket
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from agent.assembly.outputs import Common, Doors
from agent.assembly.publishing import OwnSite
from agent.callers.unit_tokens.attestor import Lifetimes, UnitTokens
from agent.callers.unit_tokens.file import SecretsFile
from agent.clock import RemoteClock, SystemClock
from agent.errors import ListenerUnavailable
from agent.events import ListenerOpened, ListenerWaiting
from agent.leases import TOKENS
from agent.publishing.discovery import JWKS_PATH, published
from agent.publishing.shelf import Shelf
from agent.roster import Roster, TokenRoster
from agent.service import Listener
from agent.sessions import Keeper
from agent.settings import Containers, Https, load
from agent.settings.outputs import Address, Listen
from agent.settings.section import Surroundings
from agent.status.snapshot import KeyRing, ListenerStatus, Overview
from agent.telemetry.metrics import Metrics
from agent.vending import RoleVendor, TokenVendor
from agent.web.origins import ByAddress
from agent.web.stats import RequestStats
from tests.fakes.certificates import DAY, authority, put
from tests.fakes.clock import START
from tests.fakes.issuer_site import request, say
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported
from tests.fakes.written import write_configuration
from tests.unit.web.world import ask
from tests.unit.web.world import request as plain


def common(told: Reported | None = None) -> Common:
    return Common(SystemClock(), RequestStats(), logging.getLogger("tests"), Reported() if told is None else told)


def doors_on(home: Path, credentials: str, admin: str, told: Reported | None = None) -> Doors:
    config = write_configuration(home, credentials=credentials, admin=admin).config
    return Doors(load(config, environ={}, host="h").listen, common(told))


def nothing() -> RoleVendor:
    """A vendor of no role."""
    return RoleVendor(Roster({}), [], [], Reported())


def no_tokens() -> TokenVendor:
    """A vendor of no audience."""
    return TokenVendor(TokenRoster({}, kind=TOKENS), [], [], Reported(), TOKENS)


def listeners(doors: Doors) -> dict[str, Listener]:
    clock = RemoteClock(SystemClock())
    overview = Overview(
        Roster({}), clock=clock, version="1", keys=KeyRing, listeners=doors.open_now, callers=lambda *_: ()
    )
    keeper = Keeper([], clock=clock, concurrency=1, spread=lambda: 0.5)
    metrics = Metrics(CollectorRegistry(), overview, RequestStats())
    return dict([*doors.credentials(nothing(), no_tokens(), (), ByAddress()), doors.admin(overview, metrics, keeper)])


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
    name, listener = doors.issuer(site, None)
    async with listener() as (host, port):
        assert (name, doors.open_now()) == ("issuer", [ListenerStatus("issuer", f"https://{host}:{port}")])
        answer = await say((host, port), request(f"/{JWKS_PATH}", "Connection: close"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2]) == {"keys": [key]}
    assert doors.open_now() == []


def listen(home: Path, **words: object) -> Listen:
    return Listen.model_validate({"credentials": "127.0.0.1:0", **words}, context=Surroundings(home, None, {}))


async def test_each_address_for_credentials_has_a_door_of_its_own(tmp_path: Path) -> None:
    doors = Doors(listen(tmp_path, credentials=["127.0.0.1:0", "[::1]:0"]), common())
    async with AsyncExitStack() as stack:
        for _, opened in doors.credentials(nothing(), no_tokens(), (), ByAddress()):
            await stack.enter_async_context(opened())
        found = [one.address.rpartition(":")[0] for one in doors.open_now()]
        assert found == ["http://127.0.0.1", "http://[::1]"]


def test_a_door_that_nobody_asked_for_is_not_there(tmp_path: Path) -> None:
    assert set(listeners(doors_on(tmp_path, "127.0.0.1:0", "127.0.0.1:0"))) == {"credentials", "admin"}


async def test_the_door_for_metadata_gives_the_tokens_that_its_requests_need(tmp_path: Path) -> None:
    doors = Doors(listen(tmp_path, imds="127.0.0.1:0"), common())
    async with dict(doors.credentials(nothing(), no_tokens(), (), ByAddress()))["imds"]() as address:
        assert doors.open_now() == [ListenerStatus("imds", f"http://127.0.0.1:{address[1]}")]
        ttl = b"X-aws-ec2-metadata-token-ttl-seconds: 60"
        assert (await ask(address, plain("/latest/api/token", None, ttl, method="PUT"))).status == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can see packets")
@pytest.mark.parametrize(("name", "hops"), [("imds", {1}), ("credentials", {64})])
async def test_only_the_door_for_metadata_lets_no_packet_go_further_than_one_hop(
    tmp_path: Path, name: str, hops: set[int]
) -> None:
    doors = Doors(listen(tmp_path, imds="127.0.0.1:0"), common())
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as seeing:
        seeing.setblocking(False)
        async with dict(doors.credentials(nothing(), no_tokens(), (), ByAddress()))[name]() as address:
            await ask(address, plain("/"))
        packets = []
        with suppress(BlockingIOError):
            while True:
                packets.append(seeing.recv(65536))
    ours = [packet for packet in packets if int.from_bytes(packet[20:22], "big") == address[1]]
    assert len(ours) >= 2  # that which accepts the connection, and an answer
    assert {packet[8] for packet in ours} == hops  # RFC 791: the ninth byte is the time to live


async def test_a_door_for_containers_waits_for_its_address_and_says_so(tmp_path: Path) -> None:
    told = Reported()
    doors = doors_on(tmp_path, "127.0.0.1:0", "127.0.0.1:0", told)
    settings = Containers.model_construct(engine="podman", listen=(Address("192.0.2.1", 80), Address("127.0.0.1", 0)))
    async with AsyncExitStack() as stack:
        for _, opened in doors.containers(settings, nothing(), no_tokens(), (), ByAddress()):
            await stack.enter_async_context(opened())
        assert [one.address for one in told.of(ListenerWaiting)] == ["192.0.2.1:80"]
        assert [one.address for one in told.of(ListenerOpened)] == ["127.0.0.1:0"]
        assert [one.name for one in doors.open_now()] == ["containers#2"]
    assert doors.open_now() == []


async def test_the_socket_for_tokens_of_units_counts_as_open_while_it_is(tmp_path: Path) -> None:
    path = tmp_path / "unit-tokens.sock"
    doors = doors_on(tmp_path, "127.0.0.1:0", "127.0.0.1:0")
    issuer = UnitTokens(
        SecretsFile(tmp_path / "secret.json"),
        Lifetimes(30 * DAY, 90 * DAY),
        (),
        clock=SystemClock(),
        boot="a-boot",
        report=Reported(),
    )
    await asyncio.to_thread(issuer.load)
    async with doors.unit_tokens(issuer, path):
        assert path.is_socket()
        assert doors.open_now() == [ListenerStatus("unit_tokens", f"unix:{path}")]
    assert doors.open_now() == []


def test_what_nobody_expected_is_told_of_with_the_door_where_it_happened(caplog: pytest.LogCaptureFixture) -> None:
    common().on_bug("imds")(ZeroDivisionError())
    (record,) = caplog.records
    assert (record.message, record.__dict__["fields"]) == ("bug", {"where": "imds listener"})
    assert record.exc_info is not None
