"""Is every set of credentials accounted for, and can nobody fill the disk?"""

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import CallerDenied
from agent.events import (
    CredentialsVended,
    Denial,
    FileWritten,
    RequestRefused,
    StsAnswered,
    TokenDenied,
    TokenVended,
    VendingDenied,
)
from agent.telemetry.audit import Audit
from tests.fakes.clock import FakeClock, settle
from tests.unit.telemetry.lines import Lines


class Audited:
    def __init__(self) -> None:
        self.lines = Lines()
        self.clock = FakeClock()
        self.audit = Audit(self.lines.logger, self.clock)

    def deny(self, caller: str = "web", role: str = "backup", reason: Denial = "not_granted") -> None:
        self.audit(VendingDenied(role, caller, reason, CallerDenied("This caller is not granted this role.")))


@pytest.fixture
def audited() -> Audited:
    return Audited()


def test_a_set_that_is_served_is_one_line_with_caller_role_key_and_expiry(audited: Audited) -> None:
    ends = datetime(2026, 11, 20, 13, 0, 0, tzinfo=UTC)
    audited.audit(CredentialsVended("backup", "token.file=/etc/rolecall/tokens/web", "ASIAABCDEFGHIJKLWXYZ", ends))
    assert audited.lines.facts() == [
        {
            "level": "info",
            "event": "credentials_served",
            "outcome": "served",
            "caller": "token.file=/etc/rolecall/tokens/web",
            "role": "backup",
            "key_id": "WXYZ",
            "expires": "2026-11-20T13:00:00Z",
        }
    ]


SERVICE = frozenset(
    {
        ("unix.uid", "1000"),
        ("unix.user", "alice"),
        ("systemd.unit", "user@1000.service"),
        ("systemd.user_unit", "sync.service"),
        ("container.id", "f00d"),
        ("container.name", "web"),
        ("process.pid", "4711"),
    }
)
CALLED = "unix.uid=1000,systemd.unit=user@1000.service,process.pid=4711"


def test_who_it_was_stands_in_fields_of_their_own(audited: Audited) -> None:
    ends = datetime(2026, 11, 20, 13, 0, 0, tzinfo=UTC)
    refused = CallerDenied("No.")
    audited.audit(CredentialsVended("backup", CALLED, "ASIAABCDEFGHIJKLWXYZ", ends, SERVICE))
    audited.audit(VendingDenied("backup", CALLED, "not_granted", refused, SERVICE))
    audited.audit(RequestRefused(CALLED, "throttled", SERVICE))
    who = {
        "uid": 1000,
        "unit": "user@1000.service",
        "user_unit": "sync.service",
        "container": "web",
        "pid": 4711,
        "caller": "unix.uid=1000,systemd.unit=user@1000.service",
    }
    lines = audited.lines.facts()
    assert len(lines) == 3
    for line in lines:
        assert {name: line[name] for name in who} == who
    assert [line.get("key_id") for line in lines] == ["WXYZ", None, None]
    assert [line.get("reason") for line in lines] == [None, "not_granted", "throttled"]


def test_other_processes_of_the_same_service_are_the_same_and_other_units_are_not(audited: Audited) -> None:
    for pid in range(1000):
        facts = (SERVICE - {("process.pid", "4711")}) | {("process.pid", f"{pid}")}
        audited.audit(
            VendingDenied("backup", f"unix.uid=1000,process.pid={pid}", "not_granted", CallerDenied("No."), facts)
        )
    assert len(audited.lines.facts()) == 1
    other = (SERVICE - {("systemd.user_unit", "sync.service")}) | {("systemd.user_unit", "other.service")}
    audited.audit(VendingDenied("backup", "unix.uid=1000", "not_granted", CallerDenied("No."), other))
    assert [line["user_unit"] for line in audited.lines.facts()] == ["sync.service", "other.service"]
    audited.audit._tell()
    last = audited.lines.facts()[-1]
    assert (last["again"], last["user_unit"], last.get("pid")) == (999, "sync.service", None)


def test_a_name_that_somebody_made_up_neither_fills_the_line_nor_breaks_it(audited: Audited) -> None:
    facts = frozenset({("systemd.user_unit", "a\nlevel=info " + "x" * 1000), ("process.pid", "many")})
    audited.audit(VendingDenied("backup", "c", "not_granted", CallerDenied("No."), facts))
    (line,) = audited.lines.facts()
    assert len(str(line["user_unit"])) == 256
    assert line["pid"] == "many"


def test_a_token_that_is_served_or_refused_is_told_with_its_audience(audited: Audited) -> None:
    ends = datetime(2026, 11, 20, 13, 0, 0, tzinfo=UTC)
    audited.audit(TokenVended("vault", CALLED, "jti-1", ends, SERVICE))
    audited.audit(TokenDenied("vault", CALLED, "not_granted", CallerDenied("No."), SERVICE))
    served, refused = audited.lines.facts()
    assert (served["event"], served["outcome"]) == ("token_served", "served")
    assert (served["audience"], served["jti"]) == ("vault", "jti-1")
    assert (served["expires"], served["uid"], served["pid"]) == ("2026-11-20T13:00:00Z", 1000, 4711)
    assert (refused["event"], refused["audience"], refused["reason"]) == ("token_refused", "vault", "not_granted")
    assert not {"role", "key_id"} & (served.keys() | refused.keys())


def test_who_is_refused_a_role_and_a_token_of_the_same_name_is_two_refusals(audited: Audited) -> None:
    audited.deny(role="vault")
    for _ in range(3):
        audited.audit(TokenDenied("vault", "web", "not_granted", CallerDenied("No.")))
    audited.audit._tell()
    told = [(line["event"], line.get("again")) for line in audited.lines.facts()]
    assert told == [("credentials_refused", None), ("token_refused", None), ("token_refused", 2)]


def test_a_refusal_is_one_line_with_its_reason(audited: Audited) -> None:
    audited.deny()
    assert audited.lines.facts() == [
        {
            "level": "warning",
            "event": "credentials_refused",
            "outcome": "denied",
            "caller": "web",
            "role": "backup",
            "reason": "not_granted",
        }
    ]


async def test_the_same_refusal_a_thousand_times_in_a_minute_is_a_line_and_a_count(audited: Audited) -> None:
    for _ in range(1000):
        audited.deny()
    await audited.clock.advance(timedelta(minutes=1))
    audited.deny()
    facts = audited.lines.facts()
    assert [fact.get("again") for fact in facts] == [None, 999, None]


async def test_the_count_is_told_though_nobody_comes_again(audited: Audited) -> None:
    telling = asyncio.ensure_future(audited.audit.keep_telling())
    await settle()
    audited.deny()
    audited.deny()
    await audited.clock.advance(timedelta(minutes=1))
    assert [fact.get("again") for fact in audited.lines.facts()] == [None, 1]
    await audited.clock.advance(timedelta(minutes=5))
    assert len(audited.lines.facts()) == 2
    telling.cancel()


async def test_what_has_not_been_gathered_for_a_minute_is_left_to_gather(audited: Audited) -> None:
    audited.deny()
    audited.deny()
    await audited.clock.advance(timedelta(seconds=59))
    audited.audit._tell(older_than=60)
    assert len(audited.lines.facts()) == 1


async def test_at_the_end_all_counts_are_told(audited: Audited) -> None:
    telling = asyncio.ensure_future(audited.audit.keep_telling())
    await settle()
    audited.deny()
    audited.deny()
    audited.deny("mail")
    telling.cancel()
    await settle()
    assert [(fact["caller"], fact.get("again")) for fact in audited.lines.facts()] == [
        ("web", None),
        ("mail", None),
        ("web", 1),
    ]


def test_a_request_that_was_not_even_looked_at_is_one_line_as_well(audited: Audited) -> None:
    for _ in range(50):
        audited.audit(RequestRefused("127.0.0.1", "refused_origin"))
    assert audited.lines.facts() == [
        {
            "level": "warning",
            "event": "credentials_refused",
            "outcome": "denied",
            "caller": "127.0.0.1",
            "reason": "refused_origin",
        }
    ]


@pytest.mark.parametrize(
    "other", [("mail", "backup", "not_granted"), ("web", "mail", "not_granted"), ("web", "backup", "unknown_role")]
)
def test_refusals_that_differ_are_told_apart(audited: Audited, other: tuple[str, str, Denial]) -> None:
    audited.deny()
    audited.deny(*other)
    assert len(audited.lines.facts()) == 2


async def test_callers_without_number_cost_neither_memory_nor_disk(audited: Audited) -> None:
    for number in range(20_000):
        audited.deny(f"unknown at 127.0.0.1:{number}", reason="unknown_caller")
    assert len(audited.lines.facts()) == 201
    assert len(audited.audit._gathered) == 201
    await audited.clock.advance(timedelta(minutes=1))
    audited.audit._tell(older_than=60)
    assert audited.lines.facts()[-1] | {"caller": "others", "again": 20_000 - 201} == audited.lines.facts()[-1]
    assert audited.audit._gathered == {}


def test_who_makes_up_names_takes_no_others_refusals_out_of_sight(audited: Audited) -> None:
    def deny(uid: str, user_unit: str) -> None:
        manager = ("systemd.unit", f"user@{uid}.service")
        facts = frozenset({("unix.uid", uid), manager, ("systemd.user_unit", user_unit)})
        error = CallerDenied("This caller is not granted this role.")
        audited.audit(VendingDenied("backup", f"unix.uid={uid},{user_unit}", "not_granted", error, facts))

    for number in range(1000):
        deny("1000", f"made-up-{number}.service")
    assert len(audited.lines.facts()) == 51
    assert audited.lines.facts()[-1]["caller"] == "others of user 1000"
    deny("1001", "sync.service")
    assert audited.lines.facts()[-1]["caller"] == "unix.uid=1001,sync.service"
    assert audited.lines.facts()[-1]["uid"] == 1001


def test_a_caller_that_calls_itself_very_long_is_cut_short(audited: Audited) -> None:
    audited.deny("x" * 100_000)
    assert len(json.dumps(audited.lines.facts())) < 1000


def test_other_facts_are_not_for_the_audit(audited: Audited) -> None:
    audited.audit(StsAnswered("Success"))
    assert audited.lines.facts() == []


def test_a_token_in_a_file_is_told_of_once_however_often_it_is_put_back(audited: Audited) -> None:
    ends = audited.clock.now()
    for end in (ends, ends, ends + timedelta(minutes=5)):
        audited.audit(FileWritten("/run/backup.jwt", "web_identity_token", "backup", end))
    audited.audit(FileWritten("/root/credentials", "credentials", "backup", ends))  # told of as vended
    told = [(fact["event"], fact["outcome"], fact["caller"], fact["role"]) for fact in audited.lines.facts()]
    assert told == [("token_served", "served", "file:/run/backup.jwt", "backup")] * 2


def test_a_token_for_others_that_is_put_into_a_file_is_told_with_its_audience(audited: Audited) -> None:
    end = datetime(2026, 11, 20, 13, 0, 0, tzinfo=UTC)
    for _ in range(2):
        audited.audit(FileWritten("/run/vault.jwt", "token", "vault", end))
    (line,) = audited.lines.facts()
    assert (line["event"], line["audience"], line["caller"]) == ("token_served", "vault", "file:/run/vault.jwt")
    assert "role" not in line
