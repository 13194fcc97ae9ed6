"""What is asked of a provider, and what must its token be?"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agent.events import Report
from agent.keys import SigningKey
from agent.secret import Secret

#: Gives the key that signs now, which another one may follow at any time. Raises KeyUnavailable.
Signer = Callable[[], SigningKey]
#: Reads a secret from its file, anew each time, since files are replaced. Blocks; raises KeyUnavailable.
Reader = Callable[[], Secret]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The token that is asked for.

    Attributes:
        kind: which member of the answer it is.
        scope: RFC 6749 §3.3, separated by blanks; "" asks for what the client has by default.
        audience: a parameter of many providers that no RFC has (Auth0, Keycloak's exchange and others); "" for none.
        resource: RFC 8707, absolute URIs.
        expected_subject: what its `sub` must be; "" for whatever comes.
        expected_audience: what AWS must read as its audience, that is its `azp`, or else its `aud`; "" as above.
    """

    kind: Literal["access_token", "id_token"] = "access_token"
    scope: str = ""
    audience: str = ""
    resource: tuple[str, ...] = ()
    expected_subject: str = ""
    expected_audience: str = ""

    def form(self) -> list[tuple[str, str]]:
        """The parameters of the request, but for those that say who asks."""
        named = [("scope", self.scope), ("audience", self.audience), *(("resource", uri) for uri in self.resource)]
        return [("grant_type", "client_credentials"), *(pair for pair in named if pair[1])]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the provider is: by its issuer, whose documents say the rest, or by the token endpoint itself.

    Attributes:
        issuer: the URL to the letter, as it is in its own documents; "" if only the endpoint is known.
        token_endpoint: an https URL; "" to have it from the issuer's documents.
        ca_bundle: a PEM file of authorities to trust instead of those of this machine.
        proxy: the URL of an HTTP proxy that leads there; None for straight on, whatever the environment says.
    """

    issuer: str = ""
    token_endpoint: str = ""
    ca_bundle: Path | None = None
    proxy: str | None = None


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """A secret that the provider has given us (RFC 6749 §2.3.1)."""

    read: Reader


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate of ours that we show in TLS (RFC 8705), from PEM files that are read anew for each connection.

    `check` reads the private key, and refuses one that others can read.
    """

    certificate: Path
    key: Path
    check: Reader


@dataclass(frozen=True, slots=True)
class PrivateKeyJwt:
    """A JWT that our own key signs (RFC 7523 §2.2), checked by the keys that we publish.

    Attributes:
        signer: the same that signs tokens of our own, so that the world has seen each key before it signs.
        token_id: gives a jti never given before.
        audience: what the JWT is for; draft-ietf-oauth-rfc7523bis wants the issuer alone, and some providers still
            take nothing but the endpoint that it is sent to.
    """

    signer: Signer
    token_id: Callable[[], str]
    report: Report
    audience: Literal["issuer", "token_endpoint"] = "issuer"


Authentication = ClientSecret | ClientCertificate | PrivateKeyJwt


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks."""

    id: str
    authentication: Authentication
