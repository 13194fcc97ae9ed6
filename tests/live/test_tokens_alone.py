"""An agent with tokens for others and no role at all: does it need no AWS, and say how it is?"""

import asyncio
import json
import os
import re
from pathlib import Path

import pytest

from tests.live.host import Agent, Host, agent_on
from tests.live.test_tokens import ask, checked

pytestmark = pytest.mark.long

TABLES = """
[[grants]]
audiences = ["orders", "vault"]
user = "USER"
subject = "user:${UID}"
scopes = ["read", "write"]
claims = { seen = { uid = "${UID}" } }
[[files]]
kind = "token"
path = "HOME/gcp.jwt"
audience = "gcp"
lifetime = "2m"
"""


async def host_of(home: Path) -> Host:
    tables = TABLES.replace("USER", str(os.getuid())).replace("HOME", str(home))
    host = Host(home, "http://127.0.0.1:9", roles=(), grants=tables)
    await host.furnish()
    written = host.config.read_text()
    host.config.write_text(re.sub(r"\[sts\].*?\n\n", "", written, flags=re.DOTALL))
    assert "[sts]" not in host.config.read_text()
    return host


async def given(agent: Agent, query: str) -> str:
    """The token for that query, once there is one."""
    async with asyncio.timeout(20):
        while True:
            status, said, _ = await ask(agent.host, query, token=None)
            if status == 200:
                return str(said["token"])
            assert status == 503, said


async def test_tokens_need_no_role_and_no_aws(tmp_path: Path) -> None:
    host = await host_of(tmp_path)
    config = str(host.config)
    code, out, errors = await host.rolecall("check", "-c", config)
    assert (code, "tokens for orders" in out, "STS" in out) == (0, True, False), errors
    async with agent_on(host) as agent:
        await agent.ready()
        (ready,) = agent.events("ready")
        assert ready["state"] == "tokens for 2 relying parties"
        claims = checked(host, await given(agent, "aud=orders&scope=read"), "orders")
        assert (claims["sub"], claims["scope"]) == (f"user:{os.getuid()}", "read")
        assert claims["seen"] == {"uid": str(os.getuid())}

        async with asyncio.timeout(20):
            while not (tmp_path / "gcp.jwt").exists():  # noqa: ASYNC110 - a file
                await asyncio.sleep(0.05)
        assert checked(host, (tmp_path / "gcp.jwt").read_text(), "gcp")["sub"].startswith("host:")

        code, out, _ = await host.rolecall("status", "-c", config)
        assert (code, "tokens for orders good, 1 of 1 held" in out, "tokens for vault idle" in out) == (0, True, True)
        code, out, _ = await host.rolecall("who", "-c", config, "--json")
        told = json.loads(out)
        assert (code, told["granted"], told["audiences"]) == (0, [], ["orders", "vault"])
        code, out, _ = await host.rolecall("who", "vault", "-c", config, "--user", "nobody")
        assert code == 1
        code, out, errors = await host.rolecall("wait", "-c", config, "--timeout", "5s")
        assert code == 0, errors

    words = ("--audience", "vault", "--user", str(os.getuid()), "-c", config)
    code, out, errors = await host.rolecall("token", "mint", *words)
    assert code == 0, errors
    assert checked(host, out.strip(), "vault")["sub"] == f"user:{os.getuid()}"
