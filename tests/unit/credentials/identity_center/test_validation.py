from datetime import timedelta

import pytest

from agent.credentials.identity_center.validation import believe
from agent.errors import CredentialsUnavailable
from agent.sign_in import Answer
from tests.fakes.center import given
from tests.fakes.clock import START

HOUR = timedelta(hours=1)


def answer(**changes: object) -> Answer:
    members = {
        "accessKeyId": "ASIAEXAMPLE000000001",
        "secretAccessKey": "canary-secret",
        "sessionToken": "canary-session",
        "expiration": int((START + HOUR).timestamp() * 1000),
    }
    return given(roleCredentials={**members, **changes})


def test_what_is_whole_is_believed_and_ends_by_milliseconds() -> None:
    one = believe(answer(), START)
    assert (one.access_key_id, one.obtained_at, one.expires_at) == ("ASIAEXAMPLE000000001", START, START + HOUR)
    assert one.secret_access_key.reveal() == "canary-secret"
    assert "canary" not in repr(one)


@pytest.mark.parametrize(
    "wrong",
    [
        given(),
        given(roleCredentials=None),
        given(roleCredentials=["canary"]),
        answer(accessKeyId=""),
        answer(accessKeyId="AKIAEXAMPLE000000001"),
        answer(secretAccessKey=""),
        answer(secretAccessKey="can\nary"),
        answer(sessionToken=None),
        answer(expiration=None),
        answer(expiration="canary"),
        answer(expiration=True),
        answer(expiration=-1),
        answer(expiration=10**18),
        answer(expiration=int(START.timestamp())),  # in seconds, as other times of AWS's
        answer(expiration=int((START + 13 * HOUR).timestamp() * 1000)),
    ],
)
def test_what_is_not_is_not_and_nothing_is_quoted(wrong: Answer) -> None:
    with pytest.raises(CredentialsUnavailable) as caught:
        believe(wrong, START)
    assert "canary" not in caught.value.what
    assert caught.value.hint
