"""Does nginx show what we publish, and nothing else, from the site that we write for it?"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from http.client import HTTPResponse
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from agent.infrastructure.hosting import Folder, Site
from agent.infrastructure.nginx import Tls, nginx
from agent.infrastructure.written import marked
from agent.publishing.directory import DirectoryPublisher
from agent.sandbox.tls import Authority, new_authority, new_leaf
from tests.fakes.ports import own_port

NGINX = shutil.which("nginx")
pytestmark = [pytest.mark.long, pytest.mark.skipif(NGINX is None, reason="nginx is not installed")]

HOST = "oidc.example.com"
SITE = Site.of([f"https://{HOST}/site-a", f"https://{HOST}"])
KEY = {"kty": "EC", "crv": "P-256", "x": "x", "y": "y", "kid": "kid-1", "alg": "ES256"}
DOCUMENTS = ("/.well-known/openid-configuration", "/.well-known/jwks.json")

MAIN = """\
daemon off;
error_log stderr;
pid {home}/nginx.pid;
{user}
events {{ }}
http {{
    access_log off;
    types {{ text/plain json; }}
    default_type text/html;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/sites/*.conf;
}}
"""


def run_nginx(home: Path, *words: str) -> list[str]:
    assert NGINX is not None
    return [NGINX, "-p", str(home), "-e", "stderr", "-c", str(home / "nginx.conf"), *words]


def write_site(home: Path, port: int, authority: Authority) -> dict[str, Path]:
    """Everything that nginx needs, with awkward names of folders; the folder of each issuer."""
    leaf = new_leaf(authority, [HOST])
    chain, key = home / "full chain.pem", home / "key;.pem"
    chain.write_bytes(leaf.certificate.public_bytes(Encoding.PEM) + authority.pem)
    key.write_bytes(leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    folders = {"site-a": home / 'of {site} "a"', "": home / "of the host"}
    shown = {path: Folder(folder, timedelta(minutes=7)) for path, folder in folders.items()}
    text = nginx(SITE, shown, tls=Tls(chain, key), listen=(f"127.0.0.1:{port}",))
    (home / "sites").mkdir()
    (home / "sites" / "issuer.conf").write_text(marked(text))
    (home / "sites" / "issuer.conf.new").write_text("this is not read")
    user = "user root;" if os.geteuid() == 0 else ""  # its workers, or they could not look into the tests' folder
    (home / "nginx.conf").write_text(MAIN.format(home=home, user=user))
    return folders


class Site443:
    """A running nginx, asked as AWS would ask it."""

    def __init__(self, port: int, authority: Authority) -> None:
        self.port = port
        self.trust = authority.pem.decode()

    def ask(
        self, path: str, method: str = "GET", version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> tuple[HTTPResponse, bytes]:
        context = ssl.create_default_context(cadata=self.trust)
        context.minimum_version = context.maximum_version = version
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection,
            context.wrap_socket(connection, server_hostname=HOST) as secured,
        ):
            secured.sendall(f"{method} {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n".encode())
            response = HTTPResponse(secured, method=method)
            response.begin()
            return response, response.read()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site443, dict[str, Path]]]:
    home = tmp_path_factory.mktemp("nginx")
    port, authority = own_port(), new_authority("An authority of the tests")
    folders = write_site(home, port, authority)
    with subprocess.Popen(run_nginx(home), stderr=subprocess.PIPE) as server:
        try:
            wait_for(port, server)
            yield Site443(port, authority), folders
        finally:
            server.terminate()
            server.wait(10)


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert server.poll() is None, server.stderr and server.stderr.read()
        time.sleep(0.05)
    raise AssertionError("nginx does not listen")


@pytest.fixture
async def published(running: tuple[Site443, dict[str, Path]]) -> Site443:
    site, folders = running
    for path, folder in folders.items():
        publisher = DirectoryPublisher(folder, SITE.issuer(path), max_age=timedelta(minutes=7))
        await publisher.publish([{**KEY, "kid": f"kid of {path}"}], ())
        (folder / "secret.txt").write_text("nobody's business")
        (folder / ".well-known" / "other.json").write_text("nobody's business")
    return site


def test_nginx_itself_finds_nothing_wrong_with_it(tmp_path: Path) -> None:
    write_site(tmp_path, own_port(), new_authority("An authority of the tests"))
    done = subprocess.run(run_nginx(tmp_path, "-t"), capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    assert "warn" not in done.stderr


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("path", ["", "/site-a"])
@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_document_is_json_that_may_be_kept_for_as_long_as_the_configuration_says(
    published: Site443, path: str, document: str, version: ssl.TLSVersion
) -> None:
    response, body = published.ask(path + document, version=version)
    assert response.status == 200
    assert response.getheader("Content-Type") == "application/json"
    assert response.getheader("Cache-Control") == "public, max-age=420"
    assert response.getheader("Server") == "nginx"
    read = json.loads(body)
    if document.endswith("jwks.json"):
        assert [key["kid"] for key in read["keys"]] == [f"kid of {path.strip('/')}"]
    else:
        assert read["issuer"] == f"https://{HOST}{path}"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/site-a",
        "/site-a/",
        "/.well-known",
        "/.well-known/",
        "/site-a/.well-known/",
        "/secret.txt",
        "/.well-known/other.json",
        "/.well-known/jwks.json/",
        "/.well-known/jwks.jso",
        "/site-b/.well-known/jwks.json",
        "/site-a/../secret.txt",
        "/index.html",
    ],
)
def test_nothing_else_is_there_and_nobody_is_sent_elsewhere(published: Site443, path: str) -> None:
    response, _ = published.ask(path)
    assert (response.status, response.getheader("Location")) == (404, None)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_nothing_can_be_done_but_read(published: Site443, method: str) -> None:
    response, _ = published.ask(DOCUMENTS[1], method)
    assert response.status == 403


def test_the_headers_alone_may_be_asked_for(published: Site443) -> None:
    response, body = published.ask(DOCUMENTS[1], "HEAD")
    assert (response.status, body) == (200, b"")
    assert int(response.getheader("Content-Length") or 0) > 0


async def test_a_document_that_changes_is_shown_at_once(
    published: Site443, running: tuple[Site443, dict[str, Path]]
) -> None:
    publisher = DirectoryPublisher(running[1][""], SITE.issuer(""), max_age=timedelta(minutes=7))
    await publisher.publish([{**KEY, "kid": "another"}], ())
    _, body = published.ask(DOCUMENTS[1])
    assert "another" in {key["kid"] for key in json.loads(body)["keys"]}
    await publisher.publish([{**KEY, "kid": "kid of "}], ["another"])
