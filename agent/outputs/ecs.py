"""How do AWS SDKs get credentials from us? As a container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI)."""

import re
from collections.abc import Collection
from weakref import WeakKeyDictionary

from agent.credentials import Credentials
from agent.outputs import documents
from agent.vending import RoleVendor
from agent.web import Answered, Asked, Label
from agent.web.problems import NOT_FOUND, Refusal, method_not_allowed

#: What metrics call this output.
NAME = "ecs"

#: Literally so: an encoded letter, a doubled slash or a dot segment makes it another path, and there is none.
_PATH = re.compile(r"/v1/credentials(?:/([A-Za-z0-9][A-Za-z0-9._-]{0,127}))?")


class EcsOutput:
    """`GET /v1/credentials/{role}`, and `GET /v1/credentials` for callers that are granted one role."""

    def __init__(self, vendor: RoleVendor, roles: Collection[str]) -> None:
        """Render nothing yet."""
        self._vendor = vendor
        self._roles = frozenset(roles)
        self._rendered: WeakKeyDictionary[Credentials, Answered] = WeakKeyDictionary()

    def label(self, path: str) -> Label:
        """What metrics call requests for a path."""
        match = _PATH.fullmatch(path)
        return Label(NAME, match[1] if match is not None and match[1] in self._roles else "")

    async def answer(self, asked: Asked) -> Answered:
        """The credentials asked for, after waiting at most 0.7 s. Raises Refusal, and what Vendor raises."""
        match = _PATH.fullmatch(asked.path)
        if match is None:
            raise Refusal(NOT_FOUND)
        if asked.method != "GET":
            raise Refusal(method_not_allowed("GET"))
        return self._document(*await self._vendor.vend(asked.peer, match[1] or ""))

    def ready(self, asked: Asked) -> Answered | None:
        """The credentials asked for, if they are held and this caller may have them."""
        match = _PATH.fullmatch(asked.path)
        if match is None or asked.method != "GET":
            return None
        held = self._vendor.vend_held(asked.peer, match[1] or "")
        return None if held is None else self._document(*held)

    def _document(self, role: str, credentials: Credentials) -> Answered:
        """Rendered once for each set, not for each request; forgotten when the session forgets the set."""
        known = self._rendered.get(credentials)
        if known is None:
            known = self._rendered[credentials] = Answered(role, documents.ecs(credentials))
        return known
