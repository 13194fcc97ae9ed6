from datetime import timedelta

import pytest

from agent.callers.aws.spent import MOST_REFUSED, Spent
from agent.errors import ProofUnchecked, TokenRejected
from tests.fakes.clock import START, FakeClock

LIFE = timedelta(minutes=15)


def spend(spent: Spent, mark: bytes, clock: FakeClock) -> None:
    """Show a proof that was made just now."""
    spent.spend(mark, clock.now(), clock.now() + LIFE)


def test_a_proof_is_taken_once() -> None:
    clock = FakeClock()
    spent = Spent(clock)
    spend(spent, b"one", clock)
    spend(spent, b"other", clock)
    with pytest.raises(TokenRejected) as error:
        spend(spent, b"one", clock)
    assert error.value.reason == "used_before"


def test_one_that_came_to_nothing_may_be_shown_again_once() -> None:
    clock = FakeClock()
    spent = Spent(clock)
    spend(spent, b"one", clock)
    spent.give_back(b"one")
    spend(spent, b"one", clock)
    with pytest.raises(TokenRejected):
        spend(spent, b"one", clock)


async def test_what_was_made_before_we_began_may_have_been_used_before() -> None:
    clock = FakeClock()
    spent = Spent(clock)
    await clock.advance(timedelta(minutes=1))
    with pytest.raises(TokenRejected) as error:
        spent.spend(b"one", START - timedelta(seconds=1), START + LIFE)
    assert error.value.reason == "expired"
    spent.spend(b"one", START, START + LIFE)


@pytest.mark.parametrize("wrong", [timedelta(hours=1), timedelta(hours=-1)])
async def test_a_clock_that_was_wrong_when_we_began_refuses_nobody_once_it_is_right(wrong: timedelta) -> None:
    clock = FakeClock(START + wrong)
    spent = Spent(clock)
    await clock.advance(timedelta(minutes=1))
    clock.step(-wrong)
    spend(spent, b"one", clock)
    with pytest.raises(TokenRejected):
        spent.spend(b"two", START - timedelta(seconds=1), START + LIFE)


async def test_none_is_forgotten_before_its_end_and_more_than_fit_are_refused() -> None:
    clock = FakeClock()
    spent = Spent(clock, most=3)
    for mark in (b"1", b"2", b"3"):
        spend(spent, mark, clock)
    await clock.advance(timedelta(minutes=10))
    with pytest.raises(ProofUnchecked):
        spend(spent, b"4", clock)
    with pytest.raises(TokenRejected):
        spend(spent, b"1", clock)
    await clock.advance(timedelta(minutes=6))
    spend(spent, b"4", clock)
    assert len(spent) == 1


def test_what_was_no_good_is_remembered_with_its_reason_until_there_are_too_many() -> None:
    spent = Spent(FakeClock())
    for number in range(MOST_REFUSED + 1):
        spent.refuse(b"%d" % number, "refused")
    assert spent.why_refused(b"0") is None
    assert spent.why_refused(b"1") == "refused"
    assert len(spent) == 0
