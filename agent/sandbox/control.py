"""How is a running sandbox looked at and told what to do?

A JSON endpoint on a listener of its own. It has no password: the sandbox listens where its user put it, on the
loopback unless told otherwise, and holds nothing that is worth stealing.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict

from aiohttp import web

from agent.errors import ConfigurationError
from agent.sandbox.cloud import Cloud
from agent.sandbox.documents import iso
from agent.sandbox.faults import Fault, fault_as_json, fault_from_json
from agent.sandbox.world_json import world_as_json, world_from_json

Answers = Mapping[str, Mapping[str, Callable[[object], object]]]


class Control:
    """GET, PUT, POST and DELETE on what the sandbox is made of.

    `more` is what single services have to tell or be told: path and method to what is done with the JSON of the body.
    """

    def __init__(self, cloud: Cloud, more: Answers | None = None) -> None:
        self._cloud = cloud
        self._answers: Answers = {
            "/faults": {
                "GET": self._faults,
                "PUT": self._set_faults,
                "POST": self._add_faults,
                "DELETE": self._clear_faults,
            },
            "/requests": {"GET": self._requests, "DELETE": self._clear_requests},
            "/world": {"GET": self._world, "PUT": self._set_world},
            **(more or {}),
        }

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, errors as JSON with `error` and `hint`."""
        if request.path not in self._answers:
            return _error(404, f"there is no {request.path} here", f"There are: {', '.join(self._answers)}.")
        answers = self._answers[request.path]
        if request.method not in answers:
            return _error(405, f"{request.path} cannot be {request.method}", f"It can be: {', '.join(answers)}.")
        try:
            document = await _document(request) if request.method in ("PUT", "POST") else None
            return web.json_response(answers[request.method](document))
        except ConfigurationError as mistake:
            return _error(400, mistake.what, mistake.hint)

    def _faults(self, _: object = None) -> object:
        return [fault_as_json(one) for one in self._cloud.faults.current()]

    def _set_faults(self, document: object) -> object:
        self._cloud.faults.replace(_read_faults(document))
        return self._faults()

    def _add_faults(self, document: object) -> object:
        self._cloud.faults.replace([*self._cloud.faults.current(), *_read_faults(document)])
        return self._faults()

    def _clear_faults(self, _: object) -> object:
        self._cloud.faults.clear()
        return self._faults()

    def _requests(self, _: object = None) -> object:
        return [asdict(one) | {"at": iso(one.at)} for one in self._cloud.calls]

    def _clear_requests(self, _: object) -> object:
        self._cloud.calls.clear()
        return self._requests()

    def _world(self, _: object = None) -> object:
        return world_as_json(self._cloud.world)

    def _set_world(self, document: object) -> object:
        self._cloud.world = world_from_json(document)
        return self._world()


def _read_faults(document: object) -> list[Fault]:
    """One fault, or a list of them. Raises ConfigurationError."""
    return [fault_from_json(one) for one in (document if isinstance(document, list) else [document])]


async def _document(request: web.Request) -> object:
    """The JSON in the body. Raises ConfigurationError."""
    try:
        return json.loads(await request.read())
    except (ValueError, RecursionError) as failure:
        raise ConfigurationError("the body is not JSON", hint="send a JSON document") from failure


def _error(status: int, what: str, hint: str) -> web.Response:
    return web.json_response({"error": what, "hint": hint}, status=status)
