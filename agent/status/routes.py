"""What does the admin listener answer?

Facts for people, probes and Prometheus; never a secret. Whoever can connect may read all of it, which is why it
listens on this machine alone unless told otherwise. A page in a browser can connect, too, under a name of its own that
points here (DNS rebinding); it is told apart by that name.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from ipaddress import ip_address
from typing import Final

from aiohttp import web

from agent.status.document import Json, readiness_document, status_document
from agent.status.page import CONTENT_SECURITY_POLICY, render
from agent.status.snapshot import Overview
from agent.web.peer import host_allowed

#: Gives the content type and the body of the metrics for an Accept header.
Scrape = Callable[[str], Awaitable[tuple[str, bytes]]]

#: The scheduler looks at its clock every 10 s at least; three of those missed, and it is not going to again.
LIVE_WITHIN: Final = timedelta(seconds=30)

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "rolecall",
    "X-Content-Type-Options": "nosniff",
}


def admin_application(
    overview: Overview, scrape: Scrape, scheduler_silent_for: Callable[[], timedelta]
) -> web.Application:
    """The admin listener's application; `scheduler_silent_for` is how long ago the scheduler last looked round."""
    admin = _Admin(overview, scrape, scheduler_silent_for)
    application = web.Application(middlewares=[_own_host, _plain_errors])
    application.on_response_prepare.append(_add_headers)
    application.router.add_get("/", admin.page)
    application.router.add_get("/status.json", admin.status)
    application.router.add_get("/metrics", admin.metrics)
    application.router.add_get("/livez", admin.alive)
    application.router.add_get("/readyz", admin.ready)
    application.router.add_get("/readyz/{role}", admin.role_ready)
    return application


class _Admin:
    """The answers."""

    def __init__(self, overview: Overview, scrape: Scrape, scheduler_silent_for: Callable[[], timedelta]) -> None:
        self._overview = overview
        self._scrape = scrape
        self._scheduler_silent_for = scheduler_silent_for

    async def page(self, _: web.Request) -> web.Response:
        return web.Response(text=render(self._overview.snapshot()), content_type="text/html")

    async def status(self, _: web.Request) -> web.Response:
        return _json(status_document(self._overview.snapshot()))

    async def metrics(self, request: web.Request) -> web.Response:
        content_type, body = await self._scrape(", ".join(request.headers.getall("Accept", [])))
        return web.Response(body=body, headers={"Content-Type": content_type, "Vary": "Accept"})

    async def alive(self, _: web.Request) -> web.Response:
        """That this is answered shows that the loop runs; that the scheduler runs has to be asked."""
        silent = self._scheduler_silent_for()
        alive = silent <= LIVE_WITHIN
        document = {"alive": alive, "scheduler_silent_for_seconds": round(silent.total_seconds(), 3)}
        return _json(document, 200 if alive else 503)

    async def ready(self, _: web.Request) -> web.Response:
        document = readiness_document(self._overview.snapshot().roles)
        return _json(document, 200 if document["ready"] else 503)

    async def role_ready(self, request: web.Request) -> web.Response:
        try:
            role = self._overview.role(request.match_info["role"])
        except KeyError:
            raise web.HTTPNotFound from None
        return _json(
            {"role": role.role, "ready": role.ready, "reason": role.unready or None}, 200 if role.ready else 503
        )


def _json(document: Json, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    body = json.dumps(document).encode() + b"\n"
    return web.Response(body=body, status=status, content_type="application/json", headers=headers)


_Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def _own_host(request: web.Request, handler: _Answer) -> web.StreamResponse:
    """Answer on loopback only what was sent to a literal address. Elsewhere we cannot know by which name we go."""
    local = "" if request.transport is None else request.transport.get_extra_info("sockname")[0]
    hosts = request.headers.getall("Host", [])
    if _is_loopback(local) and not all(host_allowed(host.encode("utf-8", "surrogateescape"), local) for host in hosts):
        message = "The Host header must be the literal address that this listens on."
        return _json({"code": "HostRefused", "message": message}, 403)
    return await handler(request)


def _is_loopback(address: str) -> bool:
    try:
        return ip_address(address).is_loopback
    except ValueError:  # the connection is gone already
        return False


@web.middleware
async def _plain_errors(request: web.Request, handler: _Answer) -> web.StreamResponse:
    """What the router refuses, as JSON like all the rest."""
    try:
        return await handler(request)
    except web.HTTPMethodNotAllowed as refused:
        allow = {"Allow": ", ".join(sorted(refused.allowed_methods))}
        return _json({"code": "MethodNotAllowed", "message": "This can only be read."}, 405, allow)
    except web.HTTPNotFound:
        return _json({"code": "NotFound", "message": "There is nothing of that name here."}, 404)


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
