"""How does the browser bring the answer back? To a listener on this machine, which takes one answer (RFC 8252, 7.3).

Whatever else comes to its port, from whomever, gets a page that says so, and ends nothing: what is not ours is known
by its state, which nobody can guess.
"""

import asyncio
import hmac
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from agent.errors import CredentialsRefused, ListenerUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import pages

HOST: Final = "127.0.0.1"
PATH: Final = "/oauth/callback"

#: How long one connection may take to say what it wants, and how long a page may wait for what it is to say.
_PATIENCE: Final = 10.0
_OUTCOME: Final = 30.0
_LARGEST: Final = 16_384
#: So many connections at a time are listened to; a browser opens a handful.
_MOST: Final = 32
_REQUEST: Final = re.compile(rb"([A-Z]{1,16}) (/[!-~]{0,12288}) HTTP/1\.[01]\r\n")
_HOST_LINE: Final = re.compile(rb"\r\n[Hh][Oo][Ss][Tt]:[ \t]*+([!-~]*+)[ \t]*+(?=\r\n)")


@dataclass(frozen=True, slots=True)
class _Reply:
    status: HTTPStatus
    page: bytes = field(repr=False)


class Callback:
    """The way back of one sign-in."""

    def __init__(self, state: Secret, server: asyncio.Server) -> None:
        """Take the answer that has this state; `server` listens already."""
        self._state = state
        self.port: int = server.sockets[0].getsockname()[1]
        loop = asyncio.get_running_loop()
        self._code: asyncio.Future[Secret] = loop.create_future()
        self._outcome: asyncio.Future[bytes] = loop.create_future()

    @property
    def redirect_uri(self) -> str:
        """Where the browser is to be sent."""
        return f"http://{HOST}:{self.port}{PATH}"

    async def code(self) -> Secret:
        """The code that the browser brings. Raises SignInNeeded if it brings word that somebody denied it."""
        return await self._code

    def tell(self, page: bytes) -> None:
        """Let the browser that brought the code see this."""
        if not self._outcome.done():
            self._outcome.set_result(page)

    def give_up(self) -> None:
        """Nobody waits for an answer any more."""
        self.tell(pages.FAILED)
        if not self._code.done():
            self._code.cancel()
        elif not self._code.cancelled():
            self._code.exception()  # whether somebody heard it or not

    async def answer(self, head: bytes) -> _Reply:
        """What to say to a request, whosever it is."""
        request = _REQUEST.match(head)
        hosts = _HOST_LINE.findall(head)
        if request is None or len(hosts) != 1:
            return _Reply(HTTPStatus.BAD_REQUEST, pages.NOTHING)
        if hosts[0].decode("ascii") != f"{HOST}:{self.port}":  # another name that leads here: DNS rebinding
            return _Reply(HTTPStatus.MISDIRECTED_REQUEST, pages.NOTHING)
        # To the letter: urlsplit would take //elsewhere/oauth/callback for it, and raises for what is none.
        path, _, query = request[2].decode("ascii").partition("?")
        if path != PATH:
            return _Reply(HTTPStatus.NOT_FOUND, pages.NOTHING)
        if request[1] != b"GET":
            return _Reply(HTTPStatus.METHOD_NOT_ALLOWED, pages.NOTHING)
        return await self._taken(_once(query))

    async def _taken(self, parameters: Mapping[str, str]) -> _Reply:
        state = parameters.get("state", "")
        if not hmac.compare_digest(state.encode(), self._state.reveal().encode()):
            return _Reply(HTTPStatus.BAD_REQUEST, pages.FOREIGN)
        if self._code.done():
            return _Reply(HTTPStatus.CONFLICT, pages.ANSWERED)
        if "error" in parameters:
            self._code.set_exception(_denied(parameters["error"]))
            return _Reply(HTTPStatus.OK, pages.DENIED)
        if not parameters.get("code"):
            return _Reply(HTTPStatus.BAD_REQUEST, pages.FOREIGN)
        self._code.set_result(Secret(parameters["code"]))
        page = pages.FAILED
        with suppress(TimeoutError):
            page = await asyncio.wait_for(asyncio.shield(self._outcome), _OUTCOME)
        return _Reply(HTTPStatus.OK, page)


@asynccontextmanager
async def way_back(state: Secret, port: int) -> AsyncIterator[Callback]:
    """Listen on 127.0.0.1 and nowhere else, at `port` or any that is free with 0, until the sign-in is over.

    Raises ListenerUnavailable if the port is not to be had.
    """
    callback: Callback | None = None
    talking: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if callback is None or len(talking) >= _MOST:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(_talk(callback, reader, writer))
        talking.add(task)
        task.add_done_callback(talking.discard)

    try:
        server = await asyncio.start_server(connected, HOST, port, limit=_LARGEST)
    except OSError as error:
        raise ListenerUnavailable(
            f"nothing can listen on {HOST}:{port}: {(error.strerror or '').lower()}",
            hint="name another port with --port, or none, or sign in with --device",
        ) from error
    async with server:
        callback = Callback(state, server)
        try:
            yield callback
        finally:
            callback.give_up()
            if talking:
                await asyncio.wait(talking, timeout=1.0)
            for task in talking:
                task.cancel()


async def _talk(callback: Callback, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request, one answer; nothing that comes in here can raise."""
    with suppress(OSError, TimeoutError):
        try:
            try:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE)
                reply = await callback.answer(head)
            except asyncio.LimitOverrunError:
                reply = _Reply(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, pages.NOTHING)
            except asyncio.IncompleteReadError:
                return
            writer.write(_spelt(reply))
            await asyncio.wait_for(writer.drain(), _PATIENCE)
        finally:
            writer.close()


def _once(query: str) -> Mapping[str, str]:
    """The parameters of a query; none where one is there twice, or there are too many."""
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=16, errors="strict")
    except ValueError:
        return {}
    parameters = dict(pairs)
    return parameters if len(parameters) == len(pairs) else {}


def _denied(error: str) -> SignInNeeded | CredentialsRefused:
    """What a redirect with an error means (RFC 6749, 4.1.2.1)."""
    if error == "access_denied":
        return SignInNeeded("somebody denied it in the browser", hint="start again, and allow it: rolecall login")
    known = error if re.fullmatch(r"[a-z_]{1,40}", error) else "an error"
    return CredentialsRefused(
        f"IAM Identity Center sent the browser back with {known}",
        hint="see that identity_center.scopes and start_url are right, or try: rolecall login --device",
    )


def _spelt(reply: _Reply) -> bytes:
    lines = [f"HTTP/1.1 {reply.status.value} {reply.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in (*pages.HEADERS, ("Content-Length", str(len(reply.page))))]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + reply.page
