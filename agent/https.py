"""How is one thing asked over HTTPS, so that nothing that lies around has a say in it?

On a connection of its own, to where the address says and nowhere else: redirects are not followed, and neither proxies
of the environment, cookies nor caches are asked. Whoever asks keeps the time, and puts what aiohttp raises into words.
"""

import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final, NoReturn

import aiohttp

from agent import __version__

#: What we say of ourselves, and that we want what we can read as it is.
OURS: Final[Mapping[str, str]] = {
    "User-Agent": f"rolecall/{__version__}",
    "Accept": "application/json",
    "Accept-Encoding": "identity",
}


class TooLong(ValueError):
    """There is more than whoever asked has a use for."""


@asynccontextmanager
async def asked(
    method: str,
    url: str,
    *,
    trust: ssl.SSLContext,
    headers: Mapping[str, str],
    proxy: str | None = None,
    form: bytes | None = None,
) -> AsyncIterator[aiohttp.ClientResponse]:
    """One request, and its answer while the context lasts. Raises whatever aiohttp raises."""
    async with (
        aiohttp.ClientSession(
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            connector=aiohttp.TCPConnector(force_close=True),
            timeout=aiohttp.ClientTimeout(total=None),  # who asks keeps the time, by our own clock
        ) as session,
        session.request(
            method, url, data=form, headers=headers, proxy=proxy, ssl=trust, allow_redirects=False
        ) as response,
    ):
        try:
            yield response
        except BaseException:
            if response.connection is not None and response.connection.protocol is not None:
                response.connection.protocol.abort()  # politeness would read on to the end, if there is one
            raise


async def body_of(response: aiohttp.ClientResponse, longest: int) -> bytes:
    """The whole body, of at most so many bytes. Raises TooLong, and whatever aiohttp raises."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) > longest:
            raise TooLong
    return bytes(body)


def object_in(body: bytes) -> Mapping[str, object] | None:
    """The JSON object that a body is; None if it is none."""
    try:
        document = json.loads(body, parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _refused(constant: str) -> NoReturn:
    """NaN and Infinity are no JSON (RFC 8259 §6), though Python reads them; whoever reckons with NaN stumbles."""
    raise ValueError(constant)
