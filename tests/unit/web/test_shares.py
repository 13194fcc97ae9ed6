"""Does whoever asks too much notice it, and nobody else?"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from agent.callers import End, Facts, Origin
from agent.events import RequestRefused
from agent.web.connections import Limits
from agent.web.shares import ASKED, CONNECTED, MADE, Share, Shares
from tests.unit.web.world import WEB, Told, World, answers, request

pytestmark = pytest.mark.long

MALLORY, ALICE = "127.0.0.2", "127.0.0.3"


def by_uid(uid: int) -> Origin:
    return Origin("127.0.0.1", "127.0.0.1", frozenset({("unix.uid", f"{uid}")}))


# The buckets


def test_a_bucket_gives_what_is_in_it_and_fills_by_itself() -> None:
    share = Share(0.0)
    assert sum(share.take(ASKED, 0.0) for _ in range(4000)) == 2000
    assert sum(share.take(ASKED, 0.5) for _ in range(4000)) == 250
    assert sum(share.take(ASKED, 1e6) for _ in range(4000)) == 2000


def test_what_has_been_spent_is_owed_and_no_more_than_two_seconds_of_it() -> None:
    share = Share(0.0)
    for _ in range(5000):
        share.owe(ASKED, 0.0)
    assert not share.take(CONNECTED, 0.0)
    assert not share.take(CONNECTED, 2.0)
    assert share.take(CONNECTED, 2.1)


def test_more_answers_and_connections_than_we_have_time_for_do_not_empty_a_bucket() -> None:
    share = Share(0.0)
    for second in range(10):
        for _ in range(12_000):  # a core of 2026 has time for so many of both
            assert share.take(MADE, float(second))
            assert share.take(CONNECTED, float(second))


def test_connections_with_the_same_caller_behind_them_share_one() -> None:
    shares = Shares()
    assert shares.of(by_uid(1000), 0.0) is shares.of(by_uid(1000), 0.0)
    assert shares.of(by_uid(1000), 0.0) is not shares.of(by_uid(1001), 0.0)
    assert shares.of(Origin(MALLORY), 0.0) is not shares.of(Origin(ALICE), 0.0)


@pytest.mark.parametrize("user", [1000, 100_123])
def test_a_user_is_one_caller_whatever_he_makes_up(user: int) -> None:
    shares = Shares()
    mine: list[Facts] = [
        frozenset(
            {("unix.uid", f"{user + number}"), ("systemd.unit", "user@1000.service"), ("systemd.user_unit", unit)}
        )
        for number, unit in enumerate(("a.service", "b.service"))
    ]
    assert len({shares.of(Origin("127.0.0.1", "", facts), 0.0) for facts in mine}) == 1


def test_however_many_callers_are_made_up_the_memory_is_bounded_and_the_empty_stay_empty() -> None:
    shares = Shares()
    spent = shares.of(by_uid(0), 0.0)
    spent.owe(2000.0, 0.0)
    for number in range(1, 20_000):
        shares.of(by_uid(number), 0.001 * number)
        spent.owe(1.0, 0.001 * number)
    assert len(shares._by_payer) <= 4096
    assert shares.of(by_uid(0), 20.0) is spent  # nobody gets a new one by making up others


def test_if_none_is_full_the_oldest_goes() -> None:
    shares = Shares()
    for number in range(5000):
        shares.of(by_uid(number), 0.0).take(ASKED, 0.0)
    assert len(shares._by_payer) == 4096


# Behind a listener


class ByLastNumber:
    """Tells callers apart by the address that they connect from, which on loopback they can choose."""

    def __init__(self) -> None:
        self._known: dict[str, Origin] = {}

    def recognise(self, client: End, server: End) -> Origin:
        facts = frozenset({("unix.uid", client[0].rpartition(".")[2])})
        return self._known.setdefault(client[0], Origin(client[0], server[0], facts))


@asynccontextmanager
async def listening(limits: Limits | None = None) -> AsyncIterator[tuple[World, tuple[str, int]]]:
    world = World()
    await world.fetch()
    async with world.listening(limits=limits, recogniser=ByLastNumber()) as address:
        yield world, address


async def said(address: tuple[str, int], sent: bytes, source: str) -> list[Told]:
    """What there is to read after sending this, from this address."""
    try:
        reader, writer = await asyncio.open_connection(*address, local_addr=(source, 0))
        writer.write(sent)
        writer.write_eof()
        received = await reader.read()
        writer.close()
    except OSError:  # refused before all of it was sent
        return []
    return answers(received)


FLOODS = {
    "ordinary": request("/v1/credentials/backup", WEB, b"X-Anything: new"),
    "denied": request("/v1/credentials/web", b"a-token-that-nobody-knows"),
    "not found": request("/nothing"),
    "nonsense": b"nonsense\r\n\r\n",
    "pipelined": request("/nothing") * 20,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_who_floods_us_is_told_503_and_another_caller_has_every_answer(flood: bytes) -> None:
    async with listening() as (world, address):
        told: Counter[int] = Counter()
        for _ in range(100):
            several = await asyncio.gather(*(said(address, flood, MALLORY) for _ in range(25)))
            told.update(one.status for some in several for one in some)
            (good,) = await said(address, request(), ALICE)
            assert good.status == 200
        assert told[503] > 300
        assert 200 not in told
        assert 429 not in told
        refused = world.reported.of(RequestRefused)
        assert {(one.reason, one.facts) for one in refused} == {("throttled", frozenset({("unix.uid", "2")}))}
        assert sum(n for (_, _, status), n in world.stats.requests().items() if status == 503) == len(refused)


async def test_who_connects_without_end_is_refused_and_others_are_not() -> None:
    async with listening() as (world, address):  # where the clock stands still: what is taken out stays out
        outcomes: Counter[int] = Counter()
        spent = request("/nothing") * 2000
        await said(address, spent, MALLORY)
        for _ in range(100):
            outcomes.update(one.status for one in await said(address, request(), MALLORY))
        assert outcomes.keys() == {503}
        assert (await said(address, request(), ALICE))[0].status == 200
        await world.clock.advance(timedelta(seconds=3))
        assert (await said(address, request(), MALLORY))[0].status == 200


async def test_what_is_at_hand_is_given_however_often_it_is_asked_for() -> None:
    async with listening() as (_, address):
        for _ in range(20):
            told = await said(address, request() * 500, MALLORY)
            assert [one.status for one in told] == [200] * 500


async def test_the_answer_to_who_is_refused_is_one_that_sdks_retry() -> None:
    async with listening() as (_, address):
        await said(address, request("/nothing") * 2001, MALLORY)
        (told,) = await said(address, request(), MALLORY)
        assert (told.status, told.headers["Retry-After"], told.headers["Connection"]) == (503, "1", "close")
        assert b'"code":"TooManyRequests"' in told.body


async def test_who_keeps_connections_open_takes_none_of_another_callers_away() -> None:
    async with listening(Limits(connections=20, sweep=60)) as (_, address):
        kept = await asyncio.open_connection(*address, local_addr=(ALICE, 0))
        kept[1].write(request())
        assert (await kept[0].readuntil(b"}")).startswith(b"HTTP/1.1 200")
        greedy = [await asyncio.open_connection(*address, local_addr=(MALLORY, 0)) for _ in range(100)]
        for _, writer in greedy:
            writer.write(b"GET /v1/cred")
        await asyncio.sleep(0.1)
        kept[1].write(request())
        assert (await kept[0].readuntil(b"}")).startswith(b"HTTP/1.1 200")
        assert (await said(address, request(), ALICE))[0].status == 200
        for _, writer in (kept, *greedy):
            writer.close()


def test_behind_a_proxy_nobody_can_use_up_what_is_everybodys() -> None:
    shares = Shares(endless=True)
    share = shares.of(Origin("127.0.0.1"), 0.0)
    for _ in range(100_000):
        share.owe(ASKED, 0.0)
        assert share.take(ASKED, 0.0)
    assert shares.of(Origin("127.0.0.2"), 0.0).take(ASKED, 0.0)
