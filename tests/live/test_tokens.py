"""Tokens for other relying parties, given out by the whole agent and judged by the keys that it shows the world."""

import asyncio
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
import jwt

from tests.live.host import ISSUER, TOKEN, Agent, Host, fetch, running_host

API = "https://api.example.com"


def grants(home: Path) -> str:
    return f"""
[[grants]]
roles = ["backup"]
audiences = ["{API}", "vault"]
token_file = "{home}/token"
subject = "host:web-1:backup"
scopes = ["read", "write"]
lifetime = "20m"
claims = {{ team = "web", limits = {{ regions = ["eu", "us"], most = 3 }} }}

[[grants]]
audiences = ["{API}"]
user = "{os.getuid()}"
subject = "user:${{UID}}"
lifetime = "5m"
"""


async def ask(host: Host, query: str, token: str | None = TOKEN) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    headers = {} if token is None else {"Authorization": token}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{host.url}/v1/token?{query}", headers=headers) as answer,
    ):
        return answer.status, await answer.json(), dict(answer.headers)


def checked(host: Host, token: str, audience: str) -> dict[str, Any]:
    """What a token says, by the keys that the world reads."""
    shown = json.loads((host.home / "site" / ".well-known" / "jwks.json").read_text())
    keys = {one["kid"]: jwt.PyJWK(one) for one in shown["keys"]}
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(
        token, key, algorithms=["ES256"], audience=audience, issuer=ISSUER, options={"require": ["exp", "nbf", "iat"]}
    )
    return claims


async def test_each_caller_gets_the_token_that_its_grant_says_and_credentials_as_ever(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        status, said, headers = await ask(agent.host, f"aud={API}")
        assert (status, said["audience"], said["scope"]) == (200, API, "read write")
        assert headers["Cache-Control"] == "no-store"
        claims = checked(agent.host, said["token"], API)
        assert claims["sub"] == "host:web-1:backup"
        assert claims["scope"] == "read write"
        assert (claims["team"], claims["limits"]) == ("web", {"regions": ["eu", "us"], "most": 3})
        assert claims["exp"] - claims["iat"] == 20 * 60
        assert "https://aws.amazon.com/roles" not in claims
        assert (await fetch(agent.host))[0] == 200


async def test_who_is_known_by_what_it_is_gets_what_is_known_of_it(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        status, said, _ = await ask(agent.host, "", token=None)
        for _ in range(50):
            if status == 200:
                break
            await asyncio.sleep(0.1)  # it is the first to ask: 503 says to come again
            status, said, _ = await ask(agent.host, "", token=None)
        assert status == 200, said
        assert checked(agent.host, said["token"], API)["sub"] == f"user:{os.getuid()}"


async def test_less_may_be_asked_for_and_nothing_more(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        _, said, _ = await ask(agent.host, "aud=vault&scope=read")
        assert checked(agent.host, said["token"], "vault")["scope"] == "read"
        assert (await ask(agent.host, "aud=vault&scope=read+admin"))[0] == 403
        assert (await ask(agent.host, "aud=sts.amazonaws.com"))[0] == 403
        assert (await ask(agent.host, "aud=vault", token="a-guess-at-a-token"))[0] == 401
        assert (await ask(agent.host, "aud=vault&x=1"))[0] == 400
        assert (await ask(agent.host, ""))[0] == 409


async def test_the_same_token_is_given_to_all_who_ask_and_told_once(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        given = await asyncio.gather(*(ask(agent.host, "aud=vault") for _ in range(50)))
        assert {status for status, *_ in given} == {200}
        assert len({said["token"] for _, said, _ in given}) == 1
        served = [fact for fact in agent.events("token_served") if fact["audience"] == "vault"]
        assert len(served) == 1
        assert served[0]["jti"] == checked(agent.host, given[0][1]["token"], "vault")["jti"]


async def test_no_line_and_no_metric_holds_a_token_or_an_audience_that_a_stranger_made_up(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        _, said, _ = await ask(agent.host, "aud=vault")
        await ask(agent.host, "aud=made-up-by-a-stranger")
        shown = await everything(agent)
        assert said["token"].rpartition(".")[2] not in shown
        assert "made-up-by-a-stranger" not in shown
        assert 'rolecall_requests_total{output="token",role="",status="200"}' in shown


async def everything(agent: Agent) -> str:
    """All that the agent says of itself: log, metrics, status."""
    said = "".join(agent.lines)
    async with aiohttp.ClientSession() as session:
        for path in ("/metrics", "/status.json", "/"):
            async with session.get(agent.host.admin + path) as answer:
                said += await answer.text()
    return said


async def test_when_a_key_is_stolen_what_it_has_signed_is_replaced_at_once(tmp_path: Path) -> None:
    async with running_host(tmp_path, grants=grants(tmp_path)) as (agent, _):
        before = (await ask(agent.host, "aud=vault"))[1]["token"]
        config = str(agent.host.config)
        code, _, said = await agent.host.rolecall("keys", "rotate", "--emergency", "--yes", "-c", config)
        assert code == 0, said
        after = before
        for _ in range(200):
            if after != before:
                break
            await asyncio.sleep(0.05)
            after = (await ask(agent.host, "aud=vault"))[1]["token"]
        assert jwt.get_unverified_header(after)["kid"] != jwt.get_unverified_header(before)["kid"]
        checked(agent.host, after, "vault")
