"""Real sockets; of TLS too, with a certificate that only a bundle of ours vouches for."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from agent.clock import SystemClock
from agent.errors import IssuerUnreadable
from agent.verification.web import PATIENCE, IssuerWeb, is_safe
from tests.fakes.certificate import certificate
from tests.fakes.clock import FakeClock, settle

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(*pieces: bytes) -> Answer:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"".join(pieces))
        await writer.drain()
        writer.close()

    return answer


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nCache-Control: public\r\nCache-Control: max-age=60\r\nAge: 7\r\n\r\n{}"


@asynccontextmanager
async def site(answer: Answer, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if context else 'http'}://{'localhost' if context else '127.0.0.1'}:{port}/jwks.json"
    finally:
        server.close()
        await server.wait_closed()


async def test_a_document_comes_with_what_is_said_of_its_age() -> None:
    async with site(saying(OK)) as url:
        fetched = await IssuerWeb(SystemClock()).get(url, 1000)
    assert (fetched.body, fetched.cache_control, fetched.age) == (b"{}", "public, max-age=60", 7)


async def test_proxies_of_the_environment_are_not_asked_and_one_that_is_named_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with site(saying(OK)) as url:
        assert (await IssuerWeb(SystemClock()).get(url, 1000)).body == b"{}"
        through = IssuerWeb(SystemClock(), proxy=url.removesuffix("/jwks.json"))
        assert (await through.get("http://127.0.0.2:9/jwks.json", 1000)).body == b"{}"
        with pytest.raises(IssuerUnreadable, match="cannot be read"):
            await IssuerWeb(SystemClock(), proxy="http://127.0.0.1:1").get(url, 1000)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", "leads elsewhere, which is not followed"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers 404"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "answers 204"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 512001\r\n\r\n" + b" " * 512_001, "longer than 256 kB"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 2_000_000, "longer than 256 kB"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}", "cannot be read"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be read"),
        (b"", "cannot be read"),
    ],
)
async def test_what_is_no_document_is_told_for_what_it_is(answer: bytes, sentence: str) -> None:
    async with site(saying(OK)) as elsewhere, site(saying(answer.replace(b"{}", elsewhere.encode()))) as url:
        with pytest.raises(IssuerUnreadable, match=sentence) as caught:
            await IssuerWeb(SystemClock()).get(url, 256 * 1024)
    assert caught.value.hint
    assert caught.value.retryable


async def test_a_site_that_drips_is_given_up_after_five_seconds() -> None:
    clock = FakeClock()

    begun = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        begun.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n ")
        await reader.read()

    async with site(drip) as url:
        asking = asyncio.ensure_future(IssuerWeb(clock).get(url, 1000))
        await begun.wait()
        await clock.advance(timedelta(seconds=PATIENCE - 0.1))
        assert not asking.done()
        await clock.advance(timedelta(seconds=0.2))
        with pytest.raises(IssuerUnreadable, match="did not answer within 5 s"):
            await asking
        await settle()


async def test_nobody_listening_is_said_so() -> None:
    with pytest.raises(IssuerUnreadable, match="cannot be read"):
        await IssuerWeb(SystemClock()).get("http://127.0.0.1:1/jwks.json", 1000)


async def test_a_certificate_must_lead_to_somebody_who_is_trusted_and_be_for_that_host(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    bundle, context = certificate(tmp_path, "localhost")
    async with site(saying(OK), context) as url:
        assert (await IssuerWeb(SystemClock(), ca_bundle=bundle).get(url, 1000)).body == b"{}"
        with pytest.raises(IssuerUnreadable, match="certificate of localhost is not to be trusted") as caught:
            await IssuerWeb(SystemClock()).get(url, 1000)
        assert "ca_bundle" in caught.value.hint
    bundle, context = certificate(tmp_path / "other", "other.example.com")
    async with site(saying(OK), context) as url:
        with pytest.raises(IssuerUnreadable, match="not to be trusted"):
            await IssuerWeb(SystemClock(), ca_bundle=bundle).get(url, 1000)


async def test_a_bundle_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for name in ("empty.pem", "missing.pem"):
        with pytest.raises(IssuerUnreadable, match=f"CA bundle .*{name} cannot be used"):
            await IssuerWeb(SystemClock(), ca_bundle=tmp_path / name).get("https://localhost:1/", 1000)


@pytest.mark.parametrize(
    "url",
    [
        "https://login.example.com/jwks.json",
        "http://127.0.0.1:8080/jwks.json",
        "http://[::1]:8080/jwks.json",
        "http://localhost/jwks.json",
    ],
)
def test_https_is_safe_and_so_is_what_never_leaves_this_machine(url: str) -> None:
    assert is_safe(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example.com/jwks.json",
        "http://127.0.0.1.example.com/",
        "http://localhost.example.com/",
        "http://127.0.0.1@example.com/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "//login.example.com/",
        "http://[::1",
        "",
    ],
)
async def test_plain_http_never_leaves_this_machine(url: str) -> None:
    assert not is_safe(url)
    with pytest.raises(IssuerUnreadable, match="no https address"):
        await IssuerWeb(SystemClock()).get(url, 1000)
