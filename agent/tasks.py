"""How do tasks get a parent, when the work in between is not theirs?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def children() -> AsyncIterator[asyncio.TaskGroup]:
    """A TaskGroup around a body that is somebody else's: what the body raises comes out as it was raised.

    asyncio's own wraps it in an ExceptionGroup, together with what the tasks raise, so that whoever is outside a
    context manager built on one would see groups for errors that have nothing to do with tasks. What the tasks raise
    still comes as a group. An error in the body cancels the tasks.
    """
    trouble: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            try:
                yield group
            except Exception as error:
                trouble = error
                raise
    except ExceptionGroup as gathered:
        if trouble is None:
            raise
        _, others = gathered.split(lambda error: error is trouble)
        if others is not None:
            raise  # tasks failed as well: all of it is worth knowing
        raise trouble from trouble.__cause__
