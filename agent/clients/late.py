"""How is a client opened by whoever needs it first, and closed by whoever is last?"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any


class Late:
    """A client that is opened at the first call of one of its methods, all of which are coroutines.

    What is configured may never be needed, and the library for it takes longer to load than all the rest.
    """

    def __init__(self, opening: Callable[[], AbstractAsyncContextManager[Any]]) -> None:
        """Open nothing yet; `opening` may raise an AgentError, which then comes out of the call."""
        self._opening = opening
        self._stack = AsyncExitStack()
        self._client: Any = None
        self._turn = asyncio.Lock()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """One method of the client."""

        async def call(**about: Any) -> Any:
            return await getattr(await self._opened(), name)(**about)

        return call

    async def close(self) -> None:
        """Close the client, if it was ever opened."""
        self._client = None
        await self._stack.aclose()

    async def _opened(self) -> Any:
        async with self._turn:
            if self._client is None:
                self._client = await self._stack.enter_async_context(self._opening())
            return self._client
