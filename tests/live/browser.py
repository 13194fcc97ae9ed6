"""A real Chromium without a window, told what to do as its own developer tools tell it.

It listens on a pipe and not on a port: nobody else can reach it, and it ends when the pipe does, whatever becomes of
the test. Its network is this machine's loopback and nothing else.
"""

import asyncio
import base64
import fcntl
import itertools
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

#: How long a page may take to be as a test wants it, in seconds.
PATIENCE = 20.0
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_WHY = "there is no Chromium here: apt-get install chromium"
_OPTIONS = (
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",  # which root, in CI, cannot have
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-breakpad",
    "--no-proxy-server",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
)
_MOST_IN_ONE_MESSAGE = 64 * 1024 * 1024
#: The middle of the element that a script finds, in view; null if it is not there or cannot be seen.
_MIDDLE = """(() => {
  const found = %s;
  if (!found) return null;
  found.scrollIntoView({block: "center", behavior: "instant"});
  const box = found.getBoundingClientRect();
  if (!box.width || !box.height) return null;
  return [box.x + box.width / 2, box.y + box.height / 2];
})()"""
#: What people click on, by the words on it.
_BY_WORDS = """[...document.querySelectorAll("button, a, label, summary, [role=button], input[type=submit]")]
  .find(one => (one.innerText || one.value || "").trim() === %s)"""


class BrowserError(Exception):
    """The browser cannot do what it was told, or a page did not become what was waited for."""


class Browser:
    """One window. Clicks and keys are real: what lies under something else, or is disabled, does not get them.

    Attributes:
        process: its process id.
        log: the file with what it says about itself.
        requests: the URL of everything that was asked for, oldest first.
        complaints: what a developer would see in red: scripts that fail, policies that are broken.
    """

    def __init__(self, reader: asyncio.StreamReader, pipe: int, log: Path, process: int) -> None:
        self._reader = reader
        self._pipe = pipe
        self.log = log
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._session: str | None = None
        self._gone = False
        self.process = process
        self.requests: list[str] = []
        self.complaints: list[str] = []

    async def open(self, url: str) -> None:
        """Go to a URL, as if somebody had typed it. Raises BrowserError where nothing answers."""
        went = await self._tell("Page.navigate", url=url)
        if went.get("errorText"):
            raise BrowserError(f"{url}: {went['errorText']}")
        await self._until(self._is_loaded, f"the page at {url} has not loaded")

    async def url(self) -> str:
        """Where the window is."""
        return str(await self.script("location.href"))

    async def text(self) -> str:
        """What can be read on the page."""
        return str(await self.script("document.body ? document.body.innerText : ''"))

    async def shows(self, words: str, within: float | None = None) -> str:
        """Wait until these words are on the page; gives all of its text. Raises BrowserError."""

        async def there() -> bool:
            return words in await self.text() and await self._is_loaded()

        await self._until(there, f"there is no {words!r} on the page", within)
        return await self.text()

    async def arrives(self, start: str, within: float | None = None) -> str:
        """Wait until the window is at a URL that begins so; gives all of it. Raises BrowserError."""

        async def there() -> bool:
            return (await self.url()).startswith(start) and await self._is_loaded()

        await self._until(there, f"the window is not at {start}", within)
        return await self.url()

    async def click(self, words: str) -> None:
        """Click on the button, link or label with exactly these words on it. Raises BrowserError if there is none."""
        await self._click(_BY_WORDS % json.dumps(words), words)

    async def click_on(self, selector: str) -> None:
        """Click on the first element that this CSS selector finds. Raises BrowserError if there is none."""
        await self._click(f"document.querySelector({json.dumps(selector)})", selector)

    async def fill(self, selector: str, value: str) -> None:
        """Replace what is in a field. Raises BrowserError if there is none."""
        await self.click_on(selector)
        await self.script(f"document.querySelector({json.dumps(selector)}).select()")
        await self._tell("Input.insertText", text=value)

    async def press(self, key: str = "Enter") -> None:
        """Press a key where the cursor is: Enter, Tab, Escape or Space."""
        codes = {"Enter": (13, "\r"), "Tab": (9, ""), "Escape": (27, ""), "Space": (32, " ")}
        number, text = codes[key]
        named = {"key": " " if key == "Space" else key, "code": key, "windowsVirtualKeyCode": number}
        await self._tell("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **named)
        await self._tell("Input.dispatchKeyEvent", type="keyUp", **named)

    async def forbid_scripts(self) -> None:
        """Let no page run a script from now on, as people do who want none."""
        await self._tell("Emulation.setScriptExecutionDisabled", value=True)

    async def forget(self) -> None:
        """Lose all cookies."""
        await self._tell("Network.clearBrowserCookies")

    async def cookies(self) -> list[Mapping[str, Any]]:
        """The cookies of the page: `name`, `value`, `httpOnly`, `secure`, `sameSite`, …"""
        found: list[Mapping[str, Any]] = (await self._tell("Network.getCookies"))["cookies"]
        return found

    async def picture(self) -> bytes:
        """What somebody would see, as a PNG: for whoever wonders why a test fails."""
        return base64.b64decode((await self._tell("Page.captureScreenshot", format="png"))["data"])

    async def script(self, source: str) -> Any:
        """What an expression comes to in the page. Raises BrowserError if it throws."""
        answer = await self._tell("Runtime.evaluate", expression=source, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(f"{source}: {answer['exceptionDetails']['text']}")
        return answer["result"].get("value")

    async def _click(self, finder: str, what: str) -> None:
        spot: list[float] = []

        async def there() -> bool:
            spot[:] = await self.script(_MIDDLE % finder) or []
            return bool(spot) and await self._is_loaded()

        await self._until(there, f"there is no {what!r} to click on")
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
            await self._tell("Input.dispatchMouseEvent", type=kind, x=spot[0], y=spot[1], **button)

    async def _is_loaded(self) -> bool:
        return bool(await self.script("document.readyState === 'complete'"))

    async def _until(self, is_so: Callable[[], Awaitable[bool]], otherwise: str, within: float | None = None) -> None:
        """Look again and again. A page that is being left has nothing to look at: that is no failure."""
        loop = asyncio.get_running_loop()
        end = loop.time() + (PATIENCE if within is None else within)
        while not self._gone:
            with suppress(BrowserError):
                if await is_so():
                    return
            if loop.time() > end:
                raise BrowserError(f"{otherwise}; at {await self.url()} it says:\n{await self.text()}")
            await asyncio.sleep(0.02)
        raise BrowserError(self._last_words())

    async def start(self) -> None:
        """Open the window."""
        target = await self._tell("Target.createTarget", url="about:blank")
        attached = await self._tell("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for room in ("Page", "Runtime", "Network", "Log"):
            await self._tell(f"{room}.enable")

    async def listen(self) -> None:
        """Take in what the browser says, until it is gone."""
        with suppress(asyncio.IncompleteReadError):
            while True:
                self._hear(json.loads((await self._reader.readuntil(b"\0"))[:-1]))
        self._gone = True
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(BrowserError(self._last_words()))

    def _hear(self, said: Mapping[str, Any]) -> None:
        told = said.get("params", {})
        match said.get("method"):
            case None:
                waiting = self._asked.pop(said["id"], None)
                if waiting is not None and not waiting.done():
                    if "error" in said:
                        waiting.set_exception(BrowserError(said["error"]["message"]))
                    else:
                        waiting.set_result(said["result"])
            case "Network.requestWillBeSent":
                self.requests.append(told["request"]["url"])
            case "Log.entryAdded" if told["entry"]["level"] == "error":
                self.complaints.append(told["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(told["exceptionDetails"]["text"])

    async def _tell(self, method: str, **parameters: Any) -> Any:
        """Give one order and wait until it has been carried out. Raises BrowserError."""
        if self._gone:
            raise BrowserError(self._last_words())
        number = next(self._numbers)
        order: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            order["sessionId"] = self._session
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        with suppress(BrokenPipeError):  # the answer will be that it is gone
            os.write(self._pipe, json.dumps(order).encode() + b"\0")
        try:
            async with asyncio.timeout(PATIENCE):
                return await answer
        except TimeoutError:
            raise BrowserError(f"the browser did not {method} within {PATIENCE:.0f} s") from None
        finally:
            self._asked.pop(number, None)

    def _last_words(self) -> str:
        return f"the browser has ended: {self.log.read_text(errors='replace')[-2000:]}"


@asynccontextmanager
async def chromium(*options: str) -> AsyncIterator[Browser]:
    """A browser that knows nobody: no cookies, no history; with more command-line options than usual, if need be.

    `--ignore-certificate-errors` lets it see a sandbox with TLS. Skips the test where there is no Chromium.
    """
    program = next(filter(None, map(shutil.which, _NAMES)), None)
    if program is None:
        pytest.skip(_WHY)
    async with AsyncExitStack() as stack:
        # in /tmp, for the path of a socket in there may have no more than 107 characters
        home = Path(stack.enter_context(TemporaryDirectory(prefix="chromium-", dir="/tmp", ignore_cleanup_errors=True)))
        ours_in, theirs_out = _pipe()
        theirs_in, ours_out = _pipe()
        stack.callback(os.close, ours_out)
        command = [program, *_OPTIONS, f"--user-data-dir={home / 'profile'}", *options, "about:blank"]
        child = _spawn(command, home, theirs_in, theirs_out)
        stack.push_async_callback(_buried, child)
        reader = asyncio.StreamReader(limit=_MOST_IN_ONE_MESSAGE)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours_in, "rb", 0)
        )
        stack.callback(transport.close)
        browser = Browser(reader, ours_out, home / "log", child)
        listening = asyncio.get_running_loop().create_task(browser.listen())
        stack.push_async_callback(_ended, listening)
        await browser.start()
        yield browser


def _pipe() -> tuple[int, int]:
    """A pipe, both ends out of the way of the numbers that the browser wants its own to have."""
    ends = []
    for end in os.pipe():
        ends.append(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10))
        os.close(end)
    return ends[0], ends[1]


def _spawn(command: list[str], home: Path, read: int, write: int) -> int:
    """Start it in a process group of its own, with its end of the pipes as 3 and 4; gives its process id."""
    places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"), str(home))
    environment = {**os.environ, **places}
    log = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        return os.posix_spawn(
            command[0],
            command,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(home / "log"), log, 0o600),
                (os.POSIX_SPAWN_DUP2, 1, 2),
                (os.POSIX_SPAWN_DUP2, read, 3),
                (os.POSIX_SPAWN_DUP2, write, 4),
            ],
            setpgroup=0,
        )
    finally:
        os.close(read)
        os.close(write)


async def _buried(child: int) -> None:
    """End the browser with all that it has started, and wait until it is gone."""
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    await asyncio.to_thread(os.waitpid, child, 0)


async def _ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
