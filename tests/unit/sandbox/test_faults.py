"""Does the sandbox misbehave exactly as it is told to?"""

import asyncio
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest

from agent.errors import ConfigurationError
from agent.sandbox import Fault
from agent.sandbox.faults import Faults, fault_as_json, fault_from_json
from tests.fakes.clock import FakeClock, settle
from tests.unit.sandbox.scene import ROLE, scene

NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  "
    "please reference AssumeRoleWithWebIdentity documentation for requirements"
)


NOT_REACHED = (
    "The request could not be fulfilled because the identity provider (IDP) that was asked to verify the "
    "incoming identity token could not be reached."
)


OTHER = "arn:aws:iam::123456789012:role/other"


class Sleepy(FakeClock):
    """Tells when somebody has gone to sleep for long."""

    def __init__(self) -> None:
        super().__init__()
        self.asleep = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds > 20:
            self.asleep.set()
        await super().sleep(seconds)


@pytest.mark.parametrize(
    ("fault", "refusal"),
    [
        (
            Fault("status"),
            (503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."),
        ),
        (
            Fault("status", status=500),
            (500, "InternalFailure", "The request processing has failed because of an unknown error."),
        ),
        (
            Fault("status", status=502),
            (502, "InternalFailure", "The request processing has failed because of an unknown error."),
        ),
        (Fault("status", status=429), (429, "RequestRefused", "The sandbox was told to answer so.")),
        (
            Fault("status", status=403, code="RegionDisabledException", message="STS is not activated <here>"),
            (403, "RegionDisabledException", "STS is not activated <here>"),
        ),
        (Fault("throttled"), (400, "Throttling", "Rate exceeded")),
        (Fault("verification_key"), (400, "InvalidIdentityToken", NO_KEY)),
        (
            Fault("idp_communication"),
            (
                400,
                "IDPCommunicationError",
                NOT_REACHED,
            ),
        ),
    ],
    ids=lambda value: f"{value.kind} {value.status}" if isinstance(value, Fault) else "",
)
async def test_a_good_call_is_refused(fault: Fault, refusal: tuple[int, str, str], tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(fault)
        answer = await here.assume()
        assert answer.refusal == refusal
        assert answer.text("Type") == ("Receiver" if refusal[0] >= 500 else "Sender")
        assert here.sandbox.requests[-1].code == refusal[1]
        here.sandbox.faults.clear()
        assert (await here.assume()).status == 200


async def test_a_fault_may_strike_so_many_times(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("status", times=2))
        assert [(await here.assume()).status for _ in range(4)] == [503, 503, 200, 200]
        assert here.sandbox.faults.current() == ()


async def test_a_fault_may_be_for_one_role(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("status", role=OTHER, times=1))
        assert (await here.assume()).status == 200
        assert (await here.assume(RoleArn=OTHER)).status == 503
        assert (await here.assume(RoleArn=OTHER)).status == 403


async def test_an_answer_may_take_its_time(tmp_path: Path) -> None:
    clock = Sleepy()
    async with scene(tmp_path, clock=clock) as here, asyncio.TaskGroup() as tasks:
        here.sandbox.faults.add(Fault("slow", seconds=30))
        call = tasks.create_task(here.assume())
        await asyncio.wait_for(clock.asleep.wait(), 20)
        await settle()
        await clock.advance(timedelta(seconds=29))
        assert not call.done()
        await clock.advance(timedelta(seconds=1))
        assert (await call).status == 200


async def test_the_line_may_drop_and_the_credentials_be_lost(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("drop", times=1))
        with pytest.raises(aiohttp.ClientError):
            await here.assume()
        assert [(call.code, call.status) for call in here.sandbox.requests] == [("(dropped)", 0)]
        assert (await here.assume()).status == 200


async def test_credentials_may_be_short_lived_for_one_role(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("lifetime", seconds=90, role=ROLE, times=1))
        assert (await here.assume()).text("Expiration") == "2026-11-20T12:01:30Z"
        assert (await here.assume()).text("Expiration") == "2026-11-20T13:00:00Z"


async def test_the_clock_may_be_wrong_in_every_respect(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.add(Fault("clock", seconds=3600))
        answer = await here.assume()
        assert answer.refusal[1] == "ExpiredTokenException"
        assert answer.headers["Date"] == "Fri, 20 Nov 2026 13:00:00 GMT"
        here.sandbox.faults.replace([Fault("clock", seconds=-200)])
        answer = await here.assume()
        assert answer.text("Expiration") == "2026-11-20T12:56:40Z"
        assert answer.headers["Date"] == "Fri, 20 Nov 2026 11:56:40 GMT"


async def test_faults_add_up(tmp_path: Path) -> None:
    async with scene(tmp_path) as here:
        here.sandbox.faults.replace(
            [Fault("clock", seconds=10), Fault("clock", seconds=20), Fault("slow"), Fault("status")]
        )
        answer = await here.assume()
        assert answer.status == 503
        assert answer.headers["Date"] == "Fri, 20 Nov 2026 12:00:30 GMT"


def test_equal_faults_are_counted_apart() -> None:
    faults = Faults()
    faults.replace([Fault("status", times=1), Fault("status", times=1)])
    assert len(faults.strike(ROLE)) == 2
    assert faults.current() == ()


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ([], "a fault is a JSON object with a kind"),
        ({}, "a fault is a JSON object with a kind"),
        ({"kind": "earthquake"}, "there is no kind of fault 'earthquake'"),
        ({"kind": 7}, "kind of a fault cannot be 7"),
        ({"kind": "slow", "second": 2}, "a fault has no 'second'"),
        ({"kind": "slow", "seconds": "2"}, "seconds of a fault cannot be '2'"),
        ({"kind": "slow", "seconds": True}, "seconds of a fault cannot be True"),
        ({"kind": "slow", "seconds": -1}, "the fault slow cannot be of -1 seconds"),
        ({"kind": "slow", "seconds": float("nan")}, "the fault slow cannot be of nan seconds"),
        ({"kind": "clock", "seconds": 1e300}, "the fault clock cannot be of 1e+300 seconds"),
        ({"kind": "status", "status": 200}, "200 is no error status"),
        ({"kind": "status", "times": 0}, "a fault cannot strike 0 times"),
        ({"kind": "garbage", "garbage": "rubbish"}, "there is no garbage of fault 'rubbish'"),
        ({"kind": "clock", "seconds": 9, "times": 1}, "the fault clock is the same for every request"),
        ({"kind": "certificate", "role": ROLE}, "the fault certificate is the same for every request"),
        ({"kind": "site", "site": "on_fire"}, "there is no site of fault 'on_fire'"),
        ({"kind": "site", "document": "both of them"}, "there is no document of fault 'both of them'"),
        ({"kind": "site", "site": "html", "role": ROLE}, "a site has no role"),
        ({"kind": "site", "site": "expired", "times": 1}, "the fault site is the same for every request"),
        ({"kind": "site", "about": 7}, "about of a fault cannot be 7"),
    ],
)
def test_a_fault_that_means_nothing_is_refused(written: object, what: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        fault_from_json(written)
    assert caught.value.what == what
    assert caught.value.hint


@pytest.mark.parametrize(
    "fault",
    [
        Fault("slow", seconds=2.5, times=3),
        Fault("status", status=500, role=ROLE),
        Fault("status", status=400, code="RequestLimitExceeded", message="Request limit exceeded."),
        Fault("garbage", garbage="html"),
        Fault("clock", seconds=-60),
        Fault("certificate"),
        Fault("lifetime", seconds=30),
        Fault("drop"),
        Fault("site", site="redirect", about="https://www.example.com/", times=2),
        Fault("site", site="status", status=404, document="jwks"),
        Fault("site", site="slow", seconds=7),
        Fault("site", site="self_signed"),
    ],
)
def test_a_fault_is_written_as_it_is_read(fault: Fault) -> None:
    assert fault_from_json(fault_as_json(fault)) == fault


def test_the_faults_of_sites_strike_no_call_to_sts_and_the_other_way_round() -> None:
    faults = Faults()
    site, key_set = Fault("site", site="html", times=1), Fault("site", site="empty", document="jwks", times=1)
    faults.replace([Fault("status", times=1), site, key_set, Fault("site", site="expired")])
    assert faults.strike(ROLE) == (Fault("status", times=1),)
    assert faults.strike_site("discovery") == (site,)
    assert faults.strike_site("jwks") == (key_set,)
    assert faults.current() == (Fault("site", site="expired"),)
    assert faults.site_tls == "expired"


def test_whoever_watches_is_told_of_every_change() -> None:
    faults, told = Faults(), []
    faults.watch(lambda: told.append(faults.current()))
    faults.add(Fault("drop"))
    faults.clear()
    assert told == [(Fault("drop"),), ()]
