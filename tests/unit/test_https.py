import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from agent.https import OURS, TooLong, asked, body_of, object_in
from agent.sandbox.listen import listening
from agent.sandbox.tls import new_authority, server_context


class Server:
    """A real one, which remembers what it was asked."""

    def __init__(self, url: str, trust: ssl.SSLContext) -> None:
        self.url, self.trust = url, trust
        self.seen: list[web.Request] = []
        self.answer: Callable[[], web.StreamResponse] = lambda: web.json_response({"a": 1})


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    authority = new_authority("tests")
    (tmp_path / "ca.pem").write_bytes(authority.pem)
    context = server_context(authority, ["localhost", "127.0.0.1"], tmp_path)
    found = Server("", ssl.create_default_context(cafile=tmp_path / "ca.pem"))

    async def serve(request: web.Request) -> web.StreamResponse:
        await request.read()
        found.seen.append(request)
        return found.answer()

    async with listening(serve, "127.0.0.1", 0, context) as url:
        found.url = url
        yield found


async def test_an_answer_comes_as_it_is(server: Server) -> None:
    async with asked("GET", server.url, trust=server.trust, headers=OURS) as response:
        assert object_in(await body_of(response, 100)) == {"a": 1}
    assert server.seen[0].headers["Accept-Encoding"] == "identity"


async def test_a_form_is_sent(server: Server) -> None:
    async with asked("POST", server.url, trust=server.trust, headers=OURS, form=b"a=b") as response:
        assert response.status == 200
    assert await server.seen[0].read() == b"a=b"


async def test_nothing_that_lies_around_has_a_say(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.answer = lambda: web.Response(headers={"Set-Cookie": "a=b"})
    for _ in range(2):
        async with asked("GET", server.url, trust=server.trust, headers=OURS) as response:
            assert response.status == 200
    assert "Cookie" not in server.seen[1].headers


async def test_a_redirect_is_an_answer_like_any_other(server: Server) -> None:
    server.answer = lambda: web.Response(status=302, headers={"Location": "https://elsewhere.example.com/"})
    async with asked("GET", server.url, trust=server.trust, headers=OURS) as response:
        assert response.status == 302
    assert len(server.seen) == 1


async def test_a_stranger_is_not_talked_to(server: Server) -> None:
    strange = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with pytest.raises(aiohttp.ClientConnectorCertificateError):
        async with asked("GET", server.url, trust=strange, headers=OURS):
            pass
    assert not server.seen


async def test_no_more_is_read_than_there_is_a_use_for(server: Server) -> None:
    server.answer = lambda: web.Response(body=b"x" * 101)
    with pytest.raises(TooLong):
        async with asked("GET", server.url, trust=server.trust, headers=OURS) as response:
            await body_of(response, 100)


async def test_who_has_seen_enough_does_not_read_on_to_the_end_of_what_has_none(server: Server) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    server.answer = lambda: web.Response(body=endless())
    async with asyncio.timeout(10):
        with pytest.raises(TooLong):
            async with asked("GET", server.url, trust=server.trust, headers=OURS) as response:
                await body_of(response, 5000)


@pytest.mark.parametrize(
    "body", [b"", b"[1]", b"null", b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}', b'{"a": -Infinity}']
)
def test_what_is_no_object_is_none(body: bytes) -> None:
    assert object_in(body) is None
