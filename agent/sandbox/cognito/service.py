"""Which requests are for Cognito, and what becomes of them?

Both services, and the documents that user pools show to the world: those Cognito serves where it serves its API.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.cognito.identity_pools import IdentityPools
from agent.sandbox.cognito.issuing import discovery, publish
from agent.sandbox.cognito.speech import failure, operation_of, spoken, success
from agent.sandbox.cognito.user_pools import UserPools
from agent.sandbox.documents import Value
from agent.sandbox.faults import Fault, Kind
from agent.sandbox.garbage import spoil
from agent.sandbox.refusals import Refusal
from agent.sandbox.sts.issuer import Issuers
from agent.sandbox.wire import Reply, Wire

USER_POOLS: Final = "AWSCognitoIdentityProviderService"
IDENTITY_POOLS: Final = "AWSCognitoIdentityService"
_DISCOVERY: Final = "/.well-known/openid-configuration"
_JWKS: Final = "/.well-known/jwks.json"


class Cognito:
    """The room of Cognito; a Service of the sandbox.

    Attributes:
        users: the user pools, with what is going on there.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.users = UserPools(cloud)
        self._identities: IdentityPools | None = None

    def trusting(self, issuers: Issuers) -> "Cognito":
        """The same, now that it is known where the keys of other issuers come from."""
        self._identities = IdentityPools(self._cloud, self.users, issuers)
        return self

    def sites(self, directory: Path) -> Mapping[str, Path]:
        """Write the documents of every pool, and tell which directory is the site of which issuer."""
        found = {}
        for pool in self._cloud.world.user_pools:
            found[pool.issuer] = directory / "user-pools" / pool.pool_id
            publish(pool, self.users.keys(pool), found[pool.issuer])
        return found

    def concerns(self, wire: Wire) -> bool:
        """Whether a request is for one of the two services, or for a document of a pool."""
        if any(operation_of(wire, service) is not None for service in (USER_POOLS, IDENTITY_POOLS)):
            return True
        return wire.method in ("GET", "HEAD") and self._document(wire.path) is not None

    async def answer(self, wire: Wire, request_id: str) -> Reply | None:
        """Answer a request; refusals are answers too."""
        document = self._document(wire.path)
        if wire.method in ("GET", "HEAD") and document is not None:
            headers = {"Cache-Control": "public, max-age=86400"}
            return Reply(200, json.dumps(document).encode(), "application/json", headers)
        target = wire.headers.get("x-amz-target", "").partition(".")[2]
        code, why = "Success", ""
        faults = self._cloud.faults.strike(target, _BEFORE)
        for fault in faults:
            if fault.kind == "slow":
                await self._cloud.clock.sleep(fault.seconds)
        try:
            _refuse(faults)
            reply = success(await self._perform(wire), request_id)
            why = self.users.told
        except Refusal as refusal:
            code, why = refusal.code, str(refusal.__cause__ or "")
            reply = failure(refusal, request_id)
        dropped = any(fault.kind == "drop" for fault in faults)
        for fault in faults:
            if fault.kind == "garbage":
                reply = spoil(reply, fault.garbage)
        status = 0 if dropped else reply.status
        self._cloud.note(Call(target, "(dropped)" if dropped else code, status, "", "", self._cloud.now(), why))
        return None if dropped else reply

    async def _perform(self, wire: Wire) -> Value:
        operation = operation_of(wire, USER_POOLS)
        if operation is not None:
            return self.users.perform(spoken(wire, operation))
        operation = operation_of(wire, IDENTITY_POOLS)
        assert operation is not None  # or it would not concern us
        assert self._identities is not None  # or we would not be open
        return await self._identities.perform(spoken(wire, operation))

    def _document(self, path: str) -> object:
        for pool in self._cloud.world.user_pools:
            if path == f"/{pool.pool_id}{_DISCOVERY}":
                return discovery(pool)
            if path == f"/{pool.pool_id}{_JWKS}":
                return self.users.keys(pool).jwks
        return None


_BEFORE: Final[tuple[Kind, ...]] = ("slow", "status", "throttled", "drop", "garbage")


def _refuse(faults: tuple[Fault, ...]) -> None:
    """Refuse as the first fault that refuses says, in Cognito's words."""
    for fault in faults:
        if fault.kind == "throttled":
            raise Refusal("TooManyRequestsException", "Rate exceeded")
        if fault.kind == "status":
            raise Refusal(fault.code or "InternalErrorException", fault.message, fault.status)
