"""Does the admin listener answer what it should, and only that?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.errors import CredentialsUnavailable
from agent.status.routes import LIVE_WITHIN, admin_application
from tests.unit.status.samples import Inside

PATHS = ("/", "/status.json", "/metrics", "/livez", "/readyz", "/readyz/backup")


class Site:
    """The admin application on a real socket, with what it shows."""

    def __init__(self) -> None:
        self.inside = Inside(("backup", "web"))
        self.silent = timedelta(seconds=3)
        self.accepted: list[str] = []

    async def scrape(self, accept: str) -> tuple[str, bytes]:
        self.accepted.append(accept)
        return "text/plain; version=0.0.4; charset=utf-8", b"rolecall_build_info 1\n"

    @asynccontextmanager
    async def up(self) -> AsyncIterator[aiohttp.ClientSession]:
        runner = web.AppRunner(admin_application(self.inside.overview, self.scrape, lambda: self.silent))
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            host, port = runner.addresses[0][:2]
            async with aiohttp.ClientSession(f"http://{host}:{port}") as client:
                yield client
        finally:
            await runner.cleanup()


async def test_every_path_answers_get_and_head_alike() -> None:
    site = Site()
    await site.inside.renew()
    async with site.up() as client:
        for path in PATHS:
            async with client.get(path) as got, client.head(path) as head:
                assert (got.status, head.status) == (200, 200), path
                assert got.headers["Content-Type"] == head.headers["Content-Type"]
                assert got.headers["Content-Length"] == head.headers["Content-Length"]
                assert await head.read() == b""
                assert await got.read() != b""


@pytest.mark.parametrize(
    "host", ["attacker.example.com", "attacker.example.com:9171", "127.0.0.1.example.com", "", "[]"]
)
async def test_a_page_whose_name_points_here_reads_nothing(host: str) -> None:
    async with Site().up() as client:
        for path in (*PATHS, "/nothing"):
            async with client.get(path, headers={"Host": host}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (403, "HostRefused")
                assert "backup" not in await answer.text()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:1", "localhost:9171", "LOCALHOST"])
async def test_who_asks_for_the_address_itself_is_answered(host: str) -> None:
    async with Site().up() as client, client.get("/readyz", headers={"Host": host}) as answer:
        assert answer.status == 503


async def test_where_it_cannot_know_its_own_names_it_answers_to_any(tmp_path: Path) -> None:
    """An address of the network would do as well, but not every machine that runs tests has one."""
    site = Site()
    runner = web.AppRunner(admin_application(site.inside.overview, site.scrape, lambda: site.silent))
    await runner.setup()
    try:
        await web.UnixSite(runner, str(tmp_path / "admin")).start()
        connector = aiohttp.UnixConnector(str(tmp_path / "admin"))
        async with aiohttp.ClientSession(connector=connector) as client, client.get("http://name/livez") as answer:
            assert answer.status == 200
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_nothing_but_reading_is_allowed(method: str) -> None:
    async with Site().up() as client:
        for path in PATHS:
            async with client.request(method, path) as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
                assert (await answer.json())["code"] == "MethodNotAllowed"


@pytest.mark.parametrize(
    "path", ["/nothing", "/readyz/mail", "/readyz/backup/more", "/metrics/", "/v1/credentials/backup"]
)
async def test_what_is_not_there_is_not_found(path: str) -> None:
    async with Site().up() as client, client.get(path) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == "NotFound"


async def test_every_answer_forbids_keeping_sniffing_and_framing() -> None:
    async with Site().up() as client:
        for path in (*PATHS, "/nothing"):
            async with client.get(path) as answer:
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert answer.headers["Server"] == "rolecall"


async def test_the_agent_lives_while_its_scheduler_looks_round() -> None:
    site = Site()
    async with site.up() as client:
        for silent, status in ((timedelta(0), 200), (LIVE_WITHIN, 200), (LIVE_WITHIN + timedelta(seconds=1), 503)):
            site.silent = silent
            async with client.get("/livez") as answer:
                document = await answer.json()
                assert (answer.status, document["alive"]) == (status, status == 200)
                assert document["scheduler_silent_for_seconds"] == silent.total_seconds()


async def test_a_role_is_ready_while_it_is_good_and_says_why_when_not() -> None:
    site = Site()
    async with site.up() as client:
        async with client.get("/readyz/backup") as answer:
            assert answer.status == 503
            assert (await answer.json())["reason"] == "the first credentials are still on their way"
        await site.inside.renew("backup")
        async with client.get("/readyz/backup") as answer:
            assert (answer.status, await answer.json()) == (200, {"role": "backup", "ready": True, "reason": None})
        await site.inside.base.advance(timedelta(minutes=50))
        site.inside.sources["backup"].failure = CredentialsUnavailable("STS does not answer.")
        await site.inside.renew("backup")
        async with client.get("/readyz/backup") as answer:
            assert answer.status == 503
            assert "600 s only" in (await answer.json())["reason"]
            assert "STS does not answer." in (await answer.json())["reason"]


async def test_all_is_ready_only_when_each_role_is() -> None:
    site = Site()
    async with site.up() as client:
        await site.inside.renew("backup")
        async with client.get("/readyz") as answer:
            document = await answer.json()
            assert (answer.status, document["ready"]) == (503, False)
            assert [role for role, told in document["roles"].items() if not told["ready"]] == ["web"]
        await site.inside.renew("web")
        async with client.get("/readyz") as answer:
            assert (answer.status, (await answer.json())["ready"]) == (200, True)


async def test_the_metrics_are_asked_for_as_the_scraper_wants_them() -> None:
    site = Site()
    async with site.up() as client, client.get("/metrics", headers={"Accept": "application/openmetrics-text"}) as got:
        assert site.accepted == ["application/openmetrics-text"]
        assert got.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert got.headers["Vary"] == "Accept"
        assert await got.read() == b"rolecall_build_info 1\n"


async def test_no_answer_holds_a_secret_or_a_whole_key_id() -> None:
    site = Site()
    await site.inside.renew()
    async with site.up() as client:
        for path in PATHS:
            async with client.get(path) as answer:
                shown = (await answer.read()).decode() + str(answer.headers)
                for canary in ("ASIA0000000000000001", "secret-of-", "token-of-"):
                    assert canary not in shown
