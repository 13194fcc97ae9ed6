"""Does a host whose clock is wrong, stepped or asleep get its credentials? Everything is real but the time."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.live.made_up_time import life_of

pytestmark = pytest.mark.long

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
OFF = [
    sign * by
    for by in (30 * SECOND, 4 * MINUTE, 6 * MINUTE, HOUR, timedelta(days=1), timedelta(days=365))
    for sign in (1, -1)
]


@pytest.mark.parametrize("off", OFF, ids=str)
async def test_whatever_its_clock_says_a_host_has_credentials_after_two_calls(tmp_path: Path, off: timedelta) -> None:
    async with life_of(tmp_path, off) as life:
        status, document = await life.ask()
        assert status == 200, document
        assert len(life.codes) <= 2
        assert life.codes[-1] == "Success"
        assert abs(await life.metric("rolecall_clock_offset_seconds") + off.total_seconds()) < 2
        assert ("event=clock_off" in life.log.getvalue()) == (abs(off) > MINUTE)
        before = len(life.codes)
        await life.pass_time(35 * MINUTE)
        assert life.codes[before:]
        assert set(life.codes[before:]) == {"Success"}  # it has learnt


@pytest.mark.parametrize("step", [HOUR, -HOUR, timedelta(days=365), timedelta(days=-365)], ids=str)
async def test_a_clock_that_is_stepped_in_mid_life_costs_one_renewal_at_most(tmp_path: Path, step: timedelta) -> None:
    """Forward, it looks as if the machine had been paused: what is held is renewed, to be sure. Nobody else notices."""
    async with life_of(tmp_path) as life:
        _, first = await life.ask()
        life.clock.off = step
        await life.pass_time(MINUTE)
        status, now = await life.ask()
        assert status == 200
        assert (now == first) == (step < timedelta(0))
        calls = len(life.codes)
        await life.pass_time(35 * MINUTE)
        assert life.codes[calls:]
        assert set(life.codes) == {"Success"}
        assert (await life.ask())[0] == 200
        assert "event=clock_off" in life.log.getvalue()
        life.clock.off = timedelta(0)
        await life.pass_time(35 * MINUTE)
        assert "event=clock_right_again" in life.log.getvalue()
        assert set(life.codes) == {"Success"}


async def test_after_three_hours_of_sleep_it_hands_out_nothing_old_and_has_new_within_a_nap(tmp_path: Path) -> None:
    async with life_of(tmp_path) as life:
        _, first = await life.ask()
        life.true.suspend(3 * HOUR)
        status, _ = await life.ask()
        assert status in {200, 503}
        await life.pass_time(10 * SECOND)
        status, document = await life.ask()
        assert status == 200
        assert document["AccessKeyId"] != first["AccessKeyId"]
        assert set(life.codes) == {"Success"}


async def test_a_sleep_shorter_than_what_is_left_is_made_up_for(tmp_path: Path) -> None:
    async with life_of(tmp_path) as life:
        _, first = await life.ask()
        life.true.suspend(40 * MINUTE)
        assert await life.ask() == (200, first)
        await life.pass_time(10 * SECOND)
        assert (await life.ask())[1]["AccessKeyId"] != first["AccessKeyId"]


@pytest.mark.parametrize("off", OFF, ids=str)
async def test_a_projected_token_is_shown_whatever_the_clock_of_the_host_says(tmp_path: Path, off: timedelta) -> None:
    """Its clock may put a good token down as expired; STS alone can tell, and is asked."""
    async with life_of(tmp_path, off, projected=MINUTE) as life:
        status, document = await life.ask()
        assert status == 200, document
        assert life.codes == ["Success"]
        assert abs(await life.metric("rolecall_clock_offset_seconds") + off.total_seconds()) < 2
        await life.pass_time(35 * MINUTE)
        assert len(life.codes) > 1
        assert set(life.codes) == {"Success"}


async def test_a_projected_token_that_nobody_replaces_is_shown_no_more_than_once(tmp_path: Path) -> None:
    async with life_of(tmp_path, 90 * MINUTE, projected=2 * HOUR) as life:
        assert (await life.ask())[0] == 503
        assert life.codes == ["ExpiredTokenException"]  # which has told the time: from now on the file is enough
        await life.pass_time(10 * MINUTE)
        assert life.codes == ["ExpiredTokenException"]
        assert "expired at" in life.log.getvalue()
        await life.project(timedelta(0))
        await life.pass_time(2 * MINUTE)
        assert life.codes == ["ExpiredTokenException", "Success"]
        assert (await life.ask())[0] == 200
