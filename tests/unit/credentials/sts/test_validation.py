from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.credentials.sts.validation import believe
from agent.errors import CredentialsUnavailable
from tests.fakes.clock import START
from tests.fakes.sts_server import ACCESS_KEY_ID, CANARY_SECRET, CANARY_SESSION, SESSION_ARN
from tests.unit.credentials.conftest import ROLE

HOUR = timedelta(hours=1)


def result(arn: object = SESSION_ARN, **changed: object) -> dict[str, object]:
    credentials: dict[str, object] = {
        "AccessKeyId": ACCESS_KEY_ID,
        "SecretAccessKey": CANARY_SECRET,
        "SessionToken": CANARY_SESSION,
        "Expiration": START + HOUR,
        **changed,
    }
    return {"Credentials": credentials, "AssumedRoleUser": {"AssumedRoleId": "AROA:x", "Arn": arn}}


def test_a_good_answer_is_believed() -> None:
    credentials = believe(result(), ROLE, START)
    assert credentials.lifetime == HOUR
    assert credentials.secret_access_key.reveal() == CANARY_SECRET


def test_an_expiry_is_kept_in_utc() -> None:
    elsewhere = (START + HOUR).astimezone(timezone(timedelta(hours=9)))
    expires_at = believe(result(Expiration=elsewhere), ROLE, START).expires_at
    assert expires_at == START + HOUR
    assert expires_at.tzinfo is UTC


@pytest.mark.parametrize("left", [timedelta(seconds=1), timedelta(minutes=15), HOUR, HOUR + timedelta(minutes=5)])
def test_a_life_up_to_what_was_asked_for_is_believed(left: timedelta) -> None:
    assert believe(result(Expiration=START + left), ROLE, START).lifetime == left


BAD: list[tuple[str, Mapping[str, object]]] = [
    ("Credentials is missing", {}),
    ("Credentials is missing", {"Credentials": None, "AssumedRoleUser": {"Arn": SESSION_ARN}}),
    ("Credentials is missing", {"Credentials": {}, "AssumedRoleUser": {"Arn": SESSION_ARN}}),
    ("Credentials is missing", {"Credentials": "canary", "AssumedRoleUser": {"Arn": SESSION_ARN}}),
    ("AssumedRoleUser is missing", {"Credentials": result()["Credentials"]}),
    ("Arn is missing", result(arn="")),
    ("role and session", result(arn=SESSION_ARN.replace("host-1", "host-2"))),
    ("role and session", result(arn=SESSION_ARN.replace("123456789012", "123456789013"))),
    ("role and session", result(arn=SESSION_ARN.replace("/backup/", "/admin/"))),
    ("role and session", result(arn=SESSION_ARN.replace("arn:aws:", "arn:aws-cn:"))),
    ("role and session", result(arn=SESSION_ARN.replace("/backup/", "/path/backup/"))),
    ("AccessKeyId is missing or empty", result(AccessKeyId="")),
    ("AccessKeyId is missing or empty", result(AccessKeyId=None)),
    ("AccessKeyId is not", result(AccessKeyId="AKIAEXAMPLEEXAMPLE12")),
    ("AccessKeyId is not", result(AccessKeyId="ASIASHORT")),
    ("AccessKeyId is not", result(AccessKeyId="ASIA" + "A" * 125)),
    ("AccessKeyId is not", result(AccessKeyId="ASIAEXAMPLE EXAMPLE12")),
    ("AccessKeyId is not", result(AccessKeyId=ACCESS_KEY_ID + "\n")),
    ("SecretAccessKey is missing or empty", result(SecretAccessKey="")),
    ("SecretAccessKey is missing or empty", result(SecretAccessKey=["canary"])),
    ("SecretAccessKey holds", result(SecretAccessKey="canary\r\nx")),
    ("SessionToken is missing or empty", result(SessionToken="")),
    ("SessionToken holds", result(SessionToken="canary ")),
    ("SessionToken holds", result(SessionToken="canäry")),
    ("Expiration is missing", result(Expiration=None)),
    ("Expiration is missing", result(Expiration="2026-11-20T13:00:00Z")),
    ("time zone", result(Expiration=datetime(2026, 11, 20, 13))),  # noqa: DTZ001 - the very mistake
    ("3600 s in the past", result(Expiration=START - HOUR)),
    ("0 s in the past", result(Expiration=START)),
    ("3901 s ahead", result(Expiration=START + HOUR + timedelta(minutes=5, seconds=1))),
    ("ahead, more than", result(Expiration=datetime.max.replace(tzinfo=UTC))),
    ("in the past", result(Expiration=datetime.min.replace(tzinfo=UTC))),
]


@pytest.mark.parametrize(("words", "answer"), BAD)
def test_what_is_wrong_with_an_answer_is_said_without_its_values(words: str, answer: Mapping[str, object]) -> None:
    with pytest.raises(CredentialsUnavailable) as caught:
        believe(answer, ROLE, START)
    assert words in caught.value.what
    assert caught.value.hint
    assert "canary" not in f"{caught.value!r} {caught.value.hint}"


def test_an_expiry_in_the_past_points_at_the_clock() -> None:
    with pytest.raises(CredentialsUnavailable) as caught:
        believe(result(Expiration=START - HOUR), ROLE, START)
    assert "clock" in caught.value.hint
