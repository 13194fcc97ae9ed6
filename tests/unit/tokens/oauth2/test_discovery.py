from typing import Any

import pytest

from agent.errors import TokenRefused, TokenUnavailable
from agent.tokens.oauth2.asking import Place
from agent.tokens.oauth2.discovery import addresses, discovered, endpoint
from agent.tokens.oauth2.web import Web
from tests.unit.tokens.oauth2.conftest import Bench

ISSUER = "https://login.example.com/realms/prod"
TOKEN = f"{ISSUER}/token"


def read(**members: object) -> Any:
    return endpoint({"issuer": ISSUER, "token_endpoint": TOKEN, **members}, ISSUER)


@pytest.mark.parametrize(
    ("issuer", "openid", "oauth"),
    [
        (
            "https://a.example",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/",
            "https://a.example/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server",
        ),
        (
            "https://a.example/b/c",
            "https://a.example/b/c/.well-known/openid-configuration",
            "https://a.example/.well-known/oauth-authorization-server/b/c",
        ),
    ],
)
def test_the_documents_are_where_openid_and_rfc_8414_put_them(issuer: str, openid: str, oauth: str) -> None:
    assert addresses(issuer) == (openid, oauth)


def test_what_a_document_says_is_taken_from_it() -> None:
    found = read(
        token_endpoint_auth_methods_supported=["client_secret_post", 3],
        token_endpoint_auth_signing_alg_values_supported=["ES256"],
        mtls_endpoint_aliases={"token_endpoint": "https://mtls.example.com/token"},
    )

    assert (found.url, found.mutual, found.issuer) == (TOKEN, "https://mtls.example.com/token", ISSUER)
    assert (found.methods, found.algorithms) == (("client_secret_post",), ("ES256",))


def test_what_it_does_not_say_is_not_known() -> None:
    found = read()

    assert (found.mutual, found.methods, found.algorithms) == (TOKEN, None, None)


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": ISSUER + "/"},
        {"issuer": ISSUER.replace("login", "LOGIN")},
        {"issuer": None},
        {"issuer": [ISSUER]},
        {"token_endpoint": None},
        {"token_endpoint": "http://login.example.com/token"},
        {"token_endpoint": "https:///token"},
        {"token_endpoint": "https://[half/token"},
        {"token_endpoint": "https://login.example.com:99999/token"},
        {"token_endpoint": ["https://login.example.com/token"]},
        {"mtls_endpoint_aliases": {"token_endpoint": "http://mtls.example.com/token"}},
    ],
)
def test_a_document_that_is_not_the_issuers_own_or_leads_out_of_tls_is_refused(members: Any) -> None:
    with pytest.raises(TokenRefused) as caught:
        read(**members)
    assert caught.value.hint


def web_of(bench: Bench) -> Web:
    return Web(Place(bench.provider.issuer, ca_bundle=bench.provider.ca), bench.clock)


async def test_a_provider_that_has_only_the_other_document_is_found(bench: Bench) -> None:
    bench.provider.discovery_status = 404
    bench.provider.has_oauth_document = True

    assert (await discovered(bench.provider.issuer, web_of(bench))).url == f"{bench.provider.url}/token"


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (404, TokenRefused, "no discovery document"),
        (301, TokenRefused, "no redirect is followed"),
        (401, TokenUnavailable, "status 401"),
        (503, TokenUnavailable, "status 503"),
    ],
)
async def test_a_document_that_cannot_be_had_is_said_to_be_the_matter(
    bench: Bench, status: int, kind: type[Exception], said: str
) -> None:
    bench.provider.discovery_status = status

    with pytest.raises(kind, match=said):
        await discovered(bench.provider.issuer, web_of(bench))


async def test_a_document_that_is_a_page_is_said_to_be_one(bench: Bench) -> None:
    bench.provider.discovery_page = "<html>"

    with pytest.raises(TokenUnavailable, match="no JSON but text/html"):
        await discovered(bench.provider.issuer, web_of(bench))
