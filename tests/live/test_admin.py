"""The admin listener of a real agent: does it tell the truth about what really happened, and no secret of it?"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from agent.sandbox import Sandbox
from tests.live.host import TOKEN, Agent, Host, agent_on, fetch, running_host, sandboxed

PATHS = ("/", "/status.json", "/metrics", "/livez", "/readyz", "/readyz/backup", "/nothing")


@dataclass(frozen=True)
class Shown:
    status: int
    text: str

    @property
    def document(self) -> dict[str, Any]:
        return dict(json.loads(self.text))


async def shown(host: Host, path: str) -> Shown:
    async with aiohttp.ClientSession() as session, session.get(host.admin + path) as answer:
        return Shown(answer.status, await answer.text())


async def served_at_last(host: Host) -> None:
    """Ask until there is a 200; a quiet log does not say when the agent is ready."""
    for _ in range(200):
        try:
            if (await fetch(host))[0] == 200:
                return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.05)
    pytest.fail("it does not serve")


async def samples(host: Host) -> list[Sample]:
    text = (await shown(host, "/metrics")).text
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def value(host: Host, name: str, **labels: str) -> float | None:
    found = [sample.value for sample in await samples(host) if sample.name == name and sample.labels == labels]
    return found[0] if found else None


@asynccontextmanager
async def half_refused(home: Path) -> AsyncIterator[tuple[Agent, Sandbox]]:
    """An agent with two roles, one of which AWS knows nothing of."""
    async with sandboxed(home, roles=("backup", "forgotten")) as (host, sandbox):
        known = tuple(role for role in sandbox.world.roles if role.name == "backup")
        sandbox.world = replace(sandbox.world, roles=known)
        async with agent_on(host) as agent:
            await agent.ready()
            yield agent, sandbox


async def test_an_agent_that_is_well_says_so_everywhere(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        host = agent.host
        _, credentials, _ = await fetch(host)
        for path in ("/livez", "/readyz", "/readyz/backup"):
            assert (await shown(host, path)).status == 200
        [role] = (await shown(host, "/status.json")).document["roles"]
        assert (role["state"], role["expires_at"]) == ("good", credentials["Expiration"])
        assert role["key_id_ending"] == credentials["AccessKeyId"][-4:]
        assert 3500 < role["left_seconds"] <= 3600
        page = (await shown(host, "/")).text
        assert '<p class="summary good">1 role on call</p>' in page
        assert host.url in page
        assert await value(host, "rolecall_requests_total", output="ecs", role="backup", status="200") == 1
        assert await value(host, "rolecall_credentials_refreshes_total", role="backup", outcome="success") == 1
        assert await value(host, "rolecall_sts_requests_total", code="Success") == 1
        offset = await value(host, "rolecall_clock_offset_seconds")
        assert offset is not None
        assert abs(offset) < 2


async def test_of_two_roles_the_refused_one_is_not_ready_and_says_what_to_do(tmp_path: Path) -> None:
    async with half_refused(tmp_path) as (agent, _):
        host = agent.host
        assert (await shown(host, "/readyz/backup")).status == 200
        refused = await shown(host, "/readyz/forgotten")
        assert refused.status == 503
        assert "AccessDenied" in refused.document["reason"]
        everything = await shown(host, "/readyz")
        assert (everything.status, everything.document["ready"]) == (503, False)
        assert (await shown(host, "/livez")).status == 200
        page = (await shown(host, "/")).text
        assert "1 of 2 roles needs somebody" in page
        assert "trust policy" in page
        assert await value(host, "rolecall_credentials_expiry_timestamp_seconds", role="forgotten") == 0
        assert await value(host, "rolecall_credentials_refreshes_total", role="forgotten", outcome="refused") == 1


async def test_who_was_served_and_who_was_refused_is_in_the_log_whatever_its_level(tmp_path: Path) -> None:
    async with sandboxed(tmp_path, log="warning") as (host, _), agent_on(host) as agent:
        await served_at_last(host)
        for _ in range(20):
            assert (await fetch(host, token="not-a-token-of-anybody"))[0] == 401
        await agent.stop()
        [served] = agent.events("credentials_served")
        assert (served["role"], served["outcome"]) == ("backup", "served")
        assert len(served["key_id"]) == 4
        refused = agent.events("credentials_refused")
        assert sum(fact.get("again", 1) for fact in refused) == 20
        assert {fact["reason"] for fact in refused} == {"unknown_caller"}


async def test_a_request_that_is_no_request_harms_nobody(tmp_path: Path) -> None:
    async with running_host(tmp_path) as (agent, _):
        for sent in (b"\0\1\2\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", agent.host.ports[1])
            try:
                writer.write(sent)
                answer = await asyncio.wait_for(reader.read(12), 20)
            finally:
                writer.close()
            assert re.fullmatch(rb"HTTP/1\.[01] 400", answer)
        assert (await shown(agent.host, "/livez")).status == 200


async def test_no_secret_is_shown_or_logged_whatever_happens(tmp_path: Path) -> None:
    async with half_refused(tmp_path) as (agent, _):
        host = agent.host
        _, credentials, _ = await fetch(host)
        await fetch(host, token="not-a-token-of-anybody")
        await fetch(host, "forgotten")
        told = [(await shown(host, path)).text for path in PATHS]
        await agent.stop()
        told += agent.lines
        private = [
            line
            for path in (tmp_path / "keys").iterdir()
            for line in path.read_text().splitlines()
            if len(line) > 20 and not line.startswith("-----")
        ]
    canaries = [
        credentials["SecretAccessKey"],
        credentials["Token"],
        credentials["AccessKeyId"],
        TOKEN,
        "not-a-token-of-anybody",
        "eyJ",  # how every token that we sign begins
        *private,
    ]
    assert private
    assert len(told) > len(PATHS) + 5
    for canary in canaries:
        assert not [line for line in told if canary in line]
