"""Can tests trust the source they are given?"""

import asyncio
from datetime import timedelta

import pytest

from agent.errors import CredentialsRefused
from tests.fakes.clock import FakeClock, settle
from tests.fakes.source import FakeSource, Traffic


async def test_each_set_is_new_and_lives_as_long_as_told() -> None:
    source = FakeSource(FakeClock(), lifetime=timedelta(minutes=15))
    first, second = await source.fetch(), await source.fetch()
    assert (first.access_key_id, second.access_key_id) == ("ASIA0000000000000001", "ASIA0000000000000002")
    assert first.lifetime == timedelta(minutes=15)
    assert source.ends[first.access_key_id] == 1000 + 900


async def test_the_issuer_does_not_share_our_wall_clock() -> None:
    clock = FakeClock()
    source = FakeSource(clock)
    before = (await source.fetch()).obtained_at
    clock.step(timedelta(hours=5))
    assert (await source.fetch()).obtained_at == before


async def test_it_is_issued_when_answered_and_not_when_read() -> None:
    clock = FakeClock()
    source = FakeSource(clock, answers_in=timedelta(seconds=2), lies=timedelta(seconds=3))
    fetch = asyncio.ensure_future(source.fetch())
    await clock.advance(timedelta(seconds=4))
    assert not fetch.done()
    await clock.advance(timedelta(seconds=1))
    assert source.ends[fetch.result().access_key_id] == 1002 + 3600


async def test_it_fails_and_hangs_as_told_and_counts_what_is_under_way() -> None:
    traffic = Traffic()
    refusing = FakeSource(FakeClock(), failure=CredentialsRefused("no"), traffic=traffic)
    hanging = [FakeSource(FakeClock(), hangs=True, traffic=traffic) for _ in range(2)]
    with pytest.raises(CredentialsRefused):
        await refusing.fetch()
    fetches = [asyncio.ensure_future(source.fetch()) for source in hanging]
    await settle()
    assert (traffic.under_way, traffic.most, hanging[0].most) == (2, 2, 1)
    for fetch in fetches:
        fetch.cancel()
    await settle()
    assert (traffic.under_way, traffic.most) == (0, 2)
