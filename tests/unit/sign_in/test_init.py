from datetime import timedelta

from agent.sign_in import SUCCESS, Answer
from tests.fakes.center import REGISTERED_UNTIL, sign_in
from tests.fakes.clock import START


def test_a_sign_in_that_is_renewed_lasts_as_long_as_the_registration() -> None:
    assert sign_in().is_renewable(START)
    assert sign_in().ends_at(START) == REGISTERED_UNTIL


def test_one_without_a_refresh_token_ends_with_its_access_token() -> None:
    assert not sign_in(refresh=None).is_renewable(START)
    assert sign_in(refresh=None).ends_at(START) == START + timedelta(hours=1)


def test_nothing_is_renewed_when_the_registration_has_ended() -> None:
    assert not sign_in().is_renewable(REGISTERED_UNTIL)
    assert sign_in().ends_at(REGISTERED_UNTIL) == START + timedelta(hours=1)


def test_an_answer_is_given_or_an_error_and_shows_nothing_of_what_is_in_it() -> None:
    assert Answer(SUCCESS, members={"accessToken": "canary"}).given
    assert not Answer("InvalidGrantException").given
    assert "canary" not in repr(Answer(SUCCESS, members={"accessToken": "canary"}))
