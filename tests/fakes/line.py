"""A line to a server on this machine that can be slow, or cut, and mended again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Line:
    """Leads whoever comes to `url` on to a server."""

    def __init__(self, server: str) -> None:
        self.url = ""
        self._there = urlsplit(server)
        self._moving = asyncio.Event()
        self._moving.set()
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self._calls: set[asyncio.Task[None] | None] = set()

    def hold(self) -> None:
        """Let nothing through until `release`; nothing is lost either."""
        self._moving.clear()

    def release(self) -> None:
        self._moving.set()

    def cut(self) -> None:
        """End all connections, and each new one at once."""
        self._cut = True
        for writer in self._open:
            writer.transport.abort()

    def mend(self) -> None:
        self._cut = False

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._calls.add(asyncio.current_task())
        if self._cut:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(self._there.hostname, self._there.port)
        self._open |= {writer, back}
        try:
            await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
        finally:
            self._open -= {writer, back}
            writer.transport.abort()
            back.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                await self._moving.wait()
                writer.write(data)
                await writer.drain()
            writer.close()


@asynccontextmanager
async def line_to(server: str) -> AsyncIterator[Line]:
    """Lead to this server, named by its http URL, until the end of the context."""
    line = Line(server)
    async with await asyncio.start_server(line._lead, "127.0.0.1", 0) as listening:
        line.url = "http://{}:{}".format(*listening.sockets[0].getsockname())
        try:
            yield line
        finally:
            line.release()
            line.cut()
            await asyncio.gather(*filter(None, line._calls), return_exceptions=True)
