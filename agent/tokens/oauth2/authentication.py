"""How do we show a provider who we are?"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from urllib.parse import quote_plus

from agent import jose
from agent.clock import Clock
from agent.errors import KeyUnavailable, TokenRefused, TokenUnavailable
from agent.events import TokenSigned
from agent.secret import Secret
from agent.threads import aside
from agent.tokens.oauth2.asking import Client, ClientCertificate, ClientSecret, PrivateKeyJwt, Reader
from agent.tokens.oauth2.discovery import Endpoint
from agent.tokens.oauth2.web import host_of

#: What a JWT that shows who we are is, by its registered name (RFC 7521 §4.2, RFC 7523 §2.2).
_JWT_BEARER: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_BACKDATED: Final = timedelta(seconds=10)  # clocks need not agree to the second
_LIFETIME: Final = timedelta(seconds=60)  # it is used at once
_MUTUAL: Final = ("tls_client_auth", "self_signed_tls_client_auth")


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request says of who sends it.

    Attributes:
        url: where it goes.
        form: parameters beside those of what is asked for.
        headers: more headers.
        secrets: what of it must never be read anywhere else.
    """

    url: str
    form: tuple[tuple[str, str], ...] = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[Secret, ...] = ()


async def shown(client: Client, endpoint: Endpoint, clock: Clock) -> Shown:
    """Show who we are in the way that is configured, by the time of `clock`, which should be the provider's.

    Raises TokenRefused where the provider does not take that way, TokenUnavailable and KeyUnavailable.
    """
    match client.authentication:
        case ClientSecret(read):
            return _with_secret(client.id, await _read(read), endpoint)
        case ClientCertificate():
            _check(endpoint, "a client certificate", _MUTUAL)
            return Shown(endpoint.mutual, (("client_id", client.id),))
        case PrivateKeyJwt() as how:
            _check(endpoint, "a JWT that our key signs", ("private_key_jwt",))
            return await _with_jwt(client.id, how, endpoint, clock)


async def _read(read: Reader) -> Secret:
    try:
        secret = await aside(read)
    except RuntimeError as error:  # `aside`: the system allows no more threads
        raise TokenUnavailable("there is no thread to read the client secret", hint="see what uses them up") from error
    if not secret.reveal().isprintable():
        raise KeyUnavailable(
            "the file with the client secret has more than one line, or control characters in it",
            hint="write the secret there on one line, and nothing else",
        )
    return secret


def _with_secret(client_id: str, secret: Secret, endpoint: Endpoint) -> Shown:
    """Basic if the provider takes it, which is what every one has to, or else in the form (RFC 6749 §2.3.1)."""
    # A provider that does not say takes Basic (RFC 8414 §2).
    methods = endpoint.methods if endpoint.methods is not None else ("client_secret_basic",)
    if "client_secret_basic" in methods:
        both = f"{quote_plus(client_id)}:{quote_plus(secret.reveal())}"
        said = base64.b64encode(both.encode("ascii")).decode("ascii")
        return Shown(endpoint.url, (), {"Authorization": f"Basic {said}"}, (secret, Secret(said)))
    _check(endpoint, "a client secret", ("client_secret_post",))
    return Shown(endpoint.url, (("client_id", client_id), ("client_secret", secret.reveal())), secrets=(secret,))


async def _with_jwt(client_id: str, how: PrivateKeyJwt, endpoint: Endpoint, clock: Clock) -> Shown:
    """A JWT for the provider alone, for one minute and one use (RFC 7523 §3)."""
    key = how.signer()  # asked once: what the header says and what signs must be one key
    public = key.public
    if endpoint.algorithms is not None and public.algorithm not in endpoint.algorithms:
        raise TokenRefused(
            f"{host_of(endpoint.url)} takes no JWT of a client that is signed with {public.algorithm}, which our key "
            f"signs with, but {_listed(endpoint.algorithms)}",
            hint="rotate to a key of another kind (rotation.kind), or let the provider take more",
        )
    issued = int((clock.now() - _BACKDATED).timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": endpoint.issuer if how.audience == "issuer" and endpoint.issuer else endpoint.url,
        "jti": how.token_id(),
        "iat": issued,
        "nbf": issued,
        "exp": issued + int((_BACKDATED + _LIFETIME).total_seconds()),
    }
    signed = jose.signing_input({"alg": public.algorithm, "kid": public.kid, "typ": "JWT"}, claims)
    assertion = Secret(jose.compact(signed, await key.sign(signed)))
    how.report(TokenSigned(public.kid))
    form = (
        ("client_id", client_id),
        ("client_assertion_type", _JWT_BEARER),
        ("client_assertion", assertion.reveal()),
    )
    return Shown(endpoint.url, form, secrets=(assertion,))


def _check(endpoint: Endpoint, way: str, names: tuple[str, ...]) -> None:
    """Not to send a secret, or anything, in a way of which the provider says that it does not take it."""
    if endpoint.methods is None or any(name in endpoint.methods for name in names):
        return
    raise TokenRefused(
        f"{host_of(endpoint.url)} does not let clients show who they are with {way}, but with "
        f"{_listed(endpoint.methods)}",
        hint=f"choose another identity.client_authentication, or let the provider take {' or '.join(names)}",
    )


def _listed(names: tuple[str, ...]) -> str:
    """Names that somebody else wrote."""
    printable = [name for name in names if name.isascii() and name.isprintable()]
    return ", ".join(printable[:12]) or "nothing"
