"""A server on a real socket that plays the answers it is given, byte for byte, and remembers what it was asked."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import format_datetime
from types import TracebackType
from typing import Literal, Self
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from tests.fakes.clock import START

ROLE_ARN = "arn:aws:iam::123456789012:role/path/backup"
SESSION_ARN = "arn:aws:sts::123456789012:assumed-role/backup/host-1"
ACCESS_KEY_ID = "ASIAEXAMPLEEXAMPLE12"
CANARY_SECRET = "canary-secret-key-3lXhV0q"
CANARY_SESSION = "canary-session-token-9fQmT2r"


@dataclass(frozen=True, slots=True)
class Request:
    """What arrived; header names in lower case."""

    line: str
    headers: dict[str, str]
    body: str

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body, keep_blank_values=True).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """Bytes to send, and what becomes of the connection then."""

    data: bytes
    then: Literal["close", "reset", "hang"] = "close"


@dataclass
class StsServer:
    """Plays `replies` in order, the last one for ever."""

    replies: list[Reply | Callable[[Request], Reply]]
    requests: list[Request] = field(default_factory=list)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # cancelled at the end of the test; Python 3.11's streams would log that as an error
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = Request(line, headers, body.decode())
        reply = self.replies[min(len(self.requests), len(self.replies) - 1)]
        self.requests.append(request)
        self.asked.set()
        reply = reply(request) if callable(reply) else reply
        writer.write(reply.data)
        await writer.drain()
        if reply.then == "hang":
            await asyncio.Event().wait()
        if reply.then == "reset":
            writer.transport.abort()


def http(
    body: str | bytes,
    status: int = 200,
    *,
    date: datetime | str | None = START,
    content_type: str = "text/xml",
    request_id: str | None = "c6104cbe-af31-11e0-8154-cbc7ccf896c7",
) -> Reply:
    """Give a whole HTTP answer; without `date` or `request_id` their headers are missing."""
    body = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {content_type}", f"Content-Length: {len(body)}"]
    if date is not None:
        lines.append(f"Date: {format_datetime(date, usegmt=True) if isinstance(date, datetime) else date}")
    if request_id is not None:
        lines.append(f"x-amzn-RequestId: {request_id}")
    return Reply("\r\n".join([*lines, "Connection: close", "", ""]).encode() + body)


def error(code: str, message: str = "", status: int = 400, *, date: datetime | str | None = START) -> Reply:
    """Give an error as STS does."""
    return http(
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>'
        f"<Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        "<RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ErrorResponse>",
        status,
        date=date,
    )


def members(**changed: str | None) -> str:
    """Give the XML of a success; each member can be changed, or left out with None."""
    texts: dict[str, str | None] = {
        "AccessKeyId": ACCESS_KEY_ID,
        "SecretAccessKey": CANARY_SECRET,
        "SessionToken": CANARY_SESSION,
        "Expiration": (START + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "Arn": SESSION_ARN,
        **changed,
    }
    xml = {name: "" if text is None else f"<{name}>{escape(text)}</{name}>" for name, text in texts.items()}
    arn = xml.pop("Arn")
    return (
        '<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        "<AssumeRoleWithWebIdentityResult>"
        f"<AssumedRoleUser><AssumedRoleId>AROAEXAMPLE:host-1</AssumedRoleId>{arn}</AssumedRoleUser>"
        f"<Credentials>{''.join(xml.values())}</Credentials>"
        "<SubjectFromWebIdentityToken>host:one</SubjectFromWebIdentityToken>"
        "</AssumeRoleWithWebIdentityResult>"
        "<ResponseMetadata><RequestId>c6104cbe-af31-11e0-8154-cbc7ccf896c7</RequestId></ResponseMetadata>"
        "</AssumeRoleWithWebIdentityResponse>"
    )


def granted(*, date: datetime | str | None = START, **changed: str | None) -> Reply:
    """Give a success as STS does."""
    return http(members(**changed), date=date)
