"""An agent with rules for tokens of others and nothing else: does it need no key, no role and no AWS?"""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import jwt
import pytest
from aiohttp import web

from agent.clock import SystemClock
from tests.fakes.foreign import a_jwk, private
from tests.fakes.ports import own_port
from tests.live.host import Host, agent_on

pytestmark = pytest.mark.long

AUDIENCE = "https://api.example.com"
#: The links of the doctor's that there are where there are rules alone.
ALWAYS = ("configuration", "rules", "endpoint")


@asynccontextmanager
async def an_issuer() -> AsyncIterator[str]:
    """An issuer with its two documents, on this machine: its URL."""

    async def discovery(request: web.Request) -> web.Response:
        url = f"http://{request.host}"
        return web.json_response({"issuer": url, "jwks_uri": f"{url}/keys"})

    async def keys(_: web.Request) -> web.Response:
        return web.json_response({"keys": [a_jwk("one")]})

    site = web.Application()
    site.router.add_get("/.well-known/openid-configuration", discovery)
    site.router.add_get("/keys", keys)
    runner = web.AppRunner(site)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def a_token(issuer: str, audience: str = AUDIENCE) -> str:
    now = int(SystemClock().now().timestamp())
    said = {"iss": issuer, "aud": audience, "sub": "alice", "iat": now, "exp": now + 60}
    return jwt.encode(said, private(), "RS256", headers={"kid": "one"})


async def asked(where: str, token: str) -> tuple[int, str]:
    """What a proxy is answered: the status, and who it is."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(where, headers={"Authorization": f"Bearer {token}"}) as answer,
    ):
        return answer.status, answer.headers.get("X-Token-Subject", "")


async def test_rules_need_no_key_no_role_and_no_aws(tmp_path: Path) -> None:
    host, verify = Host(tmp_path, "http://127.0.0.1:9"), own_port()
    async with an_issuer() as issuer:
        host.config.write_text(f"""
[verify.api]
issuer = "{issuer}"
audiences = ["{AUDIENCE}"]
[listen]
credentials = "127.0.0.1:{host.ports[0]}"
admin = "127.0.0.1:{host.ports[1]}"
verify = "127.0.0.1:{verify}"
[log]
format = "json"
""")
        config, good = str(host.config), a_token(issuer)
        code, out, errors = await host.rolecall("check", "-c", config)
        assert (code, "api: tokens of" in out, "STS" in out) == (0, True, False), errors
        code, out, errors = await host.rolecall("token", "verify", "--rule", "api", good, "-c", config)
        assert code == 0, errors

        command = (sys.executable, "-X", "importtime", "-m", "agent", "run", "-c", config)
        async with agent_on(host, command) as agent:
            await agent.ready()
            (ready,) = agent.events("ready")
            assert ready["state"] == "1 rule for tokens of others"
            loaded = [line for line in agent.lines if line.startswith("import time:")]
            assert len(loaded) > 100
            assert [line for line in loaded if "aiobotocore" in line] == []
            assert list(tmp_path.iterdir()) == [host.config]  # no ring, and no key

            where = f"http://127.0.0.1:{verify}/v1/verify/api"
            assert await asked(where, good) == (200, "alice")
            assert (await asked(where, a_token(issuer, "https://else.example.com")))[0] == 401

            code, out, _ = await host.rolecall("status", "-c", config)
            assert (code, f"rule api good, 1 key of {issuer}" in out) == (0, True), out
            code, out, errors = await host.rolecall("doctor", "--json", "-c", config)
            told = json.loads(out)
            states = {one["link"]: one["state"] for one in told["links"]}
            (found,) = told["findings"]
            assert (code, found["what"].startswith("verify.api.issuer: is of this machine alone")) == (0, True), out
            assert (states["configuration"], states["rules"], states["endpoint"]) == ("doubtful", "good", "good")
            assert {state for name, state in states.items() if name not in ALWAYS} == {"not tried"}
            for probe in ("livez", "readyz", "metrics", ""):
                async with aiohttp.ClientSession() as session, session.get(f"{host.admin}/{probe}") as answer:
                    assert answer.status == 200, probe
            code, out, _ = await host.rolecall("who", "-c", config, "--json")
            assert (json.loads(out)["granted"], json.loads(out)["audiences"]) == ([], [])
            code, out, errors = await host.rolecall("wait", "-c", config, "--timeout", "5s")
            assert code == 0, errors

        code, _, errors = await host.rolecall("token", "mint", "--audience", "vault", "-c", config)
        assert (code, "has no [key] to sign tokens with" in errors) == (2, True), errors
        assert "somebody else" not in errors


async def test_it_starts_without_its_issuer_and_says_so(tmp_path: Path) -> None:
    host, verify = Host(tmp_path, "http://127.0.0.1:9"), own_port()
    host.config.write_text(f"""
[verify.api]
issuer = "http://127.0.0.1:9"
audiences = ["{AUDIENCE}"]
[listen]
credentials = "127.0.0.1:{host.ports[0]}"
admin = "127.0.0.1:{host.ports[1]}"
verify = "127.0.0.1:{verify}"
[log]
format = "json"
""")
    async with agent_on(host) as agent:
        await agent.ready()
        (ready,) = agent.events("ready")
        assert ready["state"] == "no keys for the rule api"
        assert (await asked(f"http://127.0.0.1:{verify}/v1/verify/api", a_token("http://127.0.0.1:9")))[0] == 503
        _, out, _ = await host.rolecall("status", "-c", str(host.config))
        assert "rule api bare, no keys of http://127.0.0.1:9" in out
        code, out, _ = await host.rolecall("doctor", "-c", str(host.config))
        assert (code, "no token can be verified by the rule api" in out) == (1, True)
