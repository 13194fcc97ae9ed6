from datetime import timedelta

import pytest

from agent.callers.aws.spent import MOST_REFUSED, Spent
from agent.errors import ProofUnchecked, TokenRejected
from tests.fakes.clock import START

SOON = START + timedelta(seconds=1)
END = START + timedelta(minutes=15)


def spend(spent: Spent, mark: bytes, at: timedelta = timedelta(seconds=1)) -> None:
    spent.spend(mark, START + at, END + at, START + at)


def test_a_proof_is_taken_once() -> None:
    spent = Spent(START)
    spend(spent, b"one")
    spend(spent, b"other")
    with pytest.raises(TokenRejected) as error:
        spend(spent, b"one")
    assert error.value.reason == "used_before"


def test_one_that_came_to_nothing_may_be_shown_again_once() -> None:
    spent = Spent(START)
    spend(spent, b"one")
    spent.give_back(b"one")
    spend(spent, b"one")
    with pytest.raises(TokenRejected):
        spend(spent, b"one")


def test_what_was_made_before_we_began_may_have_been_used_before() -> None:
    spent = Spent(START)
    with pytest.raises(TokenRejected) as error:
        spent.spend(b"one", START - timedelta(seconds=1), END, SOON)
    assert error.value.reason == "expired"
    spent.spend(b"one", START, END, SOON)


def test_none_is_forgotten_before_its_end_and_more_than_fit_are_refused() -> None:
    spent = Spent(START, most=3)
    for mark in (b"1", b"2", b"3"):
        spend(spent, mark)
    with pytest.raises(ProofUnchecked):
        spend(spent, b"4", timedelta(minutes=10))
    with pytest.raises(TokenRejected):
        spend(spent, b"1", timedelta(minutes=10))
    spend(spent, b"4", timedelta(minutes=16))
    assert len(spent) == 1


def test_what_was_no_good_is_remembered_with_its_reason_until_there_are_too_many() -> None:
    spent = Spent(START)
    for number in range(MOST_REFUSED + 1):
        spent.refuse(b"%d" % number, "refused")
    assert spent.why_refused(b"0") is None
    assert spent.why_refused(b"1") == "refused"
    assert len(spent) == 0
