"""How many are tried at once, where there are many?"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

#: More would be a burst to STS, which counts requests by account; fewer would keep whoever has a thousand roles.
AT_ONCE: Final = 8


async def each(work: Callable[[Item], Awaitable[Result]], items: Sequence[Item]) -> list[Result]:
    """Do the work for every item, a few at a time; the results in the items' order. Raises what the work raises."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Result:
        async with turn:
            return await work(item)

    return [*await asyncio.gather(*map(one, items))]
