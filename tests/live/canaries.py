"""Which secrets are there, and does any piece of one stand in a text?"""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import quote, unquote_plus, urlsplit

#: A piece of a secret that is this long is too much of it.
PIECE = 20

_SECRETS = re.compile(rb"WebIdentityToken=([^&\s]+)|<(?:SecretAccessKey|SessionToken)>([^<\s]{20,})")


def forms(secret: str | bytes) -> Iterator[str]:
    """A secret as it stands, and as somebody might have written it down."""
    raw = secret.encode() if isinstance(secret, str) else secret
    if isinstance(secret, str):
        yield secret
        yield quote(secret, safe="")
    yield raw.hex()
    yield raw.hex().upper()
    for offset in range(3):  # where in a longer text it stands decides how base64 cuts it
        whole = base64.b64encode(b"\0" * offset + raw).decode().rstrip("=")
        inner = whole[4 if offset else 0 : -1]
        yield inner
        yield inner.replace("+", "-").replace("/", "_")


class Canaries:
    """Secrets to look for."""

    def __init__(self) -> None:
        self.secrets: set[str | bytes] = set()

    def found(self, texts: Iterable[str]) -> list[str]:
        """Every piece of a secret that stands in one of the texts, with what is around it."""
        assert all(len(secret) >= PIECE for secret in self.secrets)
        pieces = {
            form[start : start + PIECE]
            for secret in self.secrets
            for form in forms(secret)
            for start in range(len(form) - PIECE + 1)
        }
        found: dict[str, str] = {}
        for text in texts:
            for start in range(len(text)):
                if text[start : start + PIECE] in pieces:
                    found.setdefault(text[max(0, start - start % 80 - 80) : start + 80], text[start : start + PIECE])
        return [f"{piece!r} in {around!r}" for around, piece in found.items()]

    @asynccontextmanager
    async def overhearing(self, endpoint: str) -> AsyncIterator[str]:
        """The address of a relay to `endpoint`; whatever secrets pass through it become canaries."""
        port = urlsplit(endpoint).port
        passing: set[asyncio.Task[None]] = set()

        async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard = b""
            try:
                while data := await reader.read(65536):
                    heard += data
                    writer.write(data)
                    await writer.drain()
            except ConnectionError:
                pass
            finally:
                writer.close()
                for match in _SECRETS.finditer(heard):
                    self.secrets.add(unquote_plus((match[1] or match[2]).decode()))

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            passing.add(task)
            there, to_there = await asyncio.open_connection("127.0.0.1", port)
            try:
                await asyncio.gather(copy(reader, to_there), copy(there, writer))
            except asyncio.CancelledError:
                pass  # at the end of the test; Python 3.11's streams would log that as an error
            finally:
                passing.discard(task)

        async with await asyncio.start_server(relay, "127.0.0.1", 0) as server:
            yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
            server.close()
            for task in tuple(passing):
                task.cancel()
            await asyncio.gather(*passing, return_exceptions=True)
