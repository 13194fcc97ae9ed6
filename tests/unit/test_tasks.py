"""Errors of the body come out bare; errors of tasks come as a group."""

import asyncio

import pytest

from agent.errors import AgentError
from agent.tasks import children


async def test_what_the_body_raises_comes_out_as_it_was_raised() -> None:
    cause = OSError("the reason")
    with pytest.raises(AgentError) as caught:
        async with children() as group:
            group.create_task(asyncio.sleep(3600))
            raise AgentError("the body's own") from cause
    assert caught.value.__cause__ is cause


async def test_an_error_in_the_body_cancels_the_tasks() -> None:
    with pytest.raises(AgentError):
        async with children() as group:
            task = group.create_task(asyncio.sleep(3600))
            await asyncio.sleep(0)
            raise AgentError("the body's own")
    assert task.cancelled()


async def test_what_a_task_raises_ends_the_body_and_comes_as_a_group() -> None:
    async def fails() -> None:
        raise ValueError("the task's")

    with pytest.raises(ExceptionGroup) as caught:
        async with children() as group:
            group.create_task(fails())
            await asyncio.sleep(3600)
    assert [str(error) for error in caught.value.exceptions] == ["the task's"]


async def test_when_both_fail_nothing_is_lost() -> None:
    async def fails_when_cancelled() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            raise ValueError("the task's")

    with pytest.raises(ExceptionGroup) as caught:
        async with children() as group:
            group.create_task(fails_when_cancelled())
            await asyncio.sleep(0)
            raise AgentError("the body's")
    assert {str(error) for error in caught.value.exceptions} == {"the body's", "the task's"}
