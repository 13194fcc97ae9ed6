"""How is an Identity Center told to let things end, or to decide for somebody?

What the control endpoint does at /identity-center…; the same can be had in Python, from the running sandbox.
"""

from collections.abc import Callable, Mapping

from agent.errors import ConfigurationError
from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.control import Answers
from agent.sandbox.documents import iso
from agent.sandbox.identity_center.service import IdentityCenterService
from agent.sandbox.identity_center.sessions import Session
from agent.sandbox.members import members


class IdentityCenterControl:
    """What may be asked and told. Every method raises ConfigurationError where what is told makes no sense."""

    def __init__(self, cloud: Cloud, service: IdentityCenterService) -> None:
        self._cloud = cloud
        self._service = service

    @property
    def answers(self) -> Answers:
        """Path and method to what is done, with the JSON of the body, and answered as JSON."""
        return {
            "/identity-center": {"GET": lambda _: self.state()},
            "/identity-center/revoke": {"POST": self._revoke},
            "/identity-center/expire": {"POST": self._expire},
            "/identity-center/decide": {"POST": self._decide},
        }

    def state(self) -> Mapping[str, object]:
        """Who is signed in, and which devices wait; without secrets."""
        center = self._center()
        return {
            "start_url": center.start_url,
            "region": center.region,
            "sessions": [
                {
                    "user": one.user,
                    "client_id": one.client_id,
                    "began_at": iso(one.began_at),
                    "ends_at": iso(one.ends_at),
                }
                for one in self._service.sessions.live()
            ],
            "devices": [
                {"user_code": one.user_code, "client_name": one.client.name, "until": iso(one.until)}
                for one in self._service.devices.waiting()
            ],
        }

    def revoke(self, what: str = "sessions", user: str | None = None) -> int:
        """Take back what people were given: "sessions", "refresh_tokens" or "access_tokens"; of one user, or of all.

        Gives of how many sign-ins.
        """
        sessions = self._service.sessions
        ways: Mapping[str, Callable[[Session], None]] = {
            "sessions": sessions.end,
            "refresh_tokens": sessions.revoke_refresh_tokens,
            "access_tokens": sessions.revoke_access_tokens,
        }
        if what not in ways:
            raise ConfigurationError(f"{what!r} cannot be revoked", hint=f"there are: {', '.join(ways)}")
        meant = [one for one in sessions.live() if user in (None, one.user)]
        for session in meant:
            ways[what](session)
        return len(meant)

    def expire(self, what: str) -> int:
        """Let what is not used yet expire now: "codes", "device_codes" or "registrations". Gives how many."""
        ways: Mapping[str, Callable[[], int]] = {
            "codes": self._service.authorizations.expire,
            "device_codes": self._service.devices.expire,
            "registrations": self._service.clients.expire,
        }
        if what not in ways:
            raise ConfigurationError(f"{what!r} cannot expire", hint=f"there are: {', '.join(ways)}")
        return ways[what]()

    def decide(self, user_code: str, user: str, *, allow: bool = True) -> None:
        """Decide about a device as somebody would on its page."""
        center = self._center()
        device = self._service.devices.by_user_code(user_code)
        if device is None:
            raise ConfigurationError(f"no device waits for {user_code!r}", hint="see GET /identity-center")
        if center.user(user) is None:
            raise ConfigurationError(f"there is no user {user!r}", hint="see GET /world")
        if allow:
            self._service.devices.allow(center, device, user)
        else:
            self._service.devices.deny(device)

    def _center(self) -> IdentityCenter:
        center = self._cloud.world.identity_center
        if center is None:
            raise ConfigurationError("this world has no Identity Center", hint="give it one with PUT /world")
        return center

    def _revoke(self, document: object) -> object:
        fields = members(document, {"what": str, "user": str}, "revocation")
        return {"revoked": self.revoke(fields.get("what", "sessions"), fields.get("user"))}

    def _expire(self, document: object) -> object:
        fields = members(document, {"what": str}, "expiry", "what")
        return {"expired": self.expire(fields["what"])}

    def _decide(self, document: object) -> object:
        known = {"user_code": str, "user": str, "allow": bool}
        fields = members(document, known, "decision", "user_code", "user")
        self.decide(fields["user_code"], fields["user"], allow=fields.get("allow", True))
        return self.state()
