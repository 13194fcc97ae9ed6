"""Which relying party is a request for?

They share the sandbox's one endpoint, each below a path of its own: `/apis/{api id}`, `/gcp`, `/azure` and `/vault`. A
world without any has none of these paths.
"""

from urllib.parse import unquote

from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.relying_parties.answers import answer
from agent.sandbox.relying_parties.apigateway import ApiGateway
from agent.sandbox.relying_parties.azure import Entra
from agent.sandbox.relying_parties.gcp import GoogleSts
from agent.sandbox.relying_parties.vault import Vault
from agent.sandbox.sts.issuer import Fetches
from agent.sandbox.wire import Reply, Wire


class RelyingParties:
    """All who believe tokens, beside AWS STS. Each keeps what keys it has read, by the sandbox's clock."""

    def __init__(self, cloud: Cloud, fetcher: Fetches) -> None:
        """Read issuers through `fetcher`."""
        self._cloud = cloud
        self._apis = ApiGateway(cloud, fetcher)
        self._google = GoogleSts(cloud, fetcher)
        self._entra = Entra(cloud, fetcher)
        self._vault = Vault(cloud, fetcher)

    def concerns(self, wire: Wire) -> bool:
        """Whether the first part of the path names one of them, and the world has such a one."""
        there = self._cloud.world.relying_parties
        known = {"apis": there.apis, "gcp": there.providers, "azure": there.applications, "vault": there.vault}
        return bool(known.get(wire.path.split("/")[1] if wire.path.startswith("/") else ""))

    async def answer(self, wire: Wire, request_id: str) -> Reply:
        """Answer a request, and note it among the calls."""
        _, who, rest = wire.path.split("/", 2) if wire.path.count("/") > 1 else (*wire.path.split("/"), "")
        path = f"/{rest}"
        match who:
            case "apis":
                reply = await self._api(path, wire, request_id)
            case "gcp":
                reply = await self._google.answer(path, wire)
            case "azure":
                reply = await self._entra.answer(path, wire, request_id)
            case _:
                reply = await self._vault.answer(path, wire, request_id)
        self._cloud.note(
            Call(f"{who}:{wire.method} {path}", str(reply.status), reply.status, "", "", self._cloud.now())
        )
        return reply

    async def _api(self, path: str, wire: Wire, request_id: str) -> Reply:
        api_id, _, rest = path.removeprefix("/").partition("/")
        for api in self._cloud.world.relying_parties.apis:
            if api.api_id == unquote(api_id):
                return await self._apis.answer(api, f"/{rest}", wire, request_id)
        return answer(404, {"message": "Not Found"})
