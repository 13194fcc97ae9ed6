"""Does the benchmark measure what it says? How fast that is, is told by `make bench` alone."""

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest

from bench.peers import PATH, TOKEN

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("words", [("uvloop", "kernel"), ("uvloop", "off"), ("asyncio", "kernel")])
async def test_what_is_measured_hands_out_credentials_and_checks_who_asks(
    words: tuple[str, str], tmp_path: Path
) -> None:
    token, body = tmp_path / "token", tmp_path / "body.json"
    token.touch(0o600)
    token.write_text(TOKEN)
    command = (sys.executable, "-m", "bench.agent_server", str(token), str(body), *words)
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{int(await asyncio.wait_for(process.stdout.readline(), 20))}{PATH}"
        async with aiohttp.ClientSession() as session:
            async with session.get(url, headers={"Authorization": TOKEN}) as answer:
                assert answer.status == 200
                served = await answer.json()
            async with session.get(url, headers={"Authorization": "another-token-0123456789"}) as refused:
                assert refused.status == 401
        others = json.loads(body.read_text())  # what the others serve
        assert served.keys() == others.keys()
        assert len(json.dumps(served)) == len(json.dumps(others))
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("part", ["daemon", "imports", "verifying"])
async def test_parts_that_need_no_peer_run_from_anywhere(part: str, tmp_path: Path) -> None:
    words = (sys.executable, str(ROOT / "bench" / "run.py"), "--rounds", "1", part)
    process = await asyncio.create_subprocess_exec(
        *words, cwd=tmp_path, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await asyncio.wait_for(process.communicate(), 50)
    assert (process.returncode, err) == (0, b"")
    assert len(out.decode().splitlines()) > 3
