"""Is a port opened, and closed with everything that came through it?"""

import asyncio

import aiohttp
import pytest
from aiohttp import web

from agent.errors import ListenerUnavailable
from agent.sandbox.listen import listening


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(text=request.path)


async def test_every_path_and_method_is_served() -> None:
    async with listening(hello, "127.0.0.1", 0, None) as url, aiohttp.ClientSession() as http:
        for method in ("GET", "POST", "DELETE", "PATCH"):
            async with http.request(method, f"{url}/a/b") as answer:
                assert await answer.text() == "/a/b"


async def test_an_address_that_is_taken_is_said_to_be() -> None:
    async with listening(hello, "127.0.0.1", 0, None) as url:
        port = int(url.rpartition(":")[2])
        with pytest.raises(ListenerUnavailable) as caught:
            async with listening(hello, "127.0.0.1", port, None):
                pass
        assert caught.value.what == f"the sandbox cannot listen on 127.0.0.1:{port}"
        assert caught.value.hint


async def test_an_idle_connection_does_not_outlive_the_listener() -> None:
    async with listening(hello, "127.0.0.1", 0, None) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    await asyncio.wait_for(reader.read(), 20)
    assert reader.at_eof()
    writer.close()
    await writer.wait_closed()


async def test_a_request_that_hangs_does_not_keep_it_open() -> None:
    arrived = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await asyncio.Event().wait()
        raise AssertionError

    async with listening(hang, "127.0.0.1", 0, None) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await arrived.wait()
    assert await asyncio.wait_for(reader.read(), 20) == b""
    writer.close()
    await writer.wait_closed()
