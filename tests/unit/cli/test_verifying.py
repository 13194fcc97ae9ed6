import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.cli.verifying import published_keys, read_keys
from agent.clock import SystemClock
from agent.doctor.token import verified
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
    claims = verified(a_token(iss=site.url), published_keys(site.url), audience="sts.amazonaws.com", issuer=site.url)
    assert claims["iss"] == site.url


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
