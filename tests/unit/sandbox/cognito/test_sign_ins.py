from datetime import timedelta
from random import Random

import pytest

from agent.sandbox.cognito.issuing import Origin
from agent.sandbox.cognito.sign_ins import Attempts, Challenge, Challenges, Refreshing, RefreshTokens
from agent.sandbox.refusals import Refusal
from tests.fakes.clock import START
from tests.fakes.cognito import CLIENT, POOL_ID, a_client, a_pool, a_user

MINUTE = timedelta(minutes=1)


def challenge(name: str = "SMS_MFA") -> Challenge:
    return Challenge(name, POOL_ID, CLIENT, "machine", START + 3 * MINUTE)


def refreshing(origin: str = "one") -> Refreshing:
    return Refreshing(POOL_ID, CLIENT, "machine", Origin(START, origin), START + 60 * MINUTE)


def test_a_session_is_long_and_good_once_for_its_client_and_name() -> None:
    waiting = Challenges(Random(1))
    session = waiting.put(challenge())
    assert 20 <= len(session) <= 2048
    for name, client in (("NEW_PASSWORD_REQUIRED", CLIENT), ("SMS_MFA", "another")):
        again = waiting.put(challenge())
        with pytest.raises(Refusal, match="Invalid session"):
            waiting.take(again, name, client, START)
    assert waiting.take(session, "SMS_MFA", CLIENT, START) == challenge()
    with pytest.raises(Refusal, match="only be used once"):
        waiting.take(session, "SMS_MFA", CLIENT, START)


def test_a_session_ends() -> None:
    waiting = Challenges(Random(1))
    session = waiting.put(challenge())
    with pytest.raises(Refusal, match="expired"):
        waiting.take(session, "SMS_MFA", CLIENT, START + 3 * MINUTE)


def test_the_lock_grows_as_aws_documents_it() -> None:
    attempts, pool, user = Attempts(), a_pool(), a_user()
    for count, seconds in ((5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (40, 900)):
        one = Attempts()
        for _ in range(count):
            one.failed(pool, user, START)
        with pytest.raises(Refusal, match="exceeded"):
            one.check(pool, user, START + timedelta(seconds=seconds - 0.1))
        one.check(pool, user, START + timedelta(seconds=seconds))
    for _ in range(4):
        attempts.failed(pool, user, START)
    attempts.check(pool, user, START)
    attempts.succeeded(pool, user)
    attempts.failed(pool, user, START)
    attempts.check(pool, user, START)


def test_a_refresh_token_looks_like_cognitos_and_is_known_until_it_ends() -> None:
    tokens = RefreshTokens(Random(1))
    token = tokens.give(refreshing())
    assert token.count(".") == 4
    assert tokens.use(token, a_client(), START) == refreshing()
    with pytest.raises(Refusal, match="expired"):
        tokens.use(token, a_client(), START + 60 * MINUTE)
    with pytest.raises(Refusal, match="Invalid Refresh Token"):
        tokens.use(token, a_client(client_id="another"), START)


def test_revoking_ends_one_sign_in_and_no_other() -> None:
    tokens = RefreshTokens(Random(1))
    first, other = tokens.give(refreshing()), tokens.give(refreshing("two"))
    second = tokens.rotate(first, START)
    tokens.revoke(second, "another client")
    assert tokens.use(second, a_client(), START)
    tokens.revoke(second, CLIENT)
    for token in (first, second):
        with pytest.raises(Refusal, match="revoked"):
            tokens.use(token, a_client(), START)
    assert tokens.use(other, a_client(), START)
    tokens.revoke_user(POOL_ID, "machine")
    with pytest.raises(Refusal, match="revoked"):
        tokens.use(other, a_client(), START)
