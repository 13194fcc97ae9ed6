"""Which service is a request for, and what goes wrong on the way?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.faults import Fault, Kind
from agent.sandbox.garbage import spoil
from agent.sandbox.refusals import NO_KEY, Refusal, idp_unreachable, invalid_token, throttled
from agent.sandbox.sts.service import Sts, failure, success
from agent.sandbox.wire import Reply, Wire


class Service(Protocol):
    """A service other than STS and S3."""

    def concerns(self, wire: Wire) -> bool:
        """Whether a request is for it: by its path, or by the headers that only its clients send."""
        ...

    async def answer(self, wire: Wire, request_id: str) -> Reply | None:
        """Answer it; refusals are answers too. None means to hang up without a word."""
        ...


class Store(Protocol):
    """What S3 is to the front."""

    def answer(self, wire: Wire, request_id: str) -> Reply:
        """Answer a request for S3; refusals are answers too."""
        ...


@dataclass(frozen=True, slots=True)
class Front:
    """One endpoint for all services, told apart as their clients' requests allow."""

    cloud: Cloud
    sts: Sts
    store: Store
    services: Sequence[Service] = ()

    async def answer(self, wire: Wire) -> Reply | None:
        """Answer a request; None means to hang up without a word."""
        request_id = self.cloud.request_id()
        for service in self.services:
            if service.concerns(wire):
                return await service.answer(wire, request_id)
        if not is_for_sts(wire):
            return self.store.answer(wire, request_id)
        return await self._by_sts(wire, request_id)

    async def _by_sts(self, wire: Wire, request_id: str) -> Reply | None:
        arguments = wire.arguments()
        role = arguments.get("RoleArn", "")
        faults = self.cloud.faults.strike(role, _BEFORE)
        for fault in faults:
            if fault.kind == "slow":
                await self.cloud.clock.sleep(fault.seconds)
        action = arguments.get("Action", "")
        json = "application/json" in wire.headers.get("accept", "")
        code, why = "Success", ""
        try:
            _refuse(faults)
            result = await self.sts.answer(action, arguments, wire)
            reply: Reply | None = success(action, result, request_id, json=json)
        except Refusal as refusal:
            code, why = refusal.code, str(refusal.__cause__ or "")
            reply = failure(refusal, request_id, json=json)
        for fault in faults:
            if fault.kind == "drop":
                code, reply = "(dropped)", None
            elif fault.kind == "garbage" and reply is not None:
                code, reply = f"(garbage: {fault.garbage})", spoil(reply, fault.garbage)
        status = reply.status if reply else 0
        name = arguments.get("RoleSessionName", "")
        self.cloud.note(Call(action, code, status, role, name, self.cloud.now(), why))
        if reply is None:
            return None
        return Reply(reply.status, reply.body, reply.media_type, {"x-amzn-requestid": request_id})


_BEFORE: Final[tuple[Kind, ...]] = (
    "slow",
    "status",
    "throttled",
    "drop",
    "garbage",
    "idp_communication",
    "verification_key",
)


def _refuse(faults: tuple[Fault, ...]) -> None:
    """Refuse as the first fault that refuses says."""
    for fault in faults:
        match fault.kind:
            case "status" if fault.code is not None:
                raise Refusal(fault.code, fault.message, fault.status)
            case "status" if fault.status == 503:
                raise Refusal(
                    "ServiceUnavailable", "The request has failed due to a temporary failure of the server.", 503
                )
            case "status" if fault.status >= 500:
                raise Refusal(
                    "InternalFailure", "The request processing has failed because of an unknown error.", fault.status
                )
            case "status":
                raise Refusal("RequestRefused", "The sandbox was told to answer so.", fault.status)
            case "throttled":
                raise throttled()
            case "idp_communication":
                raise idp_unreachable()
            case "verification_key":
                raise invalid_token(NO_KEY)


def is_for_sts(wire: Wire) -> bool:
    """STS speaks the query protocol at /: a form, or an Action in the query; all else is for S3."""
    if wire.path not in ("", "/"):
        return False
    if wire.method == "POST":
        return True
    return wire.method == "GET" and any(name == "Action" for name, _ in wire.query_pairs)
