import asyncio
import errno
import json
import os
import socket
import ssl
import tempfile
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from agent.errors import ListenerUnavailable
from agent.events import CertificateRefused, CertificateReloaded
from agent.outputs.issuer import serving_issuer
from agent.publishing import Document
from agent.publishing.discovery import DISCOVERY_PATH, JWKS_PATH, published
from agent.web.stats import RequestStats
from agent.web.tls import LOOK_EVERY, Files, ShownCertificate
from tests.fakes.certificates import DAY
from tests.fakes.issuer_site import CONFIGURATION, ISSUER, KEYS, Site, connected, request, say, trusting
from tests.fakes.memory_key import MemoryKey
from tests.unit.web.world import Told, answers

CLOSE = "Connection: close"
NOBODY = 65534


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    await site.shelf.publish([site.key], [])
    return site


async def ask(site: Site, *sent: bytes) -> list[Told]:
    async with site.listening() as address:
        told = answers(await say(address, *sent))
    assert site.bugs == []
    return told


async def ask_one(site: Site, path: str = KEYS, *more: str, method: str = "GET") -> Told:
    (told,) = await ask(site, request(path, CLOSE, *more, method=method))
    return told


# --- what is there


@pytest.mark.parametrize(("path", "below"), [(KEYS, JWKS_PATH), (CONFIGURATION, DISCOVERY_PATH)])
async def test_a_document_is_shown_with_all_that_a_reader_goes_by_and_no_more(
    site: Site, path: str, below: str
) -> None:
    told = await ask_one(site, path)
    document = site.shelf.document(below)
    assert document is not None
    assert (told.status, told.body) == (200, document.body)
    tag = told.headers.pop("ETag")
    assert tag[0] == tag[-1] == '"'
    assert told.headers == {
        "Content-Type": "application/json",
        "Content-Length": str(len(document.body)),
        "Cache-Control": "public, max-age=300",
        "Date": "Fri, 20 Nov 2026 12:00:00 GMT",
        "Server": "rolecall",
        "X-Content-Type-Options": "nosniff",
        "Connection": "close",
    }


async def test_a_client_that_others_wrote_reads_it_again_and_again_on_one_connection(site: Site) -> None:
    async with site.listening() as (_, port), aiohttp.ClientSession() as session:
        for _ in range(3):
            url = f"https://127.0.0.1:{port}{KEYS}?cache=no"
            async with session.get(url, ssl=trusting(), server_hostname="oidc.example.com") as answer:
                assert answer.status == 200
                assert json.loads(await answer.read())["keys"] == [site.key]
    assert site.stats.requests() == {("issuer", "", 200): 3}


async def test_what_is_published_later_is_shown_at_once(site: Site) -> None:
    new = published(MemoryKey().public)
    async with site.listening() as address:
        before = answers(await say(address, request(KEYS, CLOSE)))[0]
        await site.shelf.publish([new], [str(site.key["kid"])])
        after = answers(await say(address, request(KEYS, CLOSE)))[0]
    assert json.loads(before.body)["keys"] == [site.key]
    assert json.loads(after.body)["keys"] == [new]
    assert before.headers["ETag"] != after.headers["ETag"]


async def test_head_says_the_same_without_the_body(site: Site) -> None:
    async with site.listening() as address:
        whole = await say(address, request(KEYS, CLOSE))
        head = await say(address, request(KEYS, CLOSE, method="HEAD"))
    assert whole.startswith(head)
    assert head.endswith(b"\r\n\r\n")


async def test_who_has_it_already_is_told_so(site: Site) -> None:
    tag = (await ask_one(site)).headers["ETag"]
    for known in (tag, f"W/{tag}", "*", f'"other", {tag}'):
        async with site.listening() as address:
            told = await say(address, request(KEYS, CLOSE, f"If-None-Match: {known}"))
        head, _, body = told.decode().partition("\r\n\r\n")
        assert head.startswith("HTTP/1.1 304 Not Modified\r\n")
        assert body == ""
        assert f"ETag: {tag}" in head
        assert "Cache-Control: public, max-age=300" in head
        assert "Content-Length" not in head
    assert (await ask_one(site, KEYS, 'If-None-Match: "other"')).status == 200
    assert (await ask_one(site, CONFIGURATION, f"If-None-Match: {tag}")).status == 200


async def test_a_target_may_name_the_host_as_for_a_proxy(site: Site) -> None:
    assert (await ask_one(site, f"https://oidc.example.com{KEYS}")).status == 200


async def test_pipelined_requests_are_answered_in_order_each_whole(site: Site) -> None:
    told = await ask(site, request(KEYS) + request("/nothing") + request(CONFIGURATION), request(KEYS, CLOSE))
    assert [one.status for one in told] == [200, 404, 200, 200]
    assert told[0].body == told[3].body != told[2].body


# --- what is not


@pytest.mark.parametrize(
    "path",
    [
        "/", "/site-a", "/site-a/", "/site-a/.well-known", "/site-a/.well-known/", f"{KEYS}/", f"/{KEYS}",
        "/.well-known/jwks.json", "/site-a/../site-a/.well-known/jwks.json", "/site-a/%2ewell-known/jwks.json",
        "/site-b/.well-known/jwks.json", "/SITE-A/.well-known/jwks.json", "/site-a/.well-known/jwks.json;x",
        "/site-a.well-known/jwks.json", "/metrics",
    ],
)  # fmt: skip
async def test_anything_else_is_not_there_and_said_so_in_json(site: Site, path: str) -> None:
    told = await ask_one(site, path)
    assert told.status == 404
    assert json.loads(told.body)["code"] == "NotFound"
    assert told.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT", "BREW"])
async def test_other_methods_are_not_allowed_on_what_is_there(site: Site, method: str) -> None:
    told = await ask_one(site, method=method)
    assert told.status == 405
    assert told.headers["Allow"] == "GET, HEAD"
    assert json.loads(told.body)["code"] == "MethodNotAllowed"
    assert (await ask_one(site, "/elsewhere", method=method)).status == 404


async def test_a_body_is_never_read_as_the_next_request(site: Site) -> None:
    smuggled = request(KEYS, f"Content-Length: {len(request())}", method="POST") + request()
    (told,) = await ask(site, smuggled)
    assert (told.status, told.headers["Connection"]) == (405, "close")


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0, 5\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        bytes(range(128, 256)) + b"\r\n\r\n",
    ],
)
async def test_what_is_doubtful_is_refused_and_ends_the_connection(site: Site, sent: bytes) -> None:
    (told,) = await ask(site, sent + request())
    assert (told.status, told.headers["Connection"]) == (400, "close")
    assert json.loads(told.body)["code"] == "BadRequest"


async def test_old_clients_and_odd_but_lawful_requests_are_answered(site: Site) -> None:
    old = f"GET {KEYS} HTTP/1.0\r\n\r\n".encode()
    assert [one.status for one in await ask(site, old)] == [200]
    odd = "\r\n" + f"GET {KEYS} HTTP/1.1\r\nhOST:\toidc.example.com \r\nX-Café: ü\r\n".replace("é", "e")
    more = "Content-Length: 0\r\nConnection: Keep-Alive , Close\r\n\r\n"
    assert [one.status for one in await ask(site, (odd + more).encode("latin-1"))] == [200]


async def test_a_head_without_end_is_cut_off(site: Site) -> None:
    (told,) = await ask(site, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
    assert told.status == 431


async def test_nothing_published_yet_is_no_key_set_without_keys(tmp_path: Path) -> None:
    told = await ask_one(Site(tmp_path))
    assert told.status == 503
    assert told.headers["Retry-After"] == "5"


class Broken:
    def document(self, path: str) -> Document | None:
        raise ZeroDivisionError(path)


async def test_a_bug_is_told_to_us_and_not_to_the_world(site: Site) -> None:
    async with site.listening(library=Broken()) as address:
        (told,) = answers(await say(address, request()))
    assert told.status == 500
    assert b"ZeroDivision" not in told.body
    assert [type(bug) for bug in site.bugs] == [ZeroDivisionError]


# --- certificates


async def test_a_renewed_certificate_is_shown_to_new_connections_while_old_ones_live_on(site: Site) -> None:
    async with site.listening() as address:
        reader, writer = await connected(address)
        renewed = site.renew(180 * DAY)
        site.heard.clear()
        await site.clock.advance(timedelta(seconds=LOOK_EVERY))
        async with asyncio.timeout(10):
            await site.heard.wait()  # a real thread reads
        _, newer = await connected(address)
        shown = [one.get_extra_info("ssl_object").getpeercert(True) for one in (writer, newer)]
        assert shown == [site.first.der, renewed.der]
        writer.write(request(KEYS, CLOSE))
        assert [one.status for one in answers(await reader.read())] == [200]
        newer.close()
    assert len(site.told.of(CertificateReloaded)) == 2
    assert site.told.of(CertificateRefused) == []


async def test_a_bad_certificate_at_the_start_opens_nothing(site: Site, tmp_path: Path) -> None:
    (tmp_path / "privkey.pem").write_bytes(b"")
    with pytest.raises(ListenerUnavailable, match="privkey"):
        async with site.listening():
            pytest.fail("it was opened")


# --- where it listens


async def refused_at(where: tuple[str, int], site: Site) -> ListenerUnavailable:
    files = Files(site.folder / "fullchain.pem", site.folder / "privkey.pem")
    shown = ShownCertificate(files, site.clock, site.told)
    with pytest.raises(ListenerUnavailable) as refused:
        async with serving_issuer(
            site.shelf, ISSUER, where, shown, clock=site.clock, stats=RequestStats(), on_bug=site.bugs.append
        ):
            pytest.fail("it listens")
    return refused.value


async def test_a_port_that_wants_a_capability_is_refused_with_the_lines_for_a_drop_in() -> None:
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 443:
        pytest.skip("this machine lets everybody listen on port 443")
    was = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:  # where nobody can get to, unlike pytest's own
        site = Site(Path(folder))
        if was == 0:
            for path in (site.folder, *site.folder.iterdir()):
                os.chown(path, NOBODY, -1)
            os.seteuid(NOBODY)
        try:
            failure = await refused_at(("127.0.0.1", 443), site)
        finally:
            os.seteuid(was)
    assert failure.what == "cannot listen on 127.0.0.1:443: this user may not listen there"
    assert "AmbientCapabilities=CAP_NET_BIND_SERVICE" in failure.hint


async def test_a_port_that_is_taken_is_refused(site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        failure = await refused_at(("127.0.0.1", taken.getsockname()[1]), site)
    assert "something listens there already" in failure.what
    assert "a web server, perhaps" in failure.hint
    assert isinstance(failure.__cause__, ListenerUnavailable)
    assert isinstance(failure.__cause__.__cause__, OSError)
    assert failure.__cause__.__cause__.errno == errno.EADDRINUSE


async def test_whoever_speaks_no_tls_is_told_nothing(site: Site) -> None:
    async with site.listening() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        async with asyncio.timeout(10):
            told = await reader.read()
        assert b"HTTP" not in told
        writer.close()
        old = trusting()
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.deprecated_call():
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)) as refused:
            await asyncio.open_connection(*address, ssl=old, server_hostname="oidc.example.com")
        assert "no protocols available" not in str(refused.value)  # it was the other side that would not
        assert [one.status for one in answers(await say(address, request(KEYS, CLOSE)))] == [200]
    assert site.bugs == []
