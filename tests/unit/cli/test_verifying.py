import hmac
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.cli.verifying import published_keys, read_keys, verified
from agent.clock import SystemClock
from agent.errors import AgentError, ConfigurationError
from agent.jose import compact, signing_input
from agent.secret import Secret
from tests.fakes.memory_key import MemoryKey

KEY = MemoryKey()
JWK = {**KEY.public.jwk, "kid": KEY.public.kid, "alg": "ES256", "use": "sig"}
JWKS = {"keys": [JWK]}
NOW = int(SystemClock().now().timestamp())
GOOD: dict[str, Any] = {
    "iss": "https://oidc.example.com",
    "sub": "host:web-1",
    "aud": "sts.amazonaws.com",
    "iat": NOW - 10,
    "exp": NOW + 600,
}


def a_token(header: dict[str, object] | None = None, **changes: object) -> Secret:
    claims = {name: value for name, value in {**GOOD, **changes}.items() if value is not None}
    signed = signing_input({"alg": "ES256", "kid": KEY.public.kid} if header is None else header, claims)
    return Secret(compact(signed, KEY.sign_now(signed)))


def judged(token: Secret, keys: object = JWKS, issuer: str | None = "https://oidc.example.com") -> dict[str, Any]:
    return verified(token, keys, audience="sts.amazonaws.com", issuer=issuer)


def test_a_good_token_gives_its_claims() -> None:
    assert judged(a_token()) == GOOD


def test_a_key_without_a_name_will_do_where_there_is_but_one() -> None:
    assert judged(a_token({"alg": "ES256"}), {"keys": [dict(KEY.public.jwk)]}) == GOOD


@pytest.mark.parametrize(
    ("token", "sentence"),
    [
        (a_token(exp=NOW - 60), "Signature has expired"),
        (a_token(nbf=NOW + 3600), "The token is not yet valid"),
        (a_token(aud="vault"), "Audience doesn't match"),
        (a_token(iss="https://oidc.example.com/"), "Invalid issuer"),
        (a_token(sub=None), 'missing the "sub" claim'),
        (a_token(iat=None), 'missing the "iat" claim'),
        (a_token(exp=None), 'missing the "exp" claim'),
        (a_token({"alg": "none", "kid": KEY.public.kid}), "the token is signed with 'none'"),
        (a_token({"alg": "HS256", "kid": KEY.public.kid}), "the token is signed with 'HS256'"),
        (a_token({"alg": "PS256", "kid": KEY.public.kid}), "the token is signed with 'PS256'"),
        (a_token({"alg": "RS256", "kid": KEY.public.kid}), "the token is not good"),
        (a_token({"alg": "ES256", "kid": "other"}), "of 1 keys in the JWKS, 0 are the one that the token names"),
    ],
)
def test_a_token_that_a_relying_party_would_refuse_is_refused(token: Secret, sentence: str) -> None:
    with pytest.raises(AgentError) as caught:
        judged(token)

    assert sentence in caught.value.what
    assert caught.value.hint


def test_a_token_signed_with_the_public_key_as_a_password_is_refused() -> None:
    """The classical confusion: HS256 with what everybody knows."""
    signed = signing_input({"alg": "HS256", "kid": KEY.public.kid}, GOOD)
    forged = compact(signed, hmac.digest(json.dumps(JWK).encode(), signed, "sha256"))

    with pytest.raises(AgentError, match="the token is signed with 'HS256'"):
        judged(Secret(forged))


def test_another_key_of_the_same_name_is_refused() -> None:
    other = {**MemoryKey().public.jwk, "kid": KEY.public.kid}

    with pytest.raises(AgentError, match="Signature verification failed"):
        judged(a_token(), {"keys": [other]})


@pytest.mark.parametrize(
    "keys",
    [None, [], {}, {"keys": None}, {"keys": []}, {"keys": [1]}, {"keys": [JWK, JWK]}, {"keys": [{**JWK, "x": "AA"}]}],
)
def test_keys_that_are_none_are_refused(keys: object) -> None:
    with pytest.raises(AgentError):
        judged(a_token(), keys)


def test_a_file_that_holds_no_keys_is_a_mistake_of_usage(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no JSON")

    for name in ("text", "missing"):
        with pytest.raises(ConfigurationError, match="holds no readable JWKS"):
            read_keys(tmp_path / name)


# Keys as they are published


@dataclass
class Site:
    """A web site on this machine; what it answers can be changed."""

    url: str
    pages: dict[str, object]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def site() -> Iterator[Site]:
    pages: dict[str, object] = {}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            body = page if isinstance(page, bytes) else json.dumps(page).encode()
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by http.server
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}", pages)
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        pages |= {
            "/.well-known/openid-configuration": {"issuer": site.url, "jwks_uri": f"{site.url}/keys"},
            "/keys": JWKS,
        }
        try:
            yield site
        finally:
            server.shutdown()
            serving.join()


def test_keys_are_found_as_aws_finds_them(site: Site) -> None:
    assert judged(a_token(iss=site.url), published_keys(site.url), site.url)["iss"] == site.url


@pytest.mark.parametrize(
    ("path", "page", "sentence"),
    [
        ("/.well-known/openid-configuration", None, "does not give the document: 404 Not Found"),
        ("/.well-known/openid-configuration", b"<html>", "does not give the document"),
        ("/.well-known/openid-configuration", [], "says that its issuer is None"),
        (
            "/.well-known/openid-configuration",
            {"issuer": "https://other.example.com"},
            "says that its issuer is 'https",
        ),
        ("/keys", None, "/keys does not give the document: 404 Not Found"),
    ],
)
def test_an_issuer_that_aws_could_not_use_is_refused(site: Site, path: str, page: object, sentence: str) -> None:
    site.pages[path] = page

    with pytest.raises(AgentError) as caught:
        published_keys(site.url)

    assert sentence in caught.value.what


@pytest.mark.parametrize("address", [None, 5, "file:///etc/passwd", "ftp://example.com/keys", "keys"])
def test_a_discovery_document_cannot_send_us_elsewhere(site: Site, address: object) -> None:
    site.pages["/.well-known/openid-configuration"] = {"issuer": site.url, "jwks_uri": address}

    with pytest.raises(AgentError, match=r"no web address|names no jwks_uri"):
        published_keys(site.url)


def test_an_issuer_that_does_not_answer_is_named() -> None:
    with pytest.raises(AgentError, match=r"http://127\.0\.0\.1:1/.* does not give the document: .*refused"):
        published_keys("http://127.0.0.1:1")
