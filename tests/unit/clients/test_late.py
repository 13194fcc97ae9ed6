import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from agent.clients.late import Late
from agent.errors import ConfigurationError


@dataclass
class Service:
    """Makes clients, and knows how many are open; `failure`, while set, is raised instead."""

    opened: int = 0
    closed: int = 0
    failure: Exception | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    @asynccontextmanager
    async def client(self) -> AsyncIterator["Client"]:
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.opened += 1
        try:
            yield Client(self.opened)
        finally:
            self.closed += 1


@dataclass
class Client:
    number: int

    async def sign(self, *, message: str) -> str:
        return f"{message} by {self.number}"

    async def refuse(self) -> None:
        raise PermissionError("no")


async def test_nothing_is_opened_before_somebody_asks_for_something() -> None:
    service = Service()
    client = Late(service.client)
    _ = client.sign
    assert service.opened == 0
    assert await client.sign(message="it") == "it by 1"
    assert service.opened == 1
    await client.close()


async def test_however_many_ask_first_there_is_one_client() -> None:
    service = Service()
    service.gate.clear()
    client = Late(service.client)
    asking = [asyncio.ensure_future(client.sign(message=str(n))) for n in range(20)]
    await asyncio.sleep(0)
    service.gate.set()
    assert await asyncio.gather(*asking) == [f"{n} by 1" for n in range(20)]
    await client.close()
    assert (service.opened, service.closed) == (1, 1)


async def test_what_the_client_says_comes_out_as_it_is_and_leaves_it_open() -> None:
    service = Service()
    client = Late(service.client)
    with pytest.raises(PermissionError):
        await client.refuse()
    assert await client.sign(message="it") == "it by 1"
    await client.close()


async def test_what_keeps_it_from_being_opened_is_told_and_the_next_call_tries_again() -> None:
    service = Service(failure=ConfigurationError("there is no such profile"))
    client = Late(service.client)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no such profile"):
            await client.sign(message="it")
    service.failure = None
    assert await client.sign(message="it") == "it by 1"
    await client.close()
    assert (service.opened, service.closed) == (1, 1)


async def test_who_gives_up_while_it_is_being_opened_keeps_nobody_else_from_it() -> None:
    service = Service()
    service.gate.clear()
    client = Late(service.client)
    asking = [asyncio.ensure_future(client.sign(message=str(n))) for n in range(2)]
    await asyncio.sleep(0)
    asking[0].cancel()
    service.gate.set()
    assert await asking[1] == "1 by 1"
    await client.close()
    assert (service.opened, service.closed) == (1, 1)


async def test_what_was_never_opened_is_closed_without_a_word_and_so_is_what_is_closed() -> None:
    service = Service()
    client = Late(service.client)
    await client.close()
    assert (service.opened, service.closed) == (0, 0)
    await client.sign(message="it")
    await client.close()
    await client.close()
    assert (service.opened, service.closed) == (1, 1)
