"""A container engine: its API over a real socket, for whatever containers it is given."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web


def an_id(letter: str) -> str:
    """The id of a container."""
    return letter * 64


@dataclass
class Contained:
    """A container as the engine knows it, with what both engines write of it and we do not ask for."""

    id: str
    name: str
    pid: int
    networks: dict[str, str] = field(default_factory=dict)
    started: str = "2026-11-20T12:00:00.665759415Z"
    sandbox: str = ""
    joined: str = ""  # the id of the container whose network it has, as Docker lists it: without an address

    @property
    def _networks(self) -> dict[str, Any]:
        return {
            network: {
                "IPAMConfig": None,
                "Aliases": [self.id[:12]],
                "NetworkID": network,
                "Gateway": "",
                "IPAddress": "" if ":" in address else address,
                "IPPrefixLen": 16,
                "GlobalIPv6Address": address if ":" in address else "",
                "MacAddress": "6e:50:a6:76:b7:78",
            }
            for network, address in self.networks.items()
        }

    def listed(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Names": [f"/other/{self.name}-by-another-name", f"/{self.name}"],
            "Image": "",
            "Created": 1795238456,
            "Ports": [],
            "Labels": {"com.example.team": "storage"},
            "State": "running",
            "Status": "Up 1 second",
            "HostConfig": {"NetworkMode": f"container:{self.joined}" if self.joined else "bridge"},
            "NetworkSettings": {"Networks": self._networks or None},
            "Mounts": [],
        }

    def inspected(self) -> dict[str, Any]:
        return {
            "Id": self.id,
            "Name": f"/{self.name}",
            "State": {"Status": "running", "Running": True, "Pid": self.pid, "StartedAt": self.started},
            "HostConfig": {"NetworkMode": "bridge"},
            "NetworkSettings": {"SandboxKey": self.sandbox, "Networks": self._networks},
        }


@dataclass
class EngineApi:
    """What the engine answers; `path` is where."""

    path: Path
    containers: list[Contained] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None  # answered instead of everything
    slow: float = 0.0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(f"{request.method} {request.path}")
        if self.slow:
            await asyncio.sleep(self.slow)
        if self.status != 200 or self.body is not None:
            return web.Response(status=self.status, body=self.body or b"{}")
        if request.path == "/containers/json":
            return web.Response(body=json.dumps([one.listed() for one in self.containers]).encode())
        identity = request.path.removeprefix("/containers/").removesuffix("/json")
        found = [one for one in self.containers if one.id == identity]
        if not found:
            return web.json_response({"message": f"no such container: {identity}"}, status=404)
        return web.json_response(found[0].inspected())


@asynccontextmanager
async def engine_api(path: Path, *containers: Contained) -> AsyncIterator[EngineApi]:
    """Serve it at that path while the context lasts."""
    api = EngineApi(path, list(containers))
    application = web.Application()
    application.router.add_route("*", "/{anything:.*}", api.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(path)).start()
        yield api
    finally:
        await runner.cleanup()
