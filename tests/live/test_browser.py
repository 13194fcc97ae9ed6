"""Does the browser of the tests do what a person could, and no more, and is it gone afterwards?"""

import asyncio
import os
import shutil
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fakes.ports import own_port
from tests.live.browser import Browser, BrowserError, chromium

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[2]
_KILLED = """
import asyncio
from tests.live.browser import chromium

async def main():
    async with chromium() as browser:
        print(browser.process, browser.log.parent, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""
PAGE = """<!DOCTYPE html><title>a page</title><h1>Hello</h1>
<form action=/said><input name=word value=before><button>Send</button><button disabled>Not yet</button></form>
<p hidden>out of sight</p><button hidden>Unseen</button><script>document.title = "scripted"</script>
<img src=http://elsewhere.example.com/picture>"""


async def page(request: web.Request) -> web.Response:
    if request.path == "/said":
        return web.Response(text=f"You said {request.query['word']}")
    return web.Response(text=PAGE, content_type="text/html")


@asynccontextmanager
async def site() -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_get("/{any:.*}", page)
    async with TestServer(application, host="127.0.0.1") as server:
        yield str(server.make_url("/"))


async def test_it_reads_fills_and_clicks(browser: Browser) -> None:
    async with site() as url:
        await browser.open(url)
        assert "Hello" in await browser.text()
        assert "out of sight" not in await browser.text()
        await browser.fill("[name=word]", "after & über")
        await browser.click("Send")
        assert await browser.shows("You said") == "You said after & über"
        assert await browser.arrives(f"{url}said?word=after") == await browser.url()
        assert any("elsewhere.example.com" in one for one in browser.requests)
        assert any("ERR_NAME_NOT_RESOLVED" in one for one in browser.complaints)


@pytest.mark.long
async def test_what_nobody_could_click_on_is_not_clicked_on(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.live.browser.PATIENCE", 0.5)
    async with site() as url:
        await browser.open(url)
        for words in ("Unseen", "No such button"):
            with pytest.raises(BrowserError, match="there is no"):
                await browser.click(words)
        await browser.click("Not yet")
        assert await browser.url() == url
        with pytest.raises(BrowserError, match="Hello"):
            await browser.shows("You said")


@pytest.mark.long
async def test_a_page_without_scripts_runs_none(browser: Browser) -> None:
    async with site() as url:
        await browser.open(url)
        assert await browser.script("document.title") == "scripted"
        await browser.forbid_scripts()
        await browser.open(url)
        assert await browser.script("document.title") == "a page"


async def test_a_browser_that_dies_says_so_and_one_that_is_done_is_gone() -> None:
    url = f"http://127.0.0.1:{own_port()}/"
    async with chromium() as browser:
        child = browser.process
        os.kill(child, 0)
        with pytest.raises(BrowserError, match="ERR_CONNECTION_REFUSED"):
            await browser.open(url)
        os.kill(child, 9)
        with pytest.raises(BrowserError, match="has ended"):
            await asyncio.wait_for(browser.shows("anything"), 5)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


@pytest.mark.long
async def test_a_browser_whose_test_was_killed_is_gone_too(browser: Browser) -> None:
    """Nobody was left to close it: the pipe did. Another one is not touched by that."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, cwd=ROOT, stdout=PIPE)
    assert process.stdout
    pid, home = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().split()
    assert is_running(int(pid))
    process.kill()
    await process.wait()
    for _ in range(200):
        if not is_running(int(pid)):
            break
        await asyncio.sleep(0.05)
    assert not is_running(int(pid))
    shutil.rmtree(home, ignore_errors=True)
    assert await browser.script("1 + 1") == 2


def is_running(pid: int) -> bool:
    """Whether there is such a process that is more than a memory of one: nobody may be there to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
