"""How does somebody sign in for a machine that has no browser?

The device authorization grant (RFC 8628): a code for people to enter elsewhere, and a code for the machine to ask
with, not more often than it was told to.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.identity_center.refusals import oidc_refusal
from agent.sandbox.identity_center.registration import DEVICE_CODE, Client, Clients
from agent.sandbox.identity_center.sessions import Session, Sessions

#: Consonants alone, so that no code is a word (RFC 8628, 6.1).
_LETTERS: Final = "BCDFGHJKLMNPQRSTVWXZ"
#: By how much the interval grows each time that a device asks too soon (RFC 8628, 3.5).
_SLOWER: Final = timedelta(seconds=5)
#: What a device may be early by: it counts from when the answer came, by a clock of its own.
_GRACE: Final = timedelta(milliseconds=100)
_MOST: Final = 10_000

State = Literal["pending", "allowed", "denied", "used"]


@dataclass(frozen=True, slots=True)
class Device:
    """A machine that waits for somebody to sign in.

    Attributes:
        code: what the machine asks with.
        user_code: what people enter: BCDF-GHJK.
        until: how long both are good.
        interval: how long the machine is to wait between two questions.
        asked_at: when it last asked; None if it has not.
        session: with `allowed` and `used`, the sign-in.
    """

    code: str
    user_code: str
    client: Client
    until: datetime
    interval: timedelta
    state: State = "pending"
    asked_at: datetime | None = None
    session: Session | None = None


class Devices:
    """All machines that wait."""

    def __init__(self, cloud: Cloud, clients: Clients, sessions: Sessions) -> None:
        self._cloud = cloud
        self._clients = clients
        self._sessions = sessions
        self._devices: dict[str, Device] = {}

    def start(self, center: IdentityCenter, asked: Asked, page: str) -> Mapping[str, object]:
        """Draw codes: the members of StartDeviceAuthorization's answer. `page` is where people enter theirs.

        Raises Refusal.
        """
        client = self._clients.authenticate(asked)
        if not center.is_start_url(asked.text("startUrl")):
            raise oidc_refusal("InvalidRequestException", "there is no portal of this start URL")
        if DEVICE_CODE not in client.grants:
            raise oidc_refusal("UnauthorizedClientException", "the client is not registered for device codes")
        rng = self._cloud.rng
        letters = "".join(rng.choices(_LETTERS, k=8))
        device = Device(
            base64.urlsafe_b64encode(rng.randbytes(96)).decode(),
            f"{letters[:4]}-{letters[4:]}",
            client,
            self._cloud.now() + center.device_code,
            center.interval,
        )
        self._devices[device.code] = device
        if len(self._devices) > _MOST:
            del self._devices[next(iter(self._devices))]
        return {
            "deviceCode": device.code,
            "userCode": device.user_code,
            "verificationUri": page,
            "verificationUriComplete": f"{page}?user_code={device.user_code}",
            "expiresIn": int(center.device_code.total_seconds()),
            "interval": int(center.interval.total_seconds()),
        }

    def by_user_code(self, entered: str) -> Device | None:
        """The machine whose code somebody has entered, in whatever case and with whatever between the letters."""
        letters = "".join(one for one in entered.upper() if one in _LETTERS)
        waiting = (one for one in self.waiting() if one.user_code.replace("-", "") == letters)
        return next(waiting, None)

    def waiting(self) -> tuple[Device, ...]:
        """The machines that nobody has decided about, oldest first."""
        now = self._cloud.now()
        return tuple(one for one in self._devices.values() if one.state == "pending" and now < one.until)

    def allow(self, center: IdentityCenter, device: Device, user: str) -> None:
        """Sign somebody in."""
        session = self._sessions.begin(center, user, device.client)
        self._devices[device.code] = replace(device, state="allowed", session=session)

    def deny(self, device: Device) -> None:
        """Do not sign anybody in."""
        self._devices[device.code] = replace(device, state="denied")

    def redeem(self, client: Client, code: str) -> Session:
        """The sign-in that the machine has waited for; once. Raises Refusal, most often for it is not there yet."""
        device = self._devices.get(code)
        if device is None or device.client.id != client.id:
            raise oidc_refusal("InvalidGrantException", "this client has no such device code")
        if device.state == "used":
            raise oidc_refusal("InvalidGrantException", "the device code was used before")
        now = self._cloud.now()
        if now >= device.until:
            raise oidc_refusal("ExpiredTokenException", "the device code has expired")
        if device.state == "denied":
            raise oidc_refusal("AccessDeniedException", "somebody denied it")
        too_soon = device.asked_at is not None and now - device.asked_at < device.interval - _GRACE
        if device.state == "pending" and too_soon:
            self._devices[code] = replace(device, asked_at=now, interval=device.interval + _SLOWER)
            raise oidc_refusal("SlowDownException", f"{device.interval.total_seconds():.0f} s were not over")
        if device.session is None:
            self._devices[code] = replace(device, asked_at=now)
            raise oidc_refusal("AuthorizationPendingException", "nobody has decided yet")
        self._devices[code] = replace(device, state="used")
        return device.session

    def expire(self) -> int:
        """Let every code that is not used expire now; gives how many did."""
        long_ago = self._cloud.now() - timedelta(seconds=1)
        live = [one for one in self._devices.values() if one.state != "used"]
        self._devices |= {one.code: replace(one, until=long_ago) for one in live}
        return len(live)
