"""What do callers notice when AWS fails? Everything is real but the time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import pytest

from agent.sandbox import Fault
from agent.sandbox.faults import Garbage
from tests.live.made_up_time import Life, life_of

pytestmark = pytest.mark.long

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)

IN_MID_LIFE = [
    Fault("slow", seconds=30),  # longer than we wait
    Fault("status", status=500),
    Fault("status", status=503),
    Fault("status", status=403),
    Fault("throttled"),
    Fault("drop"),
    Fault("idp_communication"),
    Fault("verification_key"),
    *(Fault("garbage", garbage=sort) for sort in get_args(Garbage)),
]


def end_of(document: dict[str, Any]) -> datetime:
    return datetime.strptime(document["Expiration"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)


async def served(life: Life) -> dict[str, Any]:
    status, document = await life.ask()
    assert status == 200, document
    assert all(document.values())
    assert end_of(document) - life.true.now() >= MINUTE - SECOND
    return document


async def test_an_outage_is_not_noticed_before_the_end_of_what_is_held_and_is_over_when_it_is_over(
    tmp_path: Path,
) -> None:
    async with life_of(tmp_path) as life:
        first = await served(life)
        life.sandbox.faults.add(Fault("status", status=503))
        last = end_of(first) - MINUTE
        while life.true.now() < last - 20 * SECOND:
            await life.pass_time(min(5 * MINUTE, last - 10 * SECOND - life.true.now()))
            assert await served(life) == first
        await life.pass_time(last - life.true.now() - SECOND)
        assert await served(life) == first
        await life.pass_time(SECOND)
        for _ in range(10):
            status, document = await life.ask()
            assert (status, document["code"]) == (503, "ServiceUnavailable")
            await life.pass_time(30 * SECOND)
        assert len(life.codes) < 250  # it has not been a nuisance
        life.sandbox.faults.clear()
        await life.pass_time(6 * SECOND)
        assert (await served(life))["AccessKeyId"] != first["AccessKeyId"]


@pytest.mark.parametrize("fault", IN_MID_LIFE, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.garbage}")
async def test_what_is_held_stays_whatever_goes_wrong_in_mid_life(tmp_path: Path, fault: Fault) -> None:
    async with life_of(tmp_path) as life:
        first = await served(life)
        life.sandbox.faults.add(fault)
        await life.pass_time(35 * MINUTE)
        assert len(life.codes) > 1
        assert life.session.failing
        assert await served(life) == first
        life.sandbox.faults.clear()
        await life.pass_time(5 * MINUTE)
        assert (await served(life))["AccessKeyId"] != first["AccessKeyId"]


@pytest.mark.parametrize("fault", IN_MID_LIFE, ids=lambda fault: f"{fault.kind}-{fault.status}-{fault.garbage}")
async def test_with_nothing_held_there_is_a_503_and_never_a_200_until_it_is_over(tmp_path: Path, fault: Fault) -> None:
    async with life_of(tmp_path, timedelta(0), fault) as life:
        for _ in range(3):
            status, document = await life.ask()
            assert (status, document["code"]) in {(503, "ServiceUnavailable"), (503, "CredentialsNotReady")}
            assert "AccessKeyId" not in document
            await life.pass_time(20 * SECOND)
        life.sandbox.faults.clear()
        await life.pass_time(5 * MINUTE)  # as long as a refusal is left alone
        await served(life)


async def test_sets_that_live_short_are_served_and_renewed_in_time(tmp_path: Path) -> None:
    async with life_of(tmp_path, timedelta(0), Fault("lifetime", seconds=900)) as life:
        seen = {(await served(life))["AccessKeyId"]}
        for _ in range(12):
            await life.pass_time(5 * MINUTE)
            document = await served(life)
            seen.add(document["AccessKeyId"])
            assert end_of(document) - life.true.now() <= 15 * MINUTE
        assert 6 <= len(seen) <= 13
        assert set(life.codes) == {"Success"}


async def test_a_set_that_lives_no_longer_than_the_margin_never_replaces_a_good_one(tmp_path: Path) -> None:
    async with life_of(tmp_path) as life:
        first = await served(life)
        life.sandbox.faults.add(Fault("lifetime", seconds=45))
        await life.pass_time(40 * MINUTE)
        assert len(life.codes) > 3
        assert await served(life) == first
