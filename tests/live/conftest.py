"""What live tests share: a browser."""

from collections.abc import AsyncIterator

import pytest

from tests.live.browser import Browser, chromium


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser for one test, gone when it is over; skips the test where there is no Chromium."""
    async with chromium() as running:
        yield running
