import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from agent.callers import Caller, Grant, Origin, Peer
from agent.credentials import Credentials
from agent.outputs import documents
from agent.outputs.profiles import OURS
from agent.secret import Secret
from agent.wording import TokenGrant, Wording

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


@pytest.mark.parametrize("without", EMPTY, ids=lambda without: next(iter(without)))
def test_an_incomplete_set_is_no_document(without: dict[str, str | Secret]) -> None:
    incomplete = replace(HELD, **without)  # type: ignore[arg-type]  # the names are above
    with pytest.raises(ValueError, match="are no credentials") as refused:
        documents.ecs(incomplete)
    assert "wJalr" not in str(refused.value)


def test_an_imds_document_says_what_ec2_says_and_no_more() -> None:
    assert documents.imds(HELD) == (
        b'{"Code":"Success","LastUpdated":"2026-11-20T12:00:00Z","Type":"AWS-HMAC","AccessKeyId":"ASIAEXAMPLE",'
        b'"SecretAccessKey":"wJalrXUtnFEMI/K7MDENG+bPxRfiCY","Token":"IQoJb3JpZ2luX2VjEXAMPLE/token==",'
        b'"Expiration":"2026-11-20T13:00:00Z"}'
    )


def test_a_profile_has_what_sdks_read_and_when_it_ends() -> None:
    assert documents.profile(HELD) == {
        "aws_access_key_id": "ASIAEXAMPLE",
        "aws_secret_access_key": "wJalrXUtnFEMI/K7MDENG+bPxRfiCY",
        "aws_session_token": "IQoJb3JpZ2luX2VjEXAMPLE/token==",
        "aws_account_id": "123456789012",
        "x_security_token_expires": "2026-11-20T13:00:00Z",
    }


def test_a_profile_has_no_entry_that_would_be_left_behind() -> None:
    assert set(documents.profile(HELD)) <= set(OURS)


@pytest.mark.parametrize("without", EMPTY[:3], ids=lambda without: next(iter(without)))
def test_an_incomplete_set_is_nothing_in_any_shape(without: dict[str, str | Secret]) -> None:
    incomplete = replace(HELD, **without)  # type: ignore[arg-type]  # the names are above
    for shape in (documents.imds, documents.profile):
        with pytest.raises(ValueError, match="are no credentials"):
            shape(incomplete)


READING = Wording("host:web-1", timedelta(minutes=10), ("read",))


def test_a_caller_is_told_its_facts_in_order_and_its_roles_with_the_grants_that_give_them() -> None:
    facts = frozenset({("unix.uid", "1000"), ("systemd.unit", "b\u00fc.service"), ("unix.user", "alice")})
    caller = Caller(Peer(Origin("127.0.0.1"), b"a-token-that-is-a-secret"), facts)
    said = documents.who(
        caller, [Grant("web", facts, setting="grants#2")], [TokenGrant("api", facts, READING, "grants#3")]
    )
    assert json.loads(said) == {
        "caller": "unix.user=alice,unix.uid=1000,systemd.unit=b\u00fc.service",
        "facts": [["systemd.unit", "b\u00fc.service"], ["unix.uid", "1000"], ["unix.user", "alice"]],
        "granted": [{"role": "web", "by": "grants#2"}],
        "tokens": [{"audience": "api", "scopes": ["read"], "by": "grants#3"}],
    }
    assert said.isascii()
    assert b"secret" not in said
