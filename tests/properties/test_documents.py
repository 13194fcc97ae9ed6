"""Can any SDK's parser stumble over what we write?"""

import json
import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st

from agent.clock import instant
from agent.credentials import Credentials
from agent.outputs import documents, process
from agent.secret import Secret

#: What AWS writes into keys and tokens, and, to be sure, anything else at all.
texts = st.one_of(st.text("ABCxyz019+/=_-", min_size=1, max_size=900), st.text(min_size=1, max_size=50))
zones = st.integers(-840, 840).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(datetime(2000, 1, 2), datetime(2099, 1, 1), timezones=zones)  # noqa: DTZ001 - bounds are naive
held = st.builds(
    Credentials,
    access_key_id=texts,
    secret_access_key=texts.map(Secret),
    session_token=texts.map(Secret),
    obtained_at=instants,
    expires_at=instants,
    role_arn=texts,
    account_id=texts,
)


@given(held)
def test_an_ecs_document_says_what_is_held(credentials: Credentials) -> None:
    told = json.loads(documents.ecs(credentials))
    assert list(told) == [
        "Code",
        "LastUpdated",
        "Type",
        "AccessKeyId",
        "SecretAccessKey",
        "Token",
        "Expiration",
        "AccountId",
        "RoleArn",
    ]
    assert told["AccessKeyId"] == credentials.access_key_id
    assert told["SecretAccessKey"] == credentials.secret_access_key.reveal()
    assert told["Token"] == credentials.session_token.reveal()
    assert told["RoleArn"] == credentials.role_arn
    assert all(isinstance(value, str) and value for value in told.values())


@given(held)
def test_documents_are_one_line_of_ascii(credentials: Credentials) -> None:
    told = documents.ecs(credentials)
    for document in (told, process.from_ecs(told)):
        assert re.fullmatch(rb"[ -~]+", document)


@given(instants)
def test_an_instant_is_the_same_instant_to_the_second(moment: datetime) -> None:
    written = instant(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", written)
    read = datetime.strptime(written, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert timedelta(0) <= moment - read < timedelta(seconds=1)


@given(held)
def test_a_process_document_says_what_is_held(credentials: Credentials) -> None:
    assert json.loads(process.from_ecs(documents.ecs(credentials))) == {
        "Version": 1,
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key.reveal(),
        "SessionToken": credentials.session_token.reveal(),
        "Expiration": instant(credentials.expires_at),
        "AccountId": credentials.account_id,
    }
