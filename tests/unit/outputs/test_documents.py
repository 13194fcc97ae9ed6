import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from agent.credentials import Credentials
from agent.outputs import documents
from agent.secret import Secret

HELD = Credentials(
    access_key_id="ASIAEXAMPLE",
    secret_access_key=Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCY"),
    session_token=Secret("IQoJb3JpZ2luX2VjEXAMPLE/token=="),
    obtained_at=datetime(2026, 11, 20, 12, 0, 0, 999_999, tzinfo=UTC),
    expires_at=datetime(2026, 11, 20, 13, 0, 0, tzinfo=UTC),
    role_arn="arn:aws:iam::123456789012:role/web",
    account_id="123456789012",
)
EMPTY = [
    {"access_key_id": ""},
    {"secret_access_key": Secret("")},
    {"session_token": Secret("")},
    {"role_arn": ""},
    {"account_id": ""},
]


def test_an_ecs_document_has_exactly_these_members_in_this_order() -> None:
    assert documents.ecs(HELD) == (
        b'{"Code":"Success","LastUpdated":"2026-11-20T12:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE",'
        b'"SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCY","Token":"IQoJb3JpZ2luX2VjEXAMPLE/token==",'
        b'"Expiration":"2026-11-20T13:00:00Z","AccountId":"123456789012",'
        b'"RoleArn":"arn:aws:iam::123456789012:role/web"}'
    )


def test_a_process_document_has_a_version_that_is_a_number() -> None:
    assert json.loads(documents.process(HELD)) == {
        "Version": 1,
        "AccessKeyId": "ASIAEXAMPLE",
        "SecretAccessKey": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
        "SessionToken": "IQoJb3JpZ2luX2VjEXAMPLE/token==",
        "Expiration": "2026-11-20T13:00:00Z",
        "AccountId": "123456789012",
    }


@pytest.mark.parametrize("without", EMPTY, ids=lambda without: next(iter(without)))
def test_an_incomplete_set_is_no_document(without: dict[str, str | Secret]) -> None:
    incomplete = replace(HELD, **without)  # type: ignore[arg-type]  # the names are above
    with pytest.raises(ValueError, match="are no credentials") as refused:
        documents.ecs(incomplete)
    assert "wJalr" not in str(refused.value)
    if "role_arn" not in without:
        with pytest.raises(ValueError, match="are no credentials"):
            documents.process(incomplete)


def test_times_are_in_utc_with_a_z_and_without_a_fraction() -> None:
    abroad = datetime(2026, 11, 20, 14, 0, 0, 500_000, tzinfo=timezone(timedelta(hours=2)))
    assert documents.instant(abroad) == "2026-11-20T12:00:00Z"
