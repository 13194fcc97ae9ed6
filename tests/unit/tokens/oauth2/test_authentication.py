import base64
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import jwt
import pytest

from agent.errors import TokenRefused
from agent.events import TokenSigned
from agent.secret import Secret
from agent.tokens.oauth2.asking import (
    Authentication,
    Client,
    ClientCertificate,
    ClientSecret,
    PrivateKeyJwt,
)
from agent.tokens.oauth2.authentication import Shown, shown
from agent.tokens.oauth2.discovery import Endpoint
from tests.fakes.clock import START, FakeClock
from tests.fakes.memory_key import MemoryKey
from tests.fakes.report import Reported

ISSUER = "https://login.example.com"
TOKEN, MUTUAL = f"{ISSUER}/token", "https://mtls.example.com/token"
NOWHERE = Path("/nowhere")
SECRET = "a:b c+d%/&=\u00fc"


def endpoint(*methods: str, **more: Any) -> Endpoint:
    return Endpoint(TOKEN, MUTUAL, ISSUER, methods or None, **more)


async def show(how: Authentication, where: Endpoint, client_id: str = "our:client") -> Shown:
    return await shown(Client(client_id, how), where, FakeClock())


def secret() -> ClientSecret:
    return ClientSecret(lambda: Secret(SECRET))


@pytest.mark.parametrize("methods", [(), ("client_secret_post", "client_secret_basic")])
async def test_a_secret_goes_as_basic_with_both_halves_encoded_as_forms_are(methods: tuple[str, ...]) -> None:
    """RFC 6749 §2.3.1: else a colon in the client id would begin the secret."""
    said = await show(secret(), endpoint(*methods))

    scheme, _, both = said.headers["Authorization"].partition(" ")
    client_id, _, password = base64.b64decode(both).decode("ascii").partition(":")
    assert scheme == "Basic"
    assert (unquote_plus(client_id), unquote_plus(password)) == ("our:client", SECRET)
    assert said.form == ()
    assert said.url == TOKEN


async def test_a_secret_goes_in_the_form_where_that_alone_is_taken() -> None:
    said = await show(secret(), endpoint("client_secret_post"))

    assert said.form == (("client_id", "our:client"), ("client_secret", SECRET))
    assert not said.headers


@pytest.mark.parametrize("methods", [(), ("tls_client_auth",), ("self_signed_tls_client_auth", "private_key_jwt")])
async def test_a_certificate_is_shown_where_certificates_are_asked_for(methods: tuple[str, ...]) -> None:
    how = ClientCertificate(NOWHERE, NOWHERE, lambda: Secret(""))

    said = await show(how, endpoint(*methods))

    assert (said.url, said.form, dict(said.headers)) == (MUTUAL, (("client_id", "our:client"),), {})


def signed(key: MemoryKey, told: Reported, **more: Any) -> PrivateKeyJwt:
    return PrivateKeyJwt(lambda: key, lambda: "an-id", told, **more)


@pytest.mark.parametrize(
    ("audience", "issuer", "aud"),
    [("issuer", ISSUER, ISSUER), ("token_endpoint", ISSUER, TOKEN), ("issuer", "", TOKEN)],
)
async def test_a_jwt_is_for_the_provider_alone_and_for_a_minute(audience: Any, issuer: str, aud: str) -> None:
    key, told = MemoryKey(), Reported()
    where = Endpoint(TOKEN, MUTUAL, issuer, ("private_key_jwt",), ("ES256",))

    said = await show(signed(key, told, audience=audience), where)

    form = dict(said.form)
    assert form["client_assertion_type"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    claims = jwt.decode(
        form["client_assertion"],
        jwt.PyJWK(dict(key.public.jwk), "ES256"),
        ["ES256"],
        audience=aud,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    header = jwt.get_unverified_header(form["client_assertion"])
    assert header == {"alg": "ES256", "kid": key.public.kid, "typ": "JWT"}
    assert (claims["iss"], claims["sub"], claims["aud"], claims["jti"]) == ("our:client", "our:client", aud, "an-id")
    now = START.timestamp()
    assert claims["nbf"] == claims["iat"] < now < claims["exp"] <= now + timedelta(minutes=1).total_seconds()
    assert told == [TokenSigned(key.public.kid)]


async def test_a_provider_that_does_not_take_what_our_key_signs_with_is_sent_nothing() -> None:
    key = MemoryKey()

    with pytest.raises(TokenRefused, match=r"ES256.*PS256, RS256"):
        await show(signed(key, Reported()), endpoint("private_key_jwt", algorithms=("PS256", "RS256")))

    assert key.signed == []


@pytest.mark.parametrize(
    "how", [secret(), ClientCertificate(NOWHERE, NOWHERE, lambda: Secret("")), signed(MemoryKey(), Reported())]
)
async def test_a_way_that_the_provider_does_not_take_is_not_tried(how: Authentication) -> None:
    with pytest.raises(TokenRefused, match="none, attest") as caught:
        await show(how, endpoint("none", "attest", "not\nprintable"))

    assert "identity.client_authentication" in caught.value.hint


@pytest.mark.parametrize("how", [secret(), signed(MemoryKey(), Reported())])
async def test_nothing_secret_shows_itself(how: Authentication) -> None:
    said = await show(how, endpoint())

    assert SECRET not in repr(said)
    assert "eyJ" not in repr(said)
