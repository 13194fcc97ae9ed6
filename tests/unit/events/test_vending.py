from datetime import UTC, datetime, timedelta

from agent.errors import CredentialsUnavailable
from agent.events import (
    ClockMeasured,
    CredentialsVended,
    RenewalFailed,
    RequestRefused,
    RosterFull,
    SessionRenewed,
    StsAnswered,
    TokenSigned,
    VendingDenied,
    VendingEvent,
)
from tests.unit.events.plain import check_kinds, check_plain

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DOWN = CredentialsUnavailable("STS does not answer")
SECOND = timedelta(seconds=1)
ALICE = frozenset({("unix.uid", "1000")})


def examples() -> list[VendingEvent]:
    return [
        SessionRenewed("web", "ASIA1", NOON, SECOND, SECOND),
        RenewalFailed("web", DOWN, 1, SECOND, SECOND, None),
        CredentialsVended("web", "unix.uid=1000", "ASIA1", NOON, ALICE),
        VendingDenied("web", "unknown at 127.0.0.1", "unknown_caller", DOWN),
        RequestRefused("127.0.0.1", "refused_host"),
        RosterFull("web", "user 1000", 1024, 512),
        TokenSigned("kid"),
        StsAnswered("Success"),
        ClockMeasured(SECOND),
    ]


def test_each_kind_says_what_happened_and_has_no_room_for_a_secret() -> None:
    check_kinds(VendingEvent, examples())


def test_what_happened_stays_what_happened() -> None:
    check_plain(examples())


def test_of_whom_nothing_is_known_no_facts_are_told() -> None:
    assert VendingDenied("web", "unknown", "unknown_caller", DOWN).facts == frozenset()
    assert RequestRefused("127.0.0.1", "throttled").facts == frozenset()
