"""Does nginx, set up as docs/verifying.md says, let through who may pass and nobody else? What does a service see?"""

import asyncio
import base64
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from typing import Any

import aiohttp
import pytest

from agent.assembly.verifying import verification
from agent.callers import End, Origin
from agent.clock import SystemClock
from agent.settings import load
from agent.web.connections import Limits
from agent.web.listener import answering
from agent.web.stats import RequestStats
from tests.fakes.foreign import AUDIENCE, a_jwk, a_token, claims
from tests.fakes.ports import own_port
from tests.fakes.report import Reported

NGINX = shutil.which("nginx")
pytestmark = pytest.mark.skipif(NGINX is None, reason="nginx is not installed")

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "verifying.md").read_text("utf-8")

MAIN = """\
daemon off;
worker_processes 1;
error_log stderr;
pid {home}/nginx.pid;
{user}
events {{ }}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/site.conf;
}}
"""

#: As people write it who have read nginx's own page: all headers go along to whoever is asked.
COMMON = """
server {
    listen 127.0.0.1:8080;
    location / {
        auth_request /_token;
        auth_request_set $sub $upstream_http_x_token_subject;
        proxy_set_header X-Token-Subject $sub;
        proxy_pass http://127.0.0.1:8081;
    }
    location = /_token {
        internal;
        proxy_pass http://127.0.0.1:9173/v1/verify/api;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header X-Original-URI $request_uri;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""


def of_the_page(language: str) -> str:
    """The first piece of the page in that language."""
    found = re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


class Counting:
    """Counts the connections that come in."""

    def __init__(self) -> None:
        self.connections = 0

    def recognise(self, client: End, server: End) -> Origin:
        self.connections += 1
        return Origin(client[0], server[0])


@contextmanager
def serving(pages: dict[str, bytes] | None = None) -> Iterator[int]:
    """A small service: it shows pages, or else what it was asked, as JSON."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            seen = {"path": self.path, "headers": dict(self.headers), "body": self.rfile.read(length).decode()}
            body = json.dumps(seen).encode() if pages is None else pages.get(self.path, b"")
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_GET  # noqa: N815 - named so by http.server

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - named so by http.server
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128  # or connections that come together wait for a second

    with Server(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


class House:
    """nginx, what is behind it, and who it asks; all of them on ports of their own."""

    def __init__(self, home: Path, site: str = "") -> None:
        self.home = home
        self.site = site or of_the_page("nginx")
        self.port, self.ours = own_port(), own_port()
        self.pages: dict[str, bytes] = {"/keys": json.dumps({"keys": [a_jwk()]}).encode()}
        self.counting, self.stats, self.told = Counting(), RequestStats(), Reported()
        self.agent = AsyncExitStack()
        self.session: aiohttp.ClientSession
        self.issuer = ""

    @asynccontextmanager
    async def standing(self) -> AsyncIterator["House"]:
        with serving() as service, serving(self.pages) as issuer:
            self.issuer = f"http://127.0.0.1:{issuer}"
            discovery = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
            self.pages["/.well-known/openid-configuration"] = json.dumps(discovery).encode()
            self._write(service)
            async with self.agent, aiohttp.ClientSession() as self.session:
                await self._start()
                with nginx(self.home, self.port):
                    yield self

    def _write(self, service: int) -> None:
        ports = {8080: self.port, 8081: service, 9173: self.ours}
        site = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[int(found[1])]}", self.site)
        (self.home / "site.conf").write_text(site)
        user = "user root;" if os.geteuid() == 0 else ""  # its workers, or they could not write to the tests' folder
        (self.home / "nginx.conf").write_text(MAIN.format(home=self.home, user=user))
        rules = of_the_page("toml").replace("https://login.example.com/pool", self.issuer)
        (self.home / "rolecall.toml").write_text(f"""
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
[listen]
verify = "127.0.0.1:{self.ours}"
{rules}
""")

    async def _start(self) -> None:
        """The listener, as the daemon opens it."""
        settings = load(self.home / "rolecall.toml", environ={}, host="web-1")
        made = verification(settings, lambda: None, clock=SystemClock(), report=self.told)
        assert made is not None
        await self.agent.enter_async_context(
            answering(
                made.output,
                made.address,
                clock=SystemClock(),
                stats=self.stats,
                on_bug=self._bug,
                report=self.told,
                recogniser=self.counting,
                limits=Limits(proxied=True),
            )
        )

    @staticmethod
    def _bug(error: BaseException) -> None:
        raise AssertionError from error

    def token(self, **changes: object) -> str:
        now = int(SystemClock().now().timestamp())
        said = {"iss": self.issuer, "iat": now - 1, "exp": now + 600, **changes}
        return a_token(claims(**said)).decode()

    async def ask(
        self,
        token: str | None = None,
        method: str = "GET",
        data: bytes | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, dict[str, str], dict[str, Any]]:
        """Status, headers, and what the service saw."""
        sent = dict(headers)
        sent |= {} if token is None else {"Authorization": f"Bearer {token}"}
        url = f"http://127.0.0.1:{self.port}/some/where?x=1"
        async with self.session.request(method, url, headers=sent, data=data) as answer:
            body = await answer.read()
            return answer.status, dict(answer.headers), json.loads(body) if answer.status == 200 else {}


@contextmanager
def nginx(home: Path, port: int) -> Iterator[None]:
    assert NGINX is not None
    words = [NGINX, "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf")]
    with (home / "errors").open("wb") as errors, subprocess.Popen(words, stderr=errors) as server:
        try:
            _wait(port, server, home / "errors")
            yield
        finally:
            server.terminate()
            server.wait(10)


def _wait(port: int, server: subprocess.Popen[bytes], errors: Path) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, errors.read_text()
        time.sleep(0.02)
    raise AssertionError("nginx does not listen")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with House(tmp_path).standing() as house:
        yield house


async def test_who_shows_a_good_token_reaches_the_service_which_learns_what_it_says(house: House) -> None:
    status, _, seen = await house.ask(house.token(client_id="app"))
    assert status == 200
    headers = seen["headers"]
    assert headers["X-Token-Subject"] == "alice"
    assert headers["X-Token-Scope"] == "read write"
    assert headers["X-Token-Client"] == "app"
    told = json.loads(base64.urlsafe_b64decode(headers["X-Token-Claims"] + "=="))
    assert (told["iss"], told["aud"]) == (house.issuer, AUDIENCE)
    assert "Authorization" not in headers
    assert seen["path"] == "/some/where?x=1"


async def test_who_shows_none_or_a_bad_one_is_told_so_and_reaches_nothing(house: House) -> None:
    status, headers, _ = await house.ask()
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    status, headers, _ = await house.ask(house.token(exp=1000))
    assert (status, headers["WWW-Authenticate"]) == (
        401,
        'Bearer realm="api", error="invalid_token", error_description="the token has ended"',
    )
    for bad in (house.token()[:-8], house.token(aud="other"), house.token(iss="https://evil.example.com"), "x" * 9000):
        assert (await house.ask(bad))[0] == 401


async def test_who_may_not_do_this_is_told_what_it_takes(house: House) -> None:
    status, headers, _ = await house.ask(house.token(scope="write"))
    assert status == 403
    assert headers["WWW-Authenticate"].endswith('error_description="the token has not the scope read", scope="read"')


@pytest.mark.parametrize("site", ["", COMMON], ids=["of the page", "as people write it"])
async def test_nobody_can_say_for_himself_who_he_is(site: str, tmp_path: Path) -> None:
    # The last one is the same to services that are told of headers as of variables; nginx drops it.
    forged = {
        "X-Token-Subject": "root",
        "x-token-scope": "admin",
        "X-Token-Issuer": "me",
        "X-TOKEN-CLIENT": "root",
        "X_Token_Subject": "root",
    }
    async with House(tmp_path, site).standing() as house:
        status, _, seen = await house.ask(house.token(), headers=forged)
        assert (status, seen["headers"]["X-Token-Subject"]) == (200, "alice")
        status, _, seen = await house.ask(house.token(sub=None), headers=forged)
        assert status == 200
        small = {name.lower() for name in seen["headers"]}
        assert not small & {"x-token-subject", "x_token_subject"}, "what the token does not say, nobody says"
        if not site:
            assert seen["headers"]["X-Token-Scope"] == "read write"
            assert not small & {"x-token-client", "x-token-issuer"}
        assert (await house.ask(None, headers=forged))[0] == 401


@pytest.mark.parametrize("site", ["", COMMON], ids=["of the page", "as people write it"])
async def test_requests_of_browsers_with_bodies_and_through_other_proxies_pass_as_well(
    site: str, tmp_path: Path
) -> None:
    browser = {
        "Origin": "https://app.example.com",
        "Referer": "https://app.example.com/page",
        "X-Forwarded-For": "203.0.113.7, 10.0.0.1",
        "Cookie": "session=" + "x" * 500,
        "User-Agent": "Mozilla/5.0",
    }
    async with House(tmp_path, site).standing() as house:
        for method, body in (("GET", None), ("POST", b"a=1"), ("PUT", b"x" * 200_000)):
            status, _, seen = await house.ask(house.token(), method, body, browser)
            assert status == 200
            assert seen["body"] == (body or b"").decode()
            assert seen["headers"]["X-Token-Subject"] == "alice"
        assert (await house.ask(None, "POST", b"a=1", browser))[0] == 401


async def test_a_long_token_passes_with_all_that_it_says(house: House) -> None:
    status, _, seen = await house.ask(house.token(groups=[f"group-{number}" for number in range(400)]))
    assert status == 200
    told = json.loads(base64.urlsafe_b64decode(seen["headers"]["X-Token-Claims"] + "=="))
    assert len(told["groups"]) == 400


async def test_good_tokens_come_over_a_few_connections_that_are_kept(house: House) -> None:
    tokens = [house.token(jti=str(number)) for number in range(10)]
    for _ in range(5):
        answers = await asyncio.gather(*(house.ask(token) for token in tokens))
        assert [status for status, _, _ in answers] == [200] * 10
    assert house.counting.connections <= 16, "as many as the page has nginx keep"
    assert house.stats.requests() == {("verify", "", 200): 50}


async def test_as_many_answers_are_counted_as_there_are(house: House) -> None:
    answers = await asyncio.gather(*(house.ask(token) for token in [house.token(), house.token(aud="x"), None] * 5))
    assert [status for status, _, _ in answers] == [200, 401, 401] * 5
    assert house.stats.requests() == {("verify", "", 200): 5, ("verify", "", 401): 10}


async def test_many_bad_tokens_keep_no_good_one_out(house: House) -> None:
    """More of them than one caller of ours may ask for: behind a proxy, everybody is one caller."""
    url, headers = f"http://127.0.0.1:{house.ours}/v1/verify/api", {"Authorization": f"Bearer {house.token(aud='x')}"}
    for _ in range(16):
        await asyncio.gather(*(_status(house.session, url, headers) for _ in range(250)))
    assert (await house.ask(house.token()))[0] == 200
    assert (await house.ask(house.token(aud="x")))[0] == 401
    assert house.stats.requests()["verify", "", 401] == 16 * 250 + 1


async def _status(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str]) -> int:
    async with session.get(url, headers=headers) as answer:
        return answer.status


async def test_a_key_that_was_rotated_in_is_good_from_its_first_token_on(house: House) -> None:
    assert (await house.ask(house.token()))[0] == 200
    house.pages["/keys"] = json.dumps({"keys": [a_jwk(), a_jwk("two")]}).encode()
    now = int(SystemClock().now().timestamp())
    fresh = a_token(claims(iss=house.issuer, iat=now, exp=now + 60), kid="two").decode()
    assert (await house.ask(fresh))[0] == 200


async def test_nothing_gets_through_while_the_agent_is_away_or_has_no_keys(house: House) -> None:
    house.pages["/keys"] = b"gone"
    assert (await house.ask(house.token()))[0] == 500
    await house.agent.aclose()
    assert (await house.ask(house.token()))[0] in {500, 502}
    assert (await house.ask())[0] in {500, 502}
