"""Does the proxy lead to the sandbox's sites, and nowhere else?"""

import asyncio
from urllib.parse import urlsplit

import pytest

from agent.sandbox.proxy import Proxy, places

LISTENER = "https://127.0.0.1:4443"


def test_directories_are_at_the_listener_and_other_sites_where_they_are() -> None:
    sites = {
        "https://oidc.example.com/site-a": "/srv/a",
        "https://own.example.com": "https://127.0.0.1:8443",
        "https://plain.example.com": "http://127.0.0.1:8080",
        "https://far.example.com": "https://192.0.2.1",
        "https://OIDC.example.com/site-b": "https://localhost:9443",
    }
    assert places(sites, LISTENER) == {
        "oidc.example.com": ("127.0.0.1", 4443),
        "own.example.com": ("127.0.0.1", 8443),
    }


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say everything twice, then hang up."""
    said = await reader.readuntil(b".")
    writer.write(said * 2)
    await writer.drain()
    writer.close()


async def exchange(url: str, sent: bytes) -> bytes:
    """All that a proxy says to this."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(sent)
    try:
        return await reader.read()
    except ConnectionError:  # it was cut rather than ended
        return b""
    finally:
        writer.close()


async def test_bytes_go_through_in_both_directions() -> None:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with server, Proxy({"a.example.com": server.sockets[0].getsockname()}).listening("127.0.0.1") as url:
        answer = await exchange(url, b"CONNECT A.example.com:443 HTTP/1.1\r\nHost: a.example.com\r\n\r\nhello.")
        assert answer == b"HTTP/1.1 200 Connection established\r\n\r\nhello.hello."


@pytest.mark.parametrize(
    "line",
    [
        "CONNECT b.example.com:443 HTTP/1.1",
        "CONNECT a.example.com:80 HTTP/1.1",
        "CONNECT a.example.com HTTP/1.1",
        "CONNECT 127.0.0.1:443 HTTP/1.1",
        "GET http://a.example.com/ HTTP/1.1",
        "nonsense",
    ],
)
async def test_everything_else_is_refused(line: str) -> None:
    async with Proxy({"a.example.com": ("127.0.0.1", 1)}).listening("127.0.0.1") as url:
        answer = await exchange(url, line.encode() + b"\r\n\r\n")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 403 ")
        assert f"Content-Length: {len(body)}\r\n".encode() in head


async def test_whoever_sends_no_head_or_finds_nobody_is_let_go() -> None:
    async with Proxy({"a.example.com": ("127.0.0.1", 1)}).listening("127.0.0.1") as url:
        assert await exchange(url, b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n") == b""
        assert await exchange(url, b"x" * 100_000) == b""


async def test_lines_that_are_open_end_with_it() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(wait, "127.0.0.1", 0) as server:
        place = server.sockets[0].getsockname()
        async with Proxy({"a.example.com": place}).listening("127.0.0.1") as url:
            open_line = asyncio.ensure_future(exchange(url, b"CONNECT a.example.com:443 HTTP/1.1\r\n\r\n"))
            assert await asyncio.wait({open_line}, timeout=0.2) == (set(), {open_line})
        assert await asyncio.wait_for(open_line, 10) in (b"", b"HTTP/1.1 200 Connection established\r\n\r\n")
