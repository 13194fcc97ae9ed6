"""Where is a provider's token endpoint, and how may clients show it who they are?

OpenID Connect Discovery 1.0 §4, RFC 8414 §3 and RFC 8705 §5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from agent.errors import AgentError, TokenRefused, TokenUnavailable
from agent.tokens.oauth2.web import Answer, Web, host_of

_OPENID: Final = "/.well-known/openid-configuration"
_OAUTH: Final = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where tokens are asked for.

    Attributes:
        url: the token endpoint.
        mutual: the token endpoint for those who show a certificate; often the same.
        issuer: whose it is; "" if nobody said.
        methods: how clients may show who they are, by their registered names; None if the provider does not say.
        algorithms: with which a client's JWT may be signed; None if the provider does not say.
    """

    url: str
    mutual: str
    issuer: str = ""
    methods: tuple[str, ...] | None = None
    algorithms: tuple[str, ...] | None = None


async def discovered(issuer: str, web: Web) -> Endpoint:
    """What the documents of `issuer` say. Raises TokenRefused where they will not do, and TokenUnavailable."""
    answers = []
    for url in addresses(issuer):
        answers.append(await web.get(url))
        if answers[-1].status != 404:
            break
    # Where neither is there, the first is what most people would look for.
    answer = answers[-1] if answers[-1].status != 404 else answers[0]
    if answer.status != 200 or answer.document is None:
        raise _no_document(answer, issuer)
    return endpoint(answer.document, issuer)


def addresses(issuer: str) -> tuple[str, ...]:
    """Where the documents may be: behind the issuer's path (OpenID), or before it (RFC 8414 §3.1)."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return f"{origin}{path}{_OPENID}", f"{origin}{_OAUTH}{path}"


def endpoint(document: Mapping[str, object], issuer: str) -> Endpoint:
    """Read a document. Raises TokenRefused, above all for the document of another issuer (RFC 8414 §3.3)."""
    named = document.get("issuer")
    if named != issuer:
        raise TokenRefused(
            f"the discovery document of {issuer} is that of another issuer: {_shown(named)}",
            hint="write identity.issuer as that document does, to the letter and the slash at its end, if it is the "
            "provider that is meant",
        )
    url = _https(document.get("token_endpoint"), "token_endpoint", issuer)
    aliases = document.get("mtls_endpoint_aliases")
    mutual = aliases.get("token_endpoint") if isinstance(aliases, Mapping) else None
    return Endpoint(
        url,
        mutual=url if mutual is None else _https(mutual, "mtls_endpoint_aliases.token_endpoint", issuer),
        issuer=issuer,
        methods=_names(document.get("token_endpoint_auth_methods_supported")),
        algorithms=_names(document.get("token_endpoint_auth_signing_alg_values_supported")),
    )


def _https(value: object, member: str, issuer: str) -> str:
    if not isinstance(value, str) or not _is_https(value):
        raise TokenRefused(
            f"the discovery document of {issuer} has no {member} with https",
            hint="let the provider name it, or write it as identity.token_endpoint",
        )
    return value


def _is_https(value: str) -> bool:
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and parts.port != 0
    except ValueError:  # half an address, or a port beyond all ports
        return False


def _names(value: object) -> tuple[str, ...] | None:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else None


def _no_document(answer: Answer, issuer: str) -> AgentError:
    host = host_of(issuer)
    if 300 <= answer.status < 400:
        return TokenRefused(
            f"{host} redirects whoever asks for the discovery document of {issuer}, and no redirect is followed",
            hint="write identity.issuer as the provider's own documents have it",
        )
    if answer.status in (404, 410):
        return TokenRefused(
            f"{host} has no discovery document for {issuer}: {answer.url} is not there",
            hint="correct identity.issuer; for a provider without one, write identity.token_endpoint instead",
        )
    found = f"status {answer.status}" if answer.status != 200 else f"no JSON but {answer.media_type or 'nothing'}"
    return TokenUnavailable(
        f"{host} answers the question for its discovery document with {found}",
        hint="see whether the provider is well, and what stands before it",
    )


def _shown(value: object) -> str:
    """A name that somebody else wrote, for people: no more of it than helps."""
    if not isinstance(value, str):
        return "it names none"
    return repr(value[:200]) if value.isascii() and value.isprintable() else "one that cannot be printed"
