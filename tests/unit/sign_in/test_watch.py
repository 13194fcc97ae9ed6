import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.errors import SignInNeeded
from agent.events import SignedIn, SignInDue, SignInOver
from agent.secret import Secret
from agent.sign_in import SignIn
from agent.sign_in.cache import Cache
from agent.sign_in.renewal import Renewal
from agent.sign_in.watch import Watch
from tests.fakes.center import PORTAL, REGISTERED_UNTIL, FakeCenter, sign_in
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported

HOUR = timedelta(hours=1)


class Bench:
    """Somebody who looks at a file."""

    def __init__(self, home: Path) -> None:
        self.clock = FakeClock(datetime.fromtimestamp(int(_touched(home).timestamp()), UTC))
        self.cache = Cache(home, PORTAL)
        self.reported = Reported()
        renewal = Renewal(PORTAL, self.cache, FakeCenter(), self.clock, self.reported)
        self.watch = Watch(PORTAL, self.cache, renewal, clock=self.clock, report=self.reported)

    async def keep(self, name: str = "1", **about: object) -> SignIn:
        """Write a sign-in, and look."""
        one = sign_in(name, at=self.clock.now(), **about)  # type: ignore[arg-type]  # as there
        with self.cache.room() as room:
            room.keep(one)
        await self.watch.look()
        return one

    async def pass_by(self, time: timedelta, every: timedelta = timedelta(minutes=5)) -> None:
        """Let time go by, looking now and then."""
        end = self.clock.now() + time
        while self.clock.now() < end:
            await self.clock.advance(min(every, end - self.clock.now()))
            await self.watch.look()

    @property
    def told(self) -> list[str]:
        return [type(event).__name__ for event in self.reported]


def _touched(home: Path) -> datetime:
    """What time it is for the disk, by which files are written."""
    probe = home / "probe"
    probe.touch()
    found = datetime.fromtimestamp(probe.stat().st_mtime, UTC)
    probe.unlink()
    return found


async def until(there: Callable[[], bool]) -> None:
    """Wait for what a thread has to do first."""
    for _ in range(2000):
        if there():
            return
        await asyncio.sleep(0.001)
    pytest.fail("it never came")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_that_nobody_is_signed_in_is_told_at_once_and_each_hour(bench: Bench) -> None:
    await bench.watch.look()
    assert bench.told == ["SignInOver"]
    assert bench.watch.standing.state == "over"
    assert "nobody has signed in" in bench.watch.standing.problem
    await bench.pass_by(HOUR - timedelta(minutes=5))
    assert bench.told == ["SignInOver"]
    await bench.pass_by(timedelta(minutes=5))
    assert bench.told == ["SignInOver", "SignInOver"]


async def test_a_sign_in_that_was_there_from_the_start_is_not_told_of(bench: Bench) -> None:
    await bench.keep()
    assert bench.told == []
    assert bench.watch.standing.state == "good"
    assert bench.watch.standing.ends_at is not None


async def test_who_signs_in_when_it_was_over_is_told_of(bench: Bench) -> None:
    await bench.watch.look()
    one = await bench.keep(refresh=None, lasts=8 * HOUR)
    assert bench.reported.of(SignedIn) == [SignedIn("identity_center", one.expires_at)]
    assert bench.watch.standing.state == "good"


async def test_without_refresh_it_is_due_a_fifth_of_its_time_before_it_ends(bench: Bench) -> None:
    one = await bench.keep(refresh=None, lasts=8 * HOUR)
    await bench.pass_by(timedelta(hours=6, minutes=20))
    assert bench.told == []
    await bench.pass_by(timedelta(minutes=10))
    assert bench.reported.of(SignInDue) == [SignInDue("identity_center", one.expires_at, "rolecall login")]
    await bench.pass_by(timedelta(minutes=80))
    assert bench.told == ["SignInDue", "SignInDue"]
    await bench.pass_by(timedelta(minutes=15))
    assert bench.told[2:] == ["SignInOver"]


async def test_a_sign_in_of_days_is_due_a_day_before_it_ends(bench: Bench) -> None:
    await bench.keep(refresh=None, lasts=timedelta(days=30))
    await bench.pass_by(timedelta(days=29) - HOUR, every=HOUR)
    assert bench.told == []
    await bench.pass_by(2 * HOUR, every=HOUR)
    assert {*bench.told} == {"SignInDue"}


async def test_one_that_is_renewed_is_due_a_day_before_the_registration_ends(bench: Bench) -> None:
    bench.clock.step(REGISTERED_UNTIL - timedelta(days=2) - bench.clock.now())
    await bench.keep()
    assert bench.told == []
    bench.clock.step(timedelta(hours=25))
    await bench.keep("2")
    assert bench.reported.of(SignInDue) == [SignInDue("identity_center", REGISTERED_UNTIL, "rolecall login")]


async def test_renewals_by_us_or_others_are_no_sign_ins(bench: Bench) -> None:
    await bench.keep()
    for number in range(5):
        await bench.pass_by(HOUR / 2)
        await bench.keep(f"renewed-{number}", refresh=f"refresh-{number}")
    assert bench.told == []


async def test_another_sign_in_while_the_first_is_good_is_told_of(bench: Bench) -> None:
    one = await bench.keep()
    assert one.registration is not None
    other = replace(one, access_token=Secret("x"), registration=replace(one.registration, client_id="other"))
    with bench.cache.room() as room:
        room.keep(other)
    await bench.watch.look()
    assert bench.told == ["SignedIn"]


async def test_what_the_portal_refuses_is_over_until_the_file_is_another(bench: Bench) -> None:
    await bench.keep()
    bench.watch.over(SignInNeeded("the sign-in is over", hint="sign in"))
    await bench.watch.look()
    assert bench.told == ["SignInOver"]
    assert (bench.watch.standing.state, bench.watch.standing.ends_at) == ("over", None)
    await bench.keep("2")
    assert bench.told == ["SignInOver", "SignedIn"]
    assert bench.reported.of(SignedIn) == [SignedIn("identity_center", None)]  # the portal alone knows how long
    assert bench.watch.standing.state == "good"


async def test_the_portal_counts_more_than_the_clock(bench: Bench) -> None:
    one = await bench.keep(refresh=None)
    await bench.pass_by(2 * HOUR)
    assert bench.watch.standing.state == "over"
    bench.watch.taken(one.access_token)
    await bench.watch.look()
    assert bench.watch.standing.ends_at == one.expires_at


@pytest.mark.parametrize(
    "spoil",
    [lambda path: path.write_text("{"), lambda path: path.unlink(), lambda path: path.chmod(0o666)],
    ids=["garbled", "gone", "open to all"],
)
async def test_a_file_that_cannot_be_used_any_more_is_told_of_and_mended(
    bench: Bench, spoil: Callable[[Path], object]
) -> None:
    await bench.keep()
    spoil(bench.cache.path)
    if bench.cache.path.exists():
        bench.cache.path.touch()
    await bench.watch.look()
    assert bench.reported.of(SignInOver) == [SignInOver("identity_center", "rolecall login")]
    await bench.keep("2")
    assert bench.told[-1] == "SignedIn"


async def test_it_is_looked_at_often_enough_to_notice_within_ten_seconds(bench: Bench) -> None:
    watching = asyncio.ensure_future(bench.watch.keep_watch())
    await until(lambda: bench.clock.sleepers > 0)
    with bench.cache.room() as room:
        room.keep(sign_in(at=bench.clock.now()))
    await bench.clock.advance(timedelta(seconds=10))
    await until(lambda: "SignedIn" in bench.told)
    assert bench.told == ["SignInOver", "SignedIn"]
    watching.cancel()
