"""What does CreateToken give, and for what?"""

from collections.abc import Mapping

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.identity_center.authorization import Authorizations
from agent.sandbox.identity_center.device import Devices
from agent.sandbox.identity_center.refusals import oidc_refusal
from agent.sandbox.identity_center.registration import AUTHORIZATION_CODE, DEVICE_CODE, GRANTS, REFRESH_TOKEN, Clients
from agent.sandbox.identity_center.sessions import Sessions


class Tokens:
    """The exchange of codes and refresh tokens for tokens."""

    def __init__(self, clients: Clients, sessions: Sessions, authorizations: Authorizations, devices: Devices) -> None:
        self._clients = clients
        self._sessions = sessions
        self._authorizations = authorizations
        self._devices = devices

    def create(self, center: IdentityCenter, asked: Asked) -> Mapping[str, object]:
        """The members of CreateToken's answer. `scope` has no effect, as the model says. Raises Refusal."""
        grant = asked.text("grantType")
        client = self._clients.authenticate(asked)
        if grant not in GRANTS:
            raise oidc_refusal("UnsupportedGrantTypeException", "there is no such grant type")
        if grant not in client.grants:
            raise oidc_refusal("UnauthorizedClientException", f"the client is not registered for {grant}")
        if grant == REFRESH_TOKEN:
            return self._sessions.renew(center, client, asked.text("refreshToken"))
        if grant == DEVICE_CODE:
            session = self._devices.redeem(client, asked.text("deviceCode"))
        else:
            assert grant == AUTHORIZATION_CODE
            code, redirect, verifier = (asked.text(name) for name in ("code", "redirectUri", "codeVerifier"))
            session = self._authorizations.redeem(client, code, redirect, verifier)
        return self._sessions.give(center, session)
