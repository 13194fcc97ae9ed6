"""How is a running sandbox looked at and told what to do?

A JSON endpoint on a listener of its own. It has no password: the sandbox listens where its user put it, on the
loopback unless told otherwise, and holds nothing that is worth stealing.
"""

import json
from dataclasses import asdict
from typing import Final

from aiohttp import web

from agent.errors import ConfigurationError
from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import iso
from agent.sandbox.faults import fault_as_json, fault_from_json
from agent.sandbox.world_json import world_as_json, world_from_json

_RESOURCES: Final = ("/faults", "/requests", "/world")


class Control:
    """GET, PUT, POST and DELETE on what the sandbox is made of."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, errors as JSON with `error` and `hint`."""
        try:
            match request.method, request.path:
                case _, path if path not in _RESOURCES:
                    return _error(404, f"there is no {path} here", f"There are: {', '.join(_RESOURCES)}.")
                case "GET", "/faults":
                    return self._faults()
                case "PUT" | "POST" as method, "/faults":
                    return await self._set_faults(request, add=method == "POST")
                case "DELETE", "/faults":
                    self._cloud.faults.clear()
                    return self._faults()
                case "GET", "/requests":
                    return self._requests()
                case "DELETE", "/requests":
                    self._cloud.calls.clear()
                    return self._requests()
                case "GET", "/world":
                    return web.json_response(world_as_json(self._cloud.world))
                case "PUT", "/world":
                    self._cloud.world = world_from_json(await _document(request))
                    return web.json_response(world_as_json(self._cloud.world))
                case method, path:
                    return _error(405, f"{path} cannot be {method}", "See the sandbox's documentation.")
        except ConfigurationError as mistake:
            return _error(400, mistake.what, mistake.hint)

    def _faults(self) -> web.Response:
        return web.json_response([fault_as_json(one) for one in self._cloud.faults.current()])

    async def _set_faults(self, request: web.Request, *, add: bool) -> web.Response:
        """PUT replaces what goes wrong, POST adds to it; one fault, or a list of them."""
        document = await _document(request)
        faults = [fault_from_json(one) for one in (document if isinstance(document, list) else [document])]
        self._cloud.faults.replace([*(self._cloud.faults.current() if add else ()), *faults])
        return self._faults()

    def _requests(self) -> web.Response:
        return web.json_response([asdict(one) | {"at": iso(one.at)} for one in self._cloud.calls])


async def _document(request: web.Request) -> object:
    """The JSON in the body. Raises ConfigurationError."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as failure:
        raise ConfigurationError("the body is not JSON", hint="Send a JSON document.") from failure


def _error(status: int, what: str, hint: str) -> web.Response:
    return web.json_response({"error": what, "hint": hint}, status=status)
