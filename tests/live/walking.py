"""What a running agent tells of its keys, and what is done to its ring from outside."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from prometheus_client.parser import text_string_to_metric_families

from tests.live.host import ISSUER, Host

DAY = 24 * 3600.0


async def until(holds: Callable[[], Awaitable[bool]], within: float = 15) -> float:
    """Wait until something holds, for so many seconds at most; how long that took."""
    started = time.monotonic()
    while not await holds():
        assert time.monotonic() - started < within, "it did not come to be"
        await asyncio.sleep(0.1)
    return time.monotonic() - started


async def status(host: Host) -> dict[str, Any]:
    """What /status.json says."""
    async with aiohttp.ClientSession() as session, session.get(f"{host.admin}/status.json") as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def states(host: Host) -> dict[str, str]:
    """The keys that the agent has, by kid."""
    return {key["kid"]: key["state"] for key in (await status(host))["keys"]}


async def metric(host: Host, name: str, **labels: str) -> float | None:
    """The value of the one sample that has these labels, among others."""
    async with aiohttp.ClientSession() as session, session.get(f"{host.admin}/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    found = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    ]
    return found[0] if found else None


def on_site(host: Host) -> list[str]:
    """The kids that the issuer's site shows."""
    keys = json.loads((host.home / "site/.well-known/jwks.json").read_text())["keys"]
    return [key["kid"] for key in keys]


async def signed_by(host: Host) -> str:
    """The kid of a token that is made now, and that whoever goes to the issuer's URL accepts."""
    code, out, errors = await host.rolecall("token", "mint", "-c", str(host.config))
    assert code == 0, errors
    token = out.strip()
    keys = json.loads((host.home / "site/.well-known/jwks.json").read_text())
    kid = str(jwt.get_unverified_header(token)["kid"])
    key = next(one for one in jwt.PyJWKSet.from_dict(keys).keys if one.key_id == kid)
    assert jwt.decode(token, key, audience="sts.amazonaws.com")["iss"] == ISSUER
    return kid


def ring(host: Host) -> Path:
    """The file of the ring, where nothing is said of it."""
    return host.home / "keys" / "ring.json"


def change_key(host: Host, state: str, **members: object) -> str:
    """Say something else of the one key that is in a state, as time would have; its kid. The agent must not run."""
    written = json.loads(ring(host).read_text())
    [key] = [key for key in written["keys"] if key["state"] == state]
    assert set(members) <= set(key)
    key |= members
    ring(host).write_text(json.dumps(written))
    return str(key["kid"])


def touch(host: Host) -> None:
    """Make the agent look at the ring, and with that at its issuer, before it is time."""
    os.utime(ring(host))
