"""While somebody asks without end, from a process of his own: does another caller have every answer?"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.live.hammer import FLOODS
from tests.live.host import TOKEN, Host, fetch, running_host

pytestmark = pytest.mark.long

HAMMER = Path(__file__).with_name("hammer.py")
NOBODY = 65534

#: How a hammering caller is told apart: by his address, or by what the kernel says of him.
WAYS = {"by address": ("127.0.0.2", 0, "off"), "by user": ("127.0.0.1", NOBODY, "kernel")}


@asynccontextmanager
async def hammered(host: Host, source: str, uid: int, flood: str) -> AsyncIterator[Counter[str]]:
    """Somebody hammers while the context lasts; what he was told is there afterwards."""
    words = [str(host.ports[0]), source, str(uid), flood]
    process = await asyncio.create_subprocess_exec(sys.executable, str(HAMMER), *words, stdin=PIPE, stdout=PIPE)
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    told: Counter[str] = Counter()
    try:
        yield told
        said, _ = await asyncio.wait_for(process.communicate(b"enough\n"), 30)
        told.update(json.loads(said))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def behave(host: Host) -> Counter[int]:
    """Ask as SDKs do, some on a connection each, some on one that is kept; what that was told."""
    told: Counter[int] = Counter()
    async with aiohttp.ClientSession(headers={"Authorization": TOKEN}) as kept:
        for _ in range(50):
            told[(await fetch(host))[0]] += 1
            async with kept.get(f"{host.url}/v1/credentials/backup") as answer:
                assert (await answer.json())["Code"] == "Success"
                told[answer.status] += 1
            await asyncio.sleep(0.01)
    return told


async def metrics(host: Host) -> dict[str, float]:
    """The samples of ours, by name and labels."""
    async with aiohttp.ClientSession() as client, client.get(f"{host.admin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if line.startswith("rolecall_")}


@pytest.mark.parametrize("flood", FLOODS)
@pytest.mark.parametrize("way", WAYS)
async def test_who_hammers_is_told_503_and_others_notice_nothing(tmp_path: Path, way: str, flood: str) -> None:
    source, uid, recognise = WAYS[way]
    if uid and os.geteuid() != 0:
        pytest.skip("only root can be somebody else")
    async with running_host(tmp_path, more=f'[callers]\nrecognise = "{recognise}"\n') as (agent, _):
        host = agent.host
        async with hammered(host, source, uid, flood) as told:
            behaved = await behave(host)
        assert behaved == {200: 100}
        assert told["503"] > 0
        assert "200" not in told
        assert "429" not in told
        await asyncio.sleep(0.1)
        counted = await metrics(host)
        throttled = counted['rolecall_denied_total{reason="throttled"}']
        refused = [value for name, value in counted.items() if "requests_total" in name and 'status="503"' in name]
        assert throttled == sum(refused) >= told["503"]
        lines = [line for line in agent.events("credentials_refused") if line["reason"] == "throttled"]
        assert lines
        if uid:
            assert {line["uid"] for line in lines} == {NOBODY}
