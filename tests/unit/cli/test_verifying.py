import io
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from agent.cli import main
from agent.cli.verifying import read_keys
from agent.clock import SystemClock
from agent.errors import ConfigurationError
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


def piped(monkeypatch: pytest.MonkeyPatch, token: Secret) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(token.reveal().encode())))


Verify = Callable[..., int]


@pytest.fixture
def verify(site: Site, monkeypatch: pytest.MonkeyPatch) -> Verify:
    """The command, for a token of the site with some claims of its own."""

    def verify(*words: str, header: dict[str, object] | None = None, **said: object) -> int:
        piped(monkeypatch, a_token(header, **{"iss": site.url, **said}))
        return main(["token", "verify", *(words or ("--issuer", site.url))])

    return verify


def test_keys_are_found_as_the_world_finds_them(site: Site, verify: Verify, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--issuer", site.url, "--json") == 0
    assert json.loads(capsys.readouterr().out)["claims"]["iss"] == site.url
    assert verify() == 0
    assert "Verified: signature, times, audience, issuer.\n" in capsys.readouterr().err


def test_where_the_keys_are_may_be_said(site: Site, verify: Verify) -> None:
    del site.pages["/.well-known/openid-configuration"]
    assert verify() == 1
    assert verify("--issuer", site.url, "--jwks-url", f"{site.url}/keys") == 0


@pytest.mark.parametrize(
    ("path", "page", "sentence"),
    [
        ("/.well-known/openid-configuration", None, "answers 404"),
        ("/.well-known/openid-configuration", b"<html>", "is no JSON"),
        ("/.well-known/openid-configuration", [], "is not the discovery document of that issuer"),
        ("/.well-known/openid-configuration", {"issuer": "https://other.example.com"}, "is not the discovery document"),
        ("/.well-known/openid-configuration", {"issuer": "SITE", "jwks_uri": "file:///etc/passwd"}, "no https address"),
        ("/keys", None, "/keys answers 404"),
    ],
)
def test_an_issuer_that_nobody_could_use_is_told_for_what_it_is(
    site: Site, verify: Verify, capsys: pytest.CaptureFixture[str], path: str, page: object, sentence: str
) -> None:
    named = isinstance(page, dict) and page["issuer"] == "SITE"
    site.pages[path] = {**page, "issuer": site.url} if named and isinstance(page, dict) else page
    assert verify() == 1
    told = capsys.readouterr().err
    assert sentence in told
    assert "hint: " in told


def test_an_issuer_that_does_not_answer_is_named(verify: Verify, capsys: pytest.CaptureFixture[str]) -> None:
    assert verify("--issuer", "http://127.0.0.1:1", iss="http://127.0.0.1:1") == 1
    assert "http://127.0.0.1:1/.well-known/openid-configuration cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said", "sentence"),
    [
        (["--scope", "read", "--scope", "write"], {"scope": "read write"}, ""),
        (["--scope", "admin"], {"scope": "read"}, "the token has not the scope admin"),
        (["--claim", "team=db", "--claim", "team=web"], {"team": ["web"]}, ""),
        (["--claim", "team=db", "--claim", "role=x"], {"team": "db"}, "the token has not what is wanted of its role"),
        (["--audience", "vault"], {"aud": ["vault"]}, ""),
        (["--audience", "vault"], {}, "the token is for another audience"),
        (["--algorithm", "RS256"], {}, "an algorithm that the rule does not take"),
        (["--algorithm", "RS256", "--algorithm", "ES256"], {}, ""),
    ],
)
def test_what_else_a_token_has_to_be_can_be_said(
    site: Site,
    verify: Verify,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    said: dict[str, object],
    sentence: str,
) -> None:
    assert verify("--issuer", site.url, *words, **said) == (1 if sentence else 0)
    assert sentence in capsys.readouterr().err


def test_the_same_can_be_said_of_keys_in_a_file(
    tmp_path: Path, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps(JWKS))
    assert verify("--jwks", str(keys), "--scope", "read", scope="read") == 0
    assert "Verified: signature, times, audience, scopes; not the issuer." in capsys.readouterr().err
    assert verify("--jwks", str(keys), "--scope", "read") == 1
    assert "has not the scope read" in capsys.readouterr().err
    assert verify("--jwks", str(keys), "--algorithm", "RS256") == 1
    assert "taken are RS256 alone" in capsys.readouterr().err
    assert verify("--jwks", str(keys), header={"alg": "ES256"}) == 0, "a key set of one key needs no names"


@pytest.mark.parametrize("words", [["--claim", "team"], ["--claim", "=x"], ["--algorithm", "HS256"], ["--rule", "x"]])
def test_a_command_line_that_cannot_be_meant_is_misuse(site: Site, verify: Verify, words: list[str]) -> None:
    try:
        code = verify("--issuer", site.url, *words)
    except SystemExit as end:
        code = int(str(end.code))
    assert code == 2


def test_a_rule_of_the_configuration_says_it_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site, verify: Verify, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "rolecall.toml"
    config.write_text(f"""
[issuer]
url = "https://oidc.example.com"
[key]
custodian = "pem"
directory = "keys"
[sts]
region = "eu-central-1"
[roles.backup]
arn = "arn:aws:iam::123456789012:role/backup"
[[grants]]
roles = ["backup"]
anyone = true
[verify.api]
issuer = "{site.url}"
audiences = ["sts.amazonaws.com"]
algorithms = ["ES256"]
scopes = ["read"]
""")
    monkeypatch.setenv("ROLECALL_CONFIG", str(config))
    assert verify("--rule", "api", scope="read") == 0
    assert "Verified: as the rule api wants it." in capsys.readouterr().err
    assert verify("--rule", "api") == 1
    assert "has not the scope read" in capsys.readouterr().err
    assert verify("--rule", "other") == 2
    assert "the configuration has no rule 'other'" in capsys.readouterr().err
    assert verify("--rule", "api", "--scope", "x") == 2
    assert "--scope cannot stand beside --rule" in capsys.readouterr().err
