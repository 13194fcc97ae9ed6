import json
from datetime import UTC, datetime

import pytest

from agent.secret import Secret
from agent.sign_in import Registration
from agent.sign_in.members import read_instant, read_registration, read_sign_in, spelt, spelt_registration
from tests.fakes.center import PORTAL, sign_in

#: A file as version 2 of the AWS CLI writes it.
OF_THE_CLI = {
    "startUrl": "https://example.awsapps.com/start",
    "region": "eu-central-1",
    "accessToken": "access",
    "expiresAt": "2026-11-20T13:00:00Z",
    "clientId": "id",
    "clientSecret": "secret",
    "registrationExpiresAt": "2027-02-18T12:00:00Z",
    "refreshToken": "refresh",
}


def test_what_is_read_is_written_as_it_was_in_the_same_order() -> None:
    written = spelt(read_sign_in(json.dumps(OF_THE_CLI).encode(), PORTAL))
    assert written == OF_THE_CLI
    assert [*written] == [*OF_THE_CLI]


def test_what_nobody_knows_stays_in_it() -> None:
    known = read_sign_in(json.dumps({**OF_THE_CLI, "issuedBy": {"who": "a later version"}}).encode(), PORTAL)
    assert spelt(known)["issuedBy"] == {"who": "a later version"}


def test_a_file_of_old_has_no_more_than_a_token_and_its_end() -> None:
    old = read_sign_in(b'{"accessToken": "access", "expiresAt": "2026-11-20T13:00:00UTC"}', PORTAL)
    assert (old.start_url, old.region) == (PORTAL.start_url, PORTAL.region)
    assert old.registration is None
    assert old.refresh_token is None
    assert not old.is_renewable(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "text",
    ["2026-11-20T13:00:00Z", "2026-11-20T13:00:00UTC", "2026-11-20T14:00:00+01:00", "2026-11-20T13:00:00.000Z"],
)
def test_each_program_s_way_to_write_a_time_is_read(text: str) -> None:
    assert read_instant(text) == datetime(2026, 11, 20, 13, tzinfo=UTC)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 60_000, b'{"accessToken": "a"}', b" " * 70_000,
        b'{"accessToken": 1, "expiresAt": "2026-11-20T13:00:00Z"}', b'{"accessToken": "canary", "expiresAt": "soon"}',
        b'{"accessToken": "ca\\nnary", "expiresAt": "2026-11-20T13:00:00Z"}',
        b'{"accessToken": "canary", "expiresAt": "9999-12-31T23:59:59-23:59"}',
        b'{"accessToken": "canary", "expiresAt": "0001-01-01T00:00:00+23:59"}',
    ],
)  # fmt: skip
def test_what_is_no_sign_in_is_told_without_being_quoted(content: bytes) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - its words are looked at below
        read_sign_in(content, PORTAL)
    assert "nary" not in str(caught.value)


def test_half_a_registration_is_none() -> None:
    members = {name: value for name, value in OF_THE_CLI.items() if name != "clientSecret"}
    assert read_sign_in(json.dumps(members).encode(), PORTAL).registration is None


def test_a_registration_is_read_as_it_is_written() -> None:
    one = Registration("id", Secret("canary"), datetime(2027, 1, 1, tzinfo=UTC), ("sso:account:access",), ("a", "b"))
    assert read_registration(json.dumps(spelt_registration(one)).encode()) == one
    plain = Registration("id", Secret("canary"), datetime(2027, 1, 1, tzinfo=UTC), ("sso:account:access",))
    assert "grantTypes" not in spelt_registration(plain)


def test_no_secret_shows() -> None:
    assert "access-1" not in repr(sign_in())
    assert "canary" not in repr(sign_in())
