import asyncio

import pytest

from agent.doctor.pace import AT_ONCE, each


async def test_the_results_come_in_order_and_few_are_under_way_at_once() -> None:
    under_way: list[int] = []
    most = 0

    async def work(item: int) -> int:
        nonlocal most
        under_way.append(item)
        most = max(most, len(under_way))
        for _ in range(item % 5):
            await asyncio.sleep(0)
        under_way.remove(item)
        return item * item

    assert await each(work, range(40)) == [item * item for item in range(40)]
    assert most == AT_ONCE


async def test_what_the_work_raises_comes_out() -> None:
    async def work(item: int) -> int:
        raise ValueError(item)

    with pytest.raises(ValueError, match="7"):
        await each(work, [7])
