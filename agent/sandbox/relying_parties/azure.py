"""What does Microsoft Entra ID give for a token?

Workload identity federation: a client credentials request whose client_assertion is a token of another issuer, see
https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential.
Codes are Microsoft's own wherever people have shown them in public.
"""

import base64
import uuid
from collections.abc import Sequence
from typing import Final

from agent.sandbox.cloud import Cloud
from agent.sandbox.relying_parties.answers import answer, members
from agent.sandbox.relying_parties.jws import Malformed, Shown, signed_by, take_apart
from agent.sandbox.relying_parties.keys import TWO_HOURS, KeyCache
from agent.sandbox.sts.fetch import Unreachable
from agent.sandbox.sts.issuer import Fetches
from agent.sandbox.trusting.world import Application, FederatedCredential
from agent.sandbox.wire import Reply, Wire

_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFETIME: Final = 3599
_CHECK: Final = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. "
    "https://learn.microsoft.com/entra/workload-id/workload-identity-federation"
)


class Refused(Exception):
    """An error answer of Entra ID."""

    def __init__(self, error: str, code: int, text: str) -> None:
        """Refuse by this error of OAuth 2.0, and this number after AADSTS."""
        super().__init__(text)
        self.error = error
        self.code = code


class Entra:
    """`/azure/{tenant}/oauth2/v2.0/token` is `https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token`."""

    def __init__(self, cloud: Cloud, fetcher: Fetches) -> None:
        self._cloud = cloud
        self._keys = KeyCache(fetcher, cloud.clock, kept=TWO_HOURS, refetches=False)

    async def answer(self, path: str, wire: Wire, request_id: str) -> Reply:
        """Answer a request."""
        tenant, _, rest = path.removeprefix("/").partition("/")
        if wire.method != "POST" or rest != "oauth2/v2.0/token" or not wire.is_form:
            return answer(404, {"error": "not_found"})
        try:
            await self._identify(tenant, members(wire))
        except Refused as refused:
            return self._refusal(refused, request_id)
        value = base64.urlsafe_b64encode(self._cloud.rng.randbytes(480)).decode()
        times = {"expires_in": _LIFETIME, "ext_expires_in": _LIFETIME}
        return answer(200, {"token_type": "Bearer", **times, "access_token": value})

    def _refusal(self, refused: Refused, request_id: str) -> Reply:
        now = self._cloud.now().strftime("%Y-%m-%d %H:%M:%SZ")
        correlation = str(uuid.UUID(int=self._cloud.rng.getrandbits(128), version=4))
        told = f"AADSTS{refused.code}: {refused} Trace ID: {request_id} Correlation ID: {correlation}"
        return answer(
            401 if refused.error == "invalid_client" else 400,
            {
                "error": refused.error,
                "error_description": f"{told} Timestamp: {now}",
                "error_codes": [refused.code],
                "timestamp": now,
                "trace_id": request_id,
                "correlation_id": correlation,
                "error_uri": f"https://login.microsoftonline.com/error?code={refused.code}",
            },
        )

    async def _identify(self, tenant: str, asked: dict[str, str]) -> None:
        """Believe the assertion, or not. Raises Refused."""
        for name in ("grant_type", "client_id", "scope", "client_assertion_type", "client_assertion"):
            if not asked.get(name):
                said = f"The request body must contain the following parameter: '{name}'."
                raise Refused("invalid_request", 900144, said)
        if asked["grant_type"] != "client_credentials":
            raise Refused("unsupported_grant_type", 70003, f"The grant type '{asked['grant_type']}' is not supported.")
        if asked["client_assertion_type"] != _ASSERTION:
            raise Refused("invalid_request", 900023, "The client assertion type is not supported.")
        if not asked["scope"].endswith("/.default"):
            said = (
                f"The provided value for the input parameter 'scope' is not valid. The scope {asked['scope']} is not "
            )
            raise Refused("invalid_scope", 1002012, f"{said}valid: client credential flows must end with /.default.")
        application = self._application(tenant, asked["client_id"])
        try:
            shown = take_apart(asked["client_assertion"])
            if shown.algorithm != "RS256":
                said = "Invalid JWT token. Unsupported key for the signing algorithm."
                raise Refused("invalid_request", 5002730, said)
            credential = _matching(shown, application.credentials)
            await self._check_signature(credential, shown)
            self._check_times(shown)
        except Malformed as malformed:
            raise Refused("invalid_request", 50027, "JWT token is invalid or malformed.") from malformed

    def _application(self, tenant: str, client_id: str) -> Application:
        applications = self._cloud.world.relying_parties.applications
        if all(one.tenant != tenant for one in applications):
            raise Refused("invalid_request", 90002, f"Tenant '{tenant}' not found.")
        for application in applications:
            if (application.tenant, application.client_id) == (tenant, client_id):
                return application
        said = f"Application with identifier '{client_id}' was not found in the directory '{tenant}'."
        raise Refused("unauthorized_client", 700016, said)

    async def _check_signature(self, credential: FederatedCredential, shown: Shown) -> None:
        try:
            keys = await self._keys.keys(credential.issuer, shown.kid)
        except Unreachable as unreachable:
            said = f"Unable to retrieve the keys of the issuer '{credential.issuer}'."
            raise Refused("invalid_request", 50166, said) from unreachable
        if not keys or not signed_by(shown, keys):
            said = "Client assertion failed signature validation. The key was not found, or did not sign it."
            raise Refused("invalid_client", 700027, said)

    def _check_times(self, shown: Shown) -> None:
        """Raises Refused or Malformed."""
        now = int(self._cloud.now().timestamp())
        expires, issued, begins = shown.moment("exp"), shown.moment("iat"), shown.moment("nbf")
        if expires is None or expires <= now or (begins or 0) > now or (issued or 0) > now:
            said = f"Client assertion is not within its valid time range. Current time: {now}, assertion valid from "
            raise Refused("invalid_client", 700024, f"{said}{begins}, expiry time of assertion {expires}.")


def _matching(shown: Shown, credentials: Sequence[FederatedCredential]) -> FederatedCredential:
    """The credential whose issuer, subject and audience are the assertion's, byte for byte. Raises Refused."""
    if not credentials:
        said = f"No matching federated identity record found for presented assertion. {_CHECK}"
        raise Refused("invalid_request", 70021, said)
    issued = [one for one in credentials if one.issuer == shown.text("iss")]
    spoken = [one for one in issued if one.subject == shown.text("sub")]
    meant = [one for one in spoken if one.audiences == shown.audiences]
    if meant:
        return meant[0]
    what, code, value = (
        ("audience", 700212, " ".join(shown.audiences))
        if spoken
        else ("subject", 700213, shown.text("sub"))
        if issued
        else ("issuer", 700211, shown.text("iss"))
    )
    said = f"No matching federated identity record found for presented assertion {what} '{value}'. {_CHECK}"
    raise Refused("invalid_client", code, said)
