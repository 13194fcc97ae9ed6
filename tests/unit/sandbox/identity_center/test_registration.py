"""Who may register, and as what?"""

import base64
import json

import pytest

from agent.sandbox.identity_center.registration import read_redirect
from tests.unit.sandbox.identity_center.visit import VERIFIER, refused, visit


def test_ids_and_secrets_have_the_shapes_of_awss() -> None:
    with visit() as v:
        given = v.register()
        assert given["clientSecretExpiresAt"] - given["clientIdIssuedAt"] == 90 * 24 * 3600
        assert given["clientIdIssuedAt"] == int(v.clock.now().timestamp())
        name = given["clientId"]
        assert base64.urlsafe_b64decode(name + "=" * (-len(name) % 4))[16:] == b"eu-central-1"
        header = given["clientSecret"].partition(".")[0]
        assert json.loads(base64.urlsafe_b64decode(header + "=="))["alg"] == "HS384"
        assert given["clientSecret"] not in repr(v.sandbox.identity_center)
        assert v.register()["clientId"] != name


def test_who_names_no_grants_is_a_device_that_may_be_renewed() -> None:
    with visit() as v:
        client = v.register_device()
        device = v.device(client)
        v.approve(device)
        assert "refreshToken" in v.poll(client, device)
        assert refused(lambda: v.redeem(client, "code")) == "UnauthorizedClient"


def test_an_authorization_code_needs_somewhere_to_go_and_somewhere_to_come_from() -> None:
    with visit() as v:
        assert refused(lambda: v.register(redirectUris=None)) == "InvalidRequest"
        assert refused(lambda: v.register(issuerUrl=None)) == "InvalidRequest"
        v.register(issuerUrl=f"{v.sandbox.identity_center.state()['start_url']}/#/")


@pytest.mark.parametrize(
    "uri",
    [
        "https://127.0.0.1/cb",
        "http://example.com/cb",
        "http://127.0.0.1.example.com/cb",
        "http://127.0.0.1@example.com/cb",
        "http://user@127.0.0.1/cb",
        "http://127.0.0.1/cb#fragment",
        "http://127.0.0.1:0/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1",
        "http://127.0.0.1:80",
        "http://0.0.0.0/cb",
        "http://[::1]/cb",
        "http://LOCALHOST/cb",
        "http://127.0.0.1\\@example.com/cb",
        "http://127.0.0.1/c b",
        'http://127.0.0.1/">',
        "javascript:alert(1)",
        "rolecall:/cb",
        "",
    ],
)
def test_a_redirect_leads_to_the_loopback_and_is_read_in_one_way(uri: str) -> None:
    assert read_redirect(uri) is None


@pytest.mark.parametrize(
    ("registered", "asked", "fits"),
    [
        ("http://127.0.0.1/oauth/callback", "http://127.0.0.1:41234/oauth/callback", True),
        ("http://127.0.0.1/oauth/callback", "http://127.0.0.1/oauth/callback", True),
        ("http://localhost/cb?a=b", "http://localhost:5/cb?a=b", True),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8080/cb", True),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1:8081/cb", False),
        ("http://127.0.0.1:8080/cb", "http://127.0.0.1/cb", False),
        ("http://127.0.0.1/oauth/callback", "http://localhost:41234/oauth/callback", False),
        ("http://127.0.0.1/oauth/callback", "http://127.0.0.1:41234/oauth/callback/", False),
        ("http://127.0.0.1/oauth/callback", "http://127.0.0.1:41234/oauth/callback?x=y", False),
        ("http://127.0.0.1/oauth/callback", "http://127.0.0.1:41234/OAUTH/callback", False),
    ],
)
def test_any_port_will_do_where_none_was_registered_and_nothing_else_may_differ(
    registered: str, asked: str, *, fits: bool
) -> None:
    with visit() as v:
        client = v.register(redirectUris=[registered])
        page = v.surfer.open(v.authorize_url(client, redirect_uri=asked))
        assert page.status == (200 if fits else 400)
        assert page.location == ""


def test_a_registration_ends() -> None:
    with visit() as v:
        client = v.register()
        tokens = v.tokens(client=client)
        v.wait(days=89, hours=23)
        assert v.surfer.open(v.authorize_url(client)).status == 200
        v.wait(hours=1)
        assert v.surfer.open(v.authorize_url(client)).status == 400
        assert refused(lambda: v.refresh(client, tokens)) == "InvalidClient"
        assert v.whys[-1] == "InvalidClientException: the client's registration has ended"


def test_registrations_can_be_made_to_end() -> None:
    with visit() as v:
        client = v.register()
        assert v.sandbox.identity_center.expire("registrations") == 1
        assert refused(lambda: v.redeem(client, "code", codeVerifier=VERIFIER)) == "InvalidClient"
        assert v.sandbox.identity_center.expire("registrations") == 0
