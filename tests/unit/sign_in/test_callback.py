import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agent.errors import CredentialsRefused, ListenerUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import pages
from agent.sign_in.callback import PATH, Callback, way_back

STATE = Secret("the-state-of-this-sign-in")


@pytest.fixture
async def callback() -> AsyncIterator[Callback]:
    async with way_back(STATE, 0) as callback:
        yield callback


async def send(callback: Callback, raw: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", callback.port)
    writer.write(raw)
    answer = await reader.read()
    writer.close()
    return answer


async def get(callback: Callback, target: str, method: str = "GET", host: str = "") -> tuple[int, bytes]:
    host = host or f"127.0.0.1:{callback.port}"
    answer = await send(callback, f"{method} {target} HTTP/1.1\r\nHost: {host}\r\nAccept: */*\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


async def answered(callback: Callback, code: str = "the-code") -> bytes:
    """Bring the right answer, and see the page that comes of it."""
    browser = asyncio.ensure_future(get(callback, f"{PATH}?code={code}&state={STATE.reveal()}"))
    assert (await callback.code()).reveal() == code
    callback.tell(pages.WORKED)
    status, page = await browser
    assert status == 200
    return page


async def test_the_code_comes_back_and_the_page_says_what_became_of_it(callback: Callback) -> None:
    assert await answered(callback) == pages.WORKED


async def test_it_listens_on_this_machine_and_nowhere_else(callback: Callback) -> None:
    port = f"{callback.port:04X}"
    listening = [
        line.split()[1]
        for table in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port}") and line.split()[3] == "0A"
    ]
    assert listening == [f"0100007F:{port}"]
    assert callback.redirect_uri == f"http://127.0.0.1:{callback.port}/oauth/callback"


@pytest.mark.parametrize(
    "query",
    [
        "",
        "?code=forged",
        "?code=forged&state=",
        "?code=forged&state=the-state-of-this-sign-iN",
        "?code=forged&state=the-state-of-this-sign-in-and-more",
        "?error=access_denied",
        "?error=access_denied&state=guessed",
        "?code=forged&state=the-state-of-this-sign-in&state=guessed",
        "?code=a&code=b&state=the-state-of-this-sign-in",
        "?state=the-state-of-this-sign-in",
        "?code=&state=the-state-of-this-sign-in",
        "?code=%ff%fe&state=%ff",
        "?" + "&".join(f"p{number}=x" for number in range(100)),
    ],
)
async def test_what_is_not_ours_is_told_so_and_ends_nothing(callback: Callback, query: str) -> None:
    status, page = await get(callback, PATH + query)
    assert (status, page) == (400, pages.FOREIGN)
    assert await answered(callback) == pages.WORKED


@pytest.mark.parametrize(
    ("target", "method", "status"),
    [
        ("/favicon.ico", "GET", 404),
        ("/", "GET", 404),
        (f"{PATH}/?code=x&state={STATE.reveal()}", "GET", 404),
        (f"//example.com{PATH}?code=x&state={STATE.reveal()}", "GET", 404),
        (f"//[{PATH}?code=x&state={STATE.reveal()}", "GET", 404),
        (f"{PATH}?code=x&state={STATE.reveal()}", "POST", 405),
        (f"{PATH}?code=x&state={STATE.reveal()}", "HEAD", 405),
        (f"{PATH}?code=x&state={STATE.reveal()}", "OPTIONS", 405),
    ],
)
async def test_a_browser_that_asks_for_something_else_first_gets_a_page(
    callback: Callback, target: str, method: str, status: int
) -> None:
    assert await get(callback, target, method) == (status, pages.NOTHING)
    assert await answered(callback) == pages.WORKED


@pytest.mark.parametrize("host", ["evil.example.com", "localhost:{port}", "127.0.0.1", "127.0.0.1:1"])
async def test_another_name_that_leads_here_is_not_answered(callback: Callback, host: str) -> None:
    right = f"{PATH}?code=x&state={STATE.reveal()}"
    status, _ = await get(callback, right, host=host.format(port=callback.port))
    assert status == 421
    assert await answered(callback) == pages.WORKED


@pytest.mark.parametrize(
    "raw",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /oauth/callback HTTP/1.1\r\n\r\n",
        b"GET /oauth/callback HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET http://evil.example.com/ HTTP/1.1\r\nHost: evil.example.com\r\n\r\n",
        b"GET /oauth/callback?\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\r\n\r\n",
        b"GET /" + b"a" * 13_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_garbage_is_refused_and_ends_nothing(callback: Callback, raw: bytes) -> None:
    assert b" 400 " in (await send(callback, raw)).split(b"\r\n")[0]
    assert await answered(callback) == pages.WORKED


async def test_headers_without_end_are_cut_off(callback: Callback) -> None:
    assert b" 431 " in (await send(callback, b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 10_000)).split(b"\r\n")[0]
    assert await answered(callback) == pages.WORKED


async def test_who_connects_and_says_nothing_holds_nobody_up(callback: Callback) -> None:
    silent = [socket.create_connection(("127.0.0.1", callback.port)) for _ in range(20)]
    assert await answered(callback) == pages.WORKED
    for one in silent:
        one.close()


async def test_who_hangs_up_in_the_middle_ends_nothing(callback: Callback) -> None:
    with socket.create_connection(("127.0.0.1", callback.port)) as one:
        one.send(b"GET /oauth")
    assert await answered(callback) == pages.WORKED


async def test_one_answer_is_taken(callback: Callback) -> None:
    await answered(callback)
    assert await get(callback, f"{PATH}?code=again&state={STATE.reveal()}") == (409, pages.ANSWERED)
    assert (await callback.code()).reveal() == "the-code"


async def test_that_somebody_denied_it_is_told_to_both(callback: Callback) -> None:
    status, page = await get(callback, f"{PATH}?error=access_denied&state={STATE.reveal()}")
    assert (status, page) == (200, pages.DENIED)
    with pytest.raises(SignInNeeded, match="denied it in the browser"):
        await callback.code()


@pytest.mark.parametrize(("error", "said"), [("invalid_scope", "invalid_scope"), ("%1b[31mred", "an error")])
async def test_another_error_is_told_without_what_steers_a_terminal(callback: Callback, error: str, said: str) -> None:
    await get(callback, f"{PATH}?error={error}&state={STATE.reveal()}")
    with pytest.raises(CredentialsRefused) as caught:
        await callback.code()
    assert caught.value.what == f"IAM Identity Center sent the browser back with {said}"


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ListenerUnavailable) as caught:
        async with way_back(STATE, taken.getsockname()[1]):
            raise AssertionError("it was free")
    assert "--port" in caught.value.hint


async def test_a_browser_that_waits_is_told_when_it_came_to_nothing() -> None:
    async with way_back(STATE, 0) as callback:
        browser = asyncio.ensure_future(get(callback, f"{PATH}?code=c&state={STATE.reveal()}"))
        await callback.code()
    assert await browser == (200, pages.FAILED)


async def test_after_it_nobody_listens(callback: Callback) -> None:
    async with way_back(STATE, 0) as other:
        port = other.port
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
