from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from agent.sandbox.cognito.desk import (
    Desk,
    check_client_secret,
    check_hash,
    check_secret_hash,
    is_same,
    moment_of,
    needed,
    secret_hash,
)
from agent.sandbox.cognito.speech import Spoken
from agent.sandbox.refusals import Refusal
from tests.fakes.cognito import CLIENT, SECRET, USER, a_client, a_pool

OPEN = Desk(a_pool(), a_client())
CLOSED = Desk(a_pool(), a_client(secret=SECRET))
#: HMAC-SHA256 of the user's name and the client's id with the secret, by `openssl dgst -sha256 -hmac`.
HASH = "6VOdcDV+9H5OAnnpsNgYKvbu98o74m+BfZmMm8vwunI="


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(Refusal) as caught:
        call()
    return caught.value.message


def test_a_secret_hash_is_checked_where_there_is_a_secret_and_refused_where_there_is_none() -> None:
    assert secret_hash(CLOSED.client, USER) == HASH
    right = {"SECRET_HASH": HASH}
    check_secret_hash(OPEN, USER, {})
    check_secret_hash(CLOSED, USER, right)
    check_hash(CLOSED, right, ("other", USER))
    assert "secret was received" in refused(lambda: check_secret_hash(OPEN, USER, right))
    assert "was not received" in refused(lambda: check_secret_hash(CLOSED, USER, {}))
    assert (
        refused(lambda: check_secret_hash(CLOSED, "other", right))
        == f"Unable to verify secret hash for client {CLIENT}"
    )
    assert "Unable" in refused(lambda: check_secret_hash(CLOSED, USER, {"SECRET_HASH": "ä"}))


def test_a_client_shows_its_secret_itself_where_there_is_no_user() -> None:
    check_client_secret(OPEN, Spoken("x", {}))
    check_client_secret(CLOSED, Spoken("x", {"ClientSecret": SECRET}))
    for desk, shown in ((OPEN, SECRET), (CLOSED, None), (CLOSED, "y" * 30), (CLOSED, "short")):
        refused(lambda desk=desk, shown=shown: check_client_secret(desk, Spoken("x", {"ClientSecret": shown})))  # type: ignore[misc]  # defaults


def test_what_is_needed_is_there_and_not_empty() -> None:
    assert needed({"A": "b"}, "A") == "b"
    assert refused(lambda: needed({"A": ""}, "A")) == "Missing required parameter A"
    assert refused(lambda: needed({}, "A")) == "Missing required parameter A"


def test_any_text_can_be_compared() -> None:
    assert is_same("pässwörd", "pässwörd")
    assert not is_same("pässwörd", "password")


@pytest.mark.parametrize(
    ("stamp", "moment"),
    [
        ("Sat Nov 21 09:03:07 UTC 2026", datetime(2026, 11, 21, 9, 3, 7, tzinfo=UTC)),
        ("Sat Sep 5 09:03:07 UTC 2026", datetime(2026, 9, 5, 9, 3, 7, tzinfo=UTC)),
        ("Sat Sep 05 09:03:07 UTC 2026", None),
        ("Sun Sep 5 09:03:07 UTC 2026", None),
        ("Sat Sep 5 09:03:07 GMT 2026", None),
        ("Sat Sep 5 9:03:07 UTC 2026", None),
        ("Mon Feb 30 09:03:07 UTC 2026", None),
        ("", None),
    ],
)
def test_a_timestamp_is_written_in_one_way(stamp: str, moment: datetime | None) -> None:
    assert moment_of(stamp) == moment
