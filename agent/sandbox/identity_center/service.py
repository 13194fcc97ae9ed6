"""Which request is for Identity Center, and what does it answer?

sso-oidc, the access portal and the pages for people share one address here; AWS has one for each. They are told apart
by their paths. S3 uses no path of these names unless a bucket is called so, and then the request is signed.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Call, Cloud
from agent.sandbox.faults import Fault, Kind
from agent.sandbox.garbage import spoil
from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.identity_center.authorization import Authorizations
from agent.sandbox.identity_center.browser import Browser
from agent.sandbox.identity_center.device import Devices
from agent.sandbox.identity_center.portal import Portal
from agent.sandbox.identity_center.refusals import (
    OIDC_ERRORS,
    PORTAL_ERRORS,
    as_answer,
    oidc_failure,
    oidc_refusal,
    portal_failure,
    portal_refusal,
)
from agent.sandbox.identity_center.registration import Clients
from agent.sandbox.identity_center.sessions import Sessions
from agent.sandbox.identity_center.tokens import Tokens
from agent.sandbox.refusals import Refusal
from agent.sandbox.wire import Reply, Wire

#: Path to method and operation, of sso-oidc and of the portal.
_OIDC: Final = {
    "/client/register": ("POST", "RegisterClient"),
    "/device_authorization": ("POST", "StartDeviceAuthorization"),
    "/token": ("POST", "CreateToken"),
}
_PORTAL: Final = {
    "/assignment/accounts": ("GET", "ListAccounts"),
    "/assignment/roles": ("GET", "ListAccountRoles"),
    "/federation/credentials": ("GET", "GetRoleCredentials"),
    "/logout": ("POST", "Logout"),
}
_PAGES: Final = ("/authorize", "/device")
_STRIKING: Final[tuple[Kind, ...]] = ("slow", "status", "throttled", "drop", "garbage")


class IdentityCenterService:
    """IAM Identity Center, if the world has one.

    Attributes:
        clients, sessions, authorizations, devices: what there is at present, for those who want things to go wrong.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.clients = Clients(cloud)
        self.sessions = Sessions(cloud)
        self.authorizations = Authorizations(cloud, self.clients, self.sessions)
        self.devices = Devices(cloud, self.clients, self.sessions)
        self._tokens = Tokens(self.clients, self.sessions, self.authorizations, self.devices)
        self._portal = Portal(cloud, self.sessions)
        self._browser = Browser(cloud, self.authorizations, self.devices)

    def concerns(self, wire: Wire) -> bool:
        """Whether a request is for it: by its path, and by not being signed."""
        if self._cloud.world.identity_center is None or wire.headers.get("authorization", "").startswith("AWS4-"):
            return False
        return wire.path in _OIDC or wire.path in _PORTAL or wire.path in _PAGES

    async def answer(self, wire: Wire, request_id: str) -> Reply | None:
        """Answer it; refusals are answers too. None means to hang up without a word."""
        center = self._cloud.world.identity_center
        assert center is not None  # or it would not concern us
        if wire.path in _PAGES:
            return self._browser.answer(center, wire)
        is_portal = wire.path in _PORTAL
        method, operation = (_PORTAL if is_portal else _OIDC)[wire.path]
        faults = self._cloud.faults.strike(operation, _STRIKING)
        for fault in faults:
            if fault.kind == "slow":
                await self._cloud.clock.sleep(fault.seconds)
        code, why = "Success", ""
        try:
            _refuse(wire.method == method, faults, is_portal=is_portal)
            reply: Reply | None = as_answer(self._perform(center, operation, wire))
        except Refusal as refusal:
            code, why = refusal.code, str(refusal.__cause__ or "")
            reply = portal_failure(refusal) if is_portal else oidc_failure(refusal)
        for fault in faults:
            if fault.kind == "drop":
                code, reply = "(dropped)", None
            elif fault.kind == "garbage" and reply is not None:
                code, reply = f"(garbage: {fault.garbage})", spoil(reply, fault.garbage)
        self._cloud.note(Call(operation, code, reply.status if reply else 0, "", "", self._cloud.now(), why))
        return reply and replace(reply, headers={**reply.headers, "x-amzn-requestid": request_id})

    def _perform(self, center: IdentityCenter, operation: str, wire: Wire) -> Mapping[str, object]:
        """The members of the answer. Raises Refusal."""
        performs: Mapping[str, Callable[[], Mapping[str, object]]] = {
            "RegisterClient": lambda: self.clients.register(center, Asked(wire.body)),
            "StartDeviceAuthorization": lambda: self.devices.start(center, Asked(wire.body), self._page(wire)),
            "CreateToken": lambda: self._tokens.create(center, Asked(wire.body)),
            "ListAccounts": lambda: self._portal.accounts(center, wire),
            "ListAccountRoles": lambda: self._portal.roles(center, wire),
            "GetRoleCredentials": lambda: self._portal.credentials(center, wire),
            "Logout": lambda: self._portal.logout(wire),
        }
        return performs[operation]()

    def _page(self, wire: Wire) -> str:
        """Where people enter user codes: at the address by which the client knows us."""
        scheme = self._cloud.endpoint_url.partition(":")[0]
        return f"{scheme}://{wire.headers.get('host', '127.0.0.1')}/device"


def _refuse(is_operation: bool, faults: tuple[Fault, ...], *, is_portal: bool) -> None:  # noqa: FBT001 - as computed
    """Refuse what is no operation; else as the first fault that refuses says. Raises Refusal."""
    if not is_operation:
        raise Refusal("UnknownOperationException", "", 404)
    known, refusal = (PORTAL_ERRORS, portal_refusal) if is_portal else (OIDC_ERRORS, oidc_refusal)
    for fault in faults:
        if fault.kind == "throttled":
            raise refusal("TooManyRequestsException" if is_portal else "SlowDownException")
        if fault.kind == "status":
            code = fault.code or "InternalServerException"
            raise refusal(code) if code in known else Refusal(code, fault.message, fault.status)
