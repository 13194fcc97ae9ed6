"""How is a host reached that exists on this machine alone?

Through a proxy, which leads whoever asks for a known host on port 443 to where that is on the loopback, and nobody
anywhere else: nothing leaves the machine.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

_LONGEST_HEAD: Final = 8192
_PIECE: Final = 65536
_OPEN: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"
_CLOSED: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: 44\r\nConnection: close\r\n\r\n"
    b"this proxy leads to the sandbox's sites only"
)

#: Where a host really is: an address of the loopback, and a port.
Place = tuple[str, int]


def places(sites: Mapping[str, str], listener: str) -> dict[str, Place]:
    """Where the proxy leads to, by host.

    Args:
        sites: issuer URL to where its site is: a directory, or a base URL.
        listener: the base URL of the listener that shows the directories.

    A site that somebody else serves is led to if that is over TLS and on this machine.
    """
    found: dict[str, Place] = {}
    for issuer, where in sites.items():
        host = urlsplit(issuer).hostname or ""
        there = urlsplit(where)
        if there.scheme not in ("http", "https"):
            there = urlsplit(listener)
        elif there.scheme == "http" or there.hostname not in ("127.0.0.1", "localhost", "::1") or host in found:
            continue
        found[host] = (there.hostname or "", there.port or 443)
    return found


class Proxy:
    """A proxy that understands CONNECT, and knows a few hosts.

    Args:
        known: where each host is; all else is refused with 403.
    """

    def __init__(self, known: Mapping[str, Place]) -> None:
        self._known = known
        self._lines: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def listening(self, host: str) -> AsyncIterator[str]:
        """Be there while the context is open; gives the proxy's URL."""
        server = await asyncio.start_server(self._serve, host, 0, limit=_LONGEST_HEAD)
        try:
            name = f"[{host}]" if ":" in host else host
            yield f"http://{name}:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            lines = [*self._lines]
            for line in lines:
                line.cancel()
            await asyncio.gather(*lines, return_exceptions=True)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it or the sandbox does."""
        line = asyncio.current_task()
        assert line is not None
        self._lines.add(line)
        try:
            await self._lead(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever was there has gone, or never spoke HTTP
        except asyncio.CancelledError:
            pass  # the sandbox ends; nobody waits for us but its `listening`
        finally:
            self._lines.discard(line)
            writer.transport.abort()

    async def _lead(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        place = self._place(head.partition(b"\r\n")[0].decode("latin-1"))
        if place is None:
            writer.write(_CLOSED)
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        there, back = await asyncio.open_connection(*place)
        try:
            writer.write(_OPEN)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pass_on(reader, back))
                ways.create_task(_pass_on(there, writer))
        except* OSError:
            pass
        finally:
            back.transport.abort()

    def _place(self, request: str) -> Place | None:
        method, _, rest = request.partition(" ")
        host, _, port = rest.partition(" ")[0].rpartition(":")
        return self._known.get(host.lower()) if method == "CONNECT" and port == "443" else None


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand on whatever comes, and then that nothing more will."""
    while piece := await reader.read(_PIECE):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()
