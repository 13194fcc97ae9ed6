"""How do AWS SDKs get credentials from us? As a container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI)."""

import re
import socket
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from agent.clock import Clock
from agent.credentials import Credentials
from agent.events import Report
from agent.outputs import documents
from agent.vending import Vendor
from agent.web import Answered, Asked, listener
from agent.web.connections import Limits
from agent.web.problems import NOT_FOUND, Refusal, method_not_allowed
from agent.web.sockets import Address
from agent.web.stats import RequestStats

#: What metrics call this output.
NAME = "ecs"

#: Literally so: an encoded letter, a doubled slash or a dot segment makes it another path, and there is none.
_PATH = re.compile(r"/v1/credentials(?:/([A-Za-z0-9][A-Za-z0-9._-]{0,127}))?")


@asynccontextmanager
async def serving_credentials(
    vendor: Vendor,
    clock: Clock,
    roles: Collection[str],
    where: Address | socket.socket,
    stats: RequestStats,
    on_bug: Callable[[BaseException], None],
    report: Report,
    limits: Limits = Limits(),  # noqa: B008 - a frozen value
) -> AsyncIterator[Address]:
    """Serve credentials while the context lasts; yields the address that it listens on. Raises ListenerUnavailable.

    `clock` gives the Date of answers: the clock of whoever issued the credentials. `roles` are those configured.
    """
    output = EcsOutput(vendor, roles)
    async with listener.answering(
        output, where, clock=clock, stats=stats, on_bug=on_bug, report=report, limits=limits
    ) as address:
        yield address


class EcsOutput:
    """`GET /v1/credentials/{role}`, and `GET /v1/credentials` for callers that are granted one role."""

    def __init__(self, vendor: Vendor, roles: Collection[str]) -> None:
        """Render nothing yet."""
        self._vendor = vendor
        self._roles = frozenset(roles)
        self._rendered: WeakKeyDictionary[Credentials, Answered] = WeakKeyDictionary()

    @property
    def name(self) -> str:
        """What metrics call it."""
        return NAME

    def role(self, path: str) -> str:
        """The configured role that a path names, or ""."""
        match = _PATH.fullmatch(path)
        return match[1] if match is not None and match[1] in self._roles else ""

    async def answer(self, asked: Asked) -> Answered:
        """The credentials asked for, after waiting at most 0.7 s. Raises Refusal, and what Vendor raises."""
        match = _PATH.fullmatch(asked.path)
        if match is None:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        role = match[1] or self._vendor.sole_role(asked.peer)
        return self._document(role, await self._vendor.vend(asked.peer, role))

    def ready(self, asked: Asked) -> Answered | None:
        """The credentials asked for by name, if they are held and this caller may have them."""
        match = _PATH.fullmatch(asked.path)
        if match is None or match[1] not in self._roles or asked.method != "GET":
            return None
        held = self._vendor.vend_held(asked.peer, match[1])
        return None if held is None else self._document(match[1], held)

    def _document(self, role: str, credentials: Credentials) -> Answered:
        """Rendered once for each set, not for each request; forgotten when the session forgets the set."""
        known = self._rendered.get(credentials)
        if known is None:
            known = self._rendered[credentials] = Answered(role, documents.ecs(credentials))
        return known
