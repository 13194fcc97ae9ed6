"""Which programs may ask somebody to sign in?

RegisterClient: anybody may register, for a while; the secret is no secret of a public client, but it has to be right.
"""

import base64
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit

import jwt

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.asked import Asked
from agent.sandbox.identity_center.refusals import oidc_refusal
from agent.secret import Secret

AUTHORIZATION_CODE: Final = "authorization_code"
REFRESH_TOKEN: Final = "refresh_token"  # noqa: S105 - the name of a grant
DEVICE_CODE: Final = "urn:ietf:params:oauth:grant-type:device_code"
GRANTS: Final = (AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE)
#: What a client may do that names no grant: as those do that were written before there were others.
_OF_OLD: Final = (DEVICE_CODE, REFRESH_TOKEN)
_LOOPBACK: Final = ("127.0.0.1", "localhost")
_MOST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Client:
    """A program that has registered.

    Attributes:
        scopes: what it may have; empty for one of the old sort, which gets a session that cannot be renewed.
        grants: in which ways.
        redirect_uris: where an authorization code may be sent.
        expires_at: when its id and secret end.
    """

    id: str
    secret: Secret
    name: str
    scopes: tuple[str, ...]
    grants: tuple[str, ...]
    redirect_uris: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime

    def takes(self, redirect_uri: str) -> bool:
        """Whether a code may be sent there; to any port, where none was registered (RFC 8252, 7.3)."""
        asked = read_redirect(redirect_uri)
        return asked is not None and any(_covers(urlsplit(one), asked) for one in self.redirect_uris)


def _covers(registered: SplitResult, asked: SplitResult) -> bool:
    same = (registered.hostname, registered.path, registered.query) == (asked.hostname, asked.path, asked.query)
    return same and registered.port in (None, asked.port)


def read_redirect(uri: str) -> SplitResult | None:
    """A redirect URI on the loopback; None for one that leads elsewhere, or is written so that readers may differ."""
    if not re.fullmatch(r"http://[a-z0-9.]+(:[0-9]{1,5})?/[!-~]*", uri) or re.search(r"[#\\\"<>^`{|}]", uri):
        return None
    parts = urlsplit(uri)
    try:
        port = parts.port
    except ValueError:
        return None
    return parts if parts.hostname in _LOOPBACK and port != 0 else None


class Clients:
    """All clients that have registered."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._key = cloud.rng.randbytes(48)
        self._clients: dict[str, Client] = {}

    def register(self, center: IdentityCenter, asked: Asked) -> Mapping[str, object]:
        """Take in a client: the members of RegisterClient's answer. Raises Refusal."""
        name = asked.text("clientName")
        if asked.text("clientType") != "public":
            raise oidc_refusal("InvalidClientMetadataException", "clientType is not public")
        scopes = asked.texts("scopes")
        if not set(scopes) <= set(center.scopes):
            raise oidc_refusal("InvalidScopeException", "there is no such scope")
        grants = asked.texts("grantTypes") or _OF_OLD
        if not set(grants) <= set(GRANTS):
            raise oidc_refusal("UnsupportedGrantTypeException", "there is no such grant type")
        redirects = asked.texts("redirectUris")
        if not all(read_redirect(one) for one in redirects):
            raise oidc_refusal("InvalidRedirectUriException", "a redirect URI is not on the loopback")
        issuer = asked.perhaps("issuerUrl")
        if issuer and not center.is_start_url(issuer):
            raise oidc_refusal("InvalidRequestException", "issuerUrl is not the start URL")
        if AUTHORIZATION_CODE in grants and not (redirects and issuer):
            raise oidc_refusal("InvalidRequestException", "authorization_code needs redirectUris and issuerUrl")
        client = self._draw(center, name, scopes, grants, redirects)
        return {
            "authorizationEndpoint": None,
            "clientId": client.id,
            "clientIdIssuedAt": int(client.issued_at.timestamp()),
            "clientSecret": client.secret.reveal(),
            "clientSecretExpiresAt": int(client.expires_at.timestamp()),
            "tokenEndpoint": None,
        }

    def _draw(
        self,
        center: IdentityCenter,
        name: str,
        scopes: tuple[str, ...],
        grants: tuple[str, ...],
        redirects: tuple[str, ...],
    ) -> Client:
        """Make a client of the shapes that AWS's have: the id ends with the region, the secret is a JWT."""
        now = self._cloud.now().replace(microsecond=0)
        drawn = self._cloud.rng.randbytes(16) + center.region.encode()
        id_ = base64.urlsafe_b64encode(drawn).rstrip(b"=").decode()
        ends = now + center.registration
        claims = {"clientId": id_, "clientName": name, "scopes": list(scopes), "expirationTime": int(ends.timestamp())}
        secret = jwt.encode(claims, self._key, "HS384", {"kid": f"key-{int(now.timestamp())}"})
        client = Client(id_, Secret(secret), name, scopes, grants, redirects, now, ends)
        if len(self._clients) >= _MOST:
            del self._clients[next(iter(self._clients))]
        self._clients[id_] = client
        return client

    def find(self, id_: str) -> Client | None:
        """The client of this id, if its registration has not ended."""
        client = self._clients.get(id_)
        return client if client and self._cloud.now() < client.expires_at else None

    def authenticate(self, asked: Asked) -> Client:
        """Whose request this is, by `clientId` and `clientSecret`. Raises Refusal."""
        id_, secret = asked.text("clientId"), asked.text("clientSecret")
        client = self._clients.get(id_)
        if client is None:
            raise oidc_refusal("InvalidClientException", "no such client has registered")
        if not hmac.compare_digest(client.secret.reveal().encode(), secret.encode()):
            raise oidc_refusal("InvalidClientException", "the client's secret is wrong")
        if self._cloud.now() >= client.expires_at:
            raise oidc_refusal("InvalidClientException", "the client's registration has ended")
        return client

    def expire(self) -> int:
        """Let every registration end now; gives how many did."""
        now = self._cloud.now()
        live = [one for one in self._clients.values() if now < one.expires_at]
        self._clients |= {one.id: replace(one, expires_at=now - timedelta(seconds=1)) for one in live}
        return len(live)
