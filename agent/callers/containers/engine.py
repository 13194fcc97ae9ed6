"""What does the container engine say that runs here?

Docker's Engine API over its socket in the file system, which Podman speaks as well. Two questions, both GET, so that
whoever guards that socket need let nothing else pass.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from agent.callers.containers.shapes import ID, Listed, Running, Unintelligible, listed, running
from agent.errors import ConfigurationError

#: How long one answer may take, in seconds. An engine that systemd starts by its socket takes longest for its first.
PATIENCE: Final = 3.0

#: More than this is no answer of an engine, in bytes: some thousand containers with all their labels.
_LARGEST: Final = 8_388_608


class Engine:
    """The container engine of this machine: "docker" or "podman", and its socket."""

    def __init__(self, name: str, path: Path, *, patience: float = PATIENCE) -> None:
        """Ask nothing yet. `patience`: how long an answer may take, in seconds."""
        self.name = name
        self._path = path
        self._patience = patience

    async def list(self) -> Sequence[Listed]:
        """The containers that run now. Raises ConfigurationError."""
        content = await self._get("/containers/json")
        if content is None:
            raise self._trouble("has no list of containers", "is that its Docker-compatible API?")
        try:
            return listed(content)
        except Unintelligible as error:
            raise self._trouble(
                f"gave an answer that is none: {error}", "is that its Docker-compatible API?"
            ) from error

    async def inspect(self, identity: str) -> Running | None:
        """The container of that full id; None if there is none, or it does not run. Raises ConfigurationError."""
        if ID.fullmatch(identity) is None:
            return None
        content = await self._get(f"/containers/{identity}/json")
        if content is None:
            return None
        try:
            found = running(content)
        except Unintelligible as error:
            raise self._trouble(
                f"gave an answer that is none: {error}", "is that its Docker-compatible API?"
            ) from error
        return found if found is not None and found.id == identity else None

    async def _get(self, path: str) -> bytes | None:
        """The body of a 200; None for a 404. A connection for each question: they are few, and engines restart."""
        timeout = aiohttp.ClientTimeout(total=self._patience)
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            async with (
                aiohttp.ClientSession(
                    connector=aiohttp.UnixConnector(path=str(self._path), force_close=True),
                    timeout=timeout,
                    headers=headers,
                    auto_decompress=False,
                    cookie_jar=aiohttp.DummyCookieJar(),
                ) as session,
                session.get(f"http://localhost{path}", allow_redirects=False) as answer,
            ):
                if answer.status == 404:
                    return None
                if answer.status != 200:
                    raise self._trouble(f"answered {answer.status}", "its own log says why")
                return await self._body(answer)
        except TimeoutError as error:
            raise self._trouble(f"gave no answer within {self._patience:g} s", "is it overloaded, or stuck?") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            hint = "start it, and let the agent's user connect to its socket; see docs/containers.md"
            raise self._trouble(f"does not answer: {_why(error)}", hint) from error

    async def _body(self, answer: aiohttp.ClientResponse) -> bytes:
        content = bytearray()
        async for chunk in answer.content.iter_any():
            content += chunk
            if len(content) > _LARGEST:
                raise self._trouble("gave an answer without end", "is that its Docker-compatible API?")
            await asyncio.sleep(0)  # others come first
        return bytes(content)

    def _trouble(self, what: str, hint: str) -> ConfigurationError:
        return ConfigurationError(f"{self.name} at {self._path} {what}", hint=hint)


def _why(error: Exception) -> str:
    """What the system calls it, where it is the system's."""
    if isinstance(error, aiohttp.ClientConnectorError):
        error = error.os_error
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
