"""Does Prometheus read what it was promised, and can nobody make it read more than it can hold?"""

import asyncio
import re
import shutil
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as from_openmetrics
from prometheus_client.parser import text_string_to_metric_families as from_text
from prometheus_client.samples import Sample

from agent.errors import CallerDenied, CredentialsRefused, CredentialsUnavailable, TokenRejected
from agent.events import (
    BearerRefused,
    ClockMeasured,
    RenewalFailed,
    RequestRefused,
    SessionRenewed,
    StsAnswered,
    TokenDenied,
    TokenSigned,
    VendingDenied,
)
from agent.narrowing import WHOLE, Narrowing
from agent.roster import Roster
from agent.status.sign_ins import SignInStatus
from agent.status.snapshot import KeyRing, KeyStatus, Overview
from agent.telemetry.metrics import Metrics
from agent.web.stats import RequestStats
from tests.unit.status.samples import ISSUER_EPOCH, KID, TOKENS, Inside

ROOT = Path(__file__).parents[3]
DOWN = CredentialsUnavailable("STS does not answer.")
OPENMETRICS = "application/openmetrics-text"
REFUSED = CredentialsRefused("STS refuses: AccessDenied.")
SECOND = timedelta(seconds=1)

#: The contract with dashboards and alerts: changing a name here breaks other people's.
PROMISED = {
    "rolecall_build_info": ("gauge", {"version"}),
    "rolecall_credentials_expiry_timestamp_seconds": ("gauge", {"role"}),
    "rolecall_credentials_last_success_timestamp_seconds": ("gauge", {"role"}),
    "rolecall_credentials_refreshes_total": ("counter", {"role", "outcome"}),
    "rolecall_credentials_refresh_duration_seconds": ("histogram", {"role"}),
    "rolecall_credentials_consecutive_failures": ("gauge", {"role"}),
    "rolecall_credentials_next_refresh_timestamp_seconds": ("gauge", {"role"}),
    "rolecall_sessions": ("gauge", {"role"}),
    "rolecall_tokens_expiry_timestamp_seconds": ("gauge", {"audience"}),
    "rolecall_tokens_held": ("gauge", {"audience"}),
    "rolecall_tokens_consecutive_failures": ("gauge", {"audience"}),
    "rolecall_sign_in_ends_timestamp_seconds": ("gauge", {"source"}),
    "rolecall_verifications_refused_total": ("counter", {"rule", "reason"}),
    "rolecall_sts_requests_total": ("counter", {"code"}),
    "rolecall_tokens_signed_total": ("counter", {"kid"}),
    "rolecall_signing_key_info": ("gauge", {"kid", "state", "algorithm"}),
    "rolecall_signing_key_activated_timestamp_seconds": ("gauge", {"kid"}),
    "rolecall_issuer_published": ("gauge", {"kid"}),
    "rolecall_issuer_last_check_timestamp_seconds": ("gauge", set[str]()),
    "rolecall_clock_offset_seconds": ("gauge", set[str]()),
    "rolecall_requests_total": ("counter", {"output", "role", "status"}),
    "rolecall_request_duration_seconds": ("histogram", {"output"}),
    "rolecall_denied_total": ("counter", {"reason"}),
    "rolecall_config_last_reload_success": ("gauge", set[str]()),
    "rolecall_config_last_reload_timestamp_seconds": ("gauge", set[str]()),
}


class Measured:
    """Two roles, the metrics that count their events, and requests as the credentials listener counts them."""

    def __init__(self) -> None:
        self.stats = RequestStats()
        self.inside = Inside(("backup", "web"), report=self._report)
        self.metrics = Metrics(CollectorRegistry(), self.inside.overview, self.stats)

    def _report(self, event: SessionRenewed | RenewalFailed | object) -> None:
        self.metrics(event)  # type: ignore[arg-type]  # a Report takes events, and nothing else comes this way

    async def text(self, accept: str = "") -> str:
        return (await self.metrics.exposition(accept))[1].decode()

    async def families(self) -> Mapping[str, Metric]:
        return {family.name: family for family in from_text(await self.text())}

    async def samples(self, name: str) -> Sequence[Sample]:
        return [
            sample for family in (await self.families()).values() for sample in family.samples if sample.name == name
        ]

    async def value(self, sample_name: str, **labels: str) -> float | None:
        found = [sample.value for sample in await self.samples(sample_name) if sample.labels == labels]
        assert len(found) <= 1
        return found[0] if found else None


@pytest.fixture
async def measured() -> Measured:
    """Everything that can be known is known."""
    measured = Measured()
    measured.inside.hear()
    await measured.inside.renew("backup")
    measured.stats.count(("ecs", "backup", 200), 0.0002)
    measured.metrics(TokenSigned(KID))
    measured.metrics(BearerRefused("web", "expired", TokenRejected("no", reason="expired"), tell=False))
    measured.inside.tokens.append(TOKENS)
    measured.inside.sign_ins.append(SignInStatus("identity_center", "good", "rolecall login", ISSUER_EPOCH, ""))
    return measured


def promised(family: Metric) -> tuple[str, tuple[str, set[str]]]:
    """A family as the contract has it: counters by the name of their samples, labels without the histogram's own."""
    name = family.name + ("_total" if family.type == "counter" else "")
    return name, (family.type, {label for sample in family.samples for label in sample.labels} - {"le"})


async def test_all_that_was_promised_is_there_and_nothing_else_that_is_ours(measured: Measured) -> None:
    ours = [family for name, family in (await measured.families()).items() if name.startswith("rolecall_")]
    assert dict(map(promised, ours)) == PROMISED


async def test_process_and_python_are_there_too(measured: Measured) -> None:
    families = await measured.families()
    for name in ("process_resident_memory_bytes", "process_cpu_seconds", "process_open_fds", "python_info"):
        assert families[name].samples


async def test_names_follow_the_rules_of_prometheus(measured: Measured) -> None:
    for family in (await measured.families()).values():
        assert family.documentation
        assert family.type in {"gauge", "counter", "histogram"}
        if not family.name.startswith("rolecall_"):
            continue
        assert re.fullmatch(r"rolecall(_[a-z]+)+", family.name)
        assert re.fullmatch(r"[A-Z].*\.", family.documentation)
        assert not re.search(
            r"_(minutes|hours|milliseconds|millis|ms|counter|gauge|histogram|count|sum|bucket)(_|$)", family.name
        )
        assert family.name.endswith("_timestamp_seconds") == ("timestamp" in family.name)
        for sample in family.samples:
            assert not set(sample.labels) & {"le", "quantile"} or family.type == "histogram"


async def test_promtool_has_nothing_to_say(measured: Measured) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = (await measured.text()).encode()
    checked = await asyncio.create_subprocess_exec(promtool, "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=STDOUT)
    said = (await checked.communicate(text))[0].decode()
    assert (checked.returncode, [line for line in said.splitlines() if "rolecall" in line]) == (0, [])


async def test_both_formats_say_the_same(measured: Measured) -> None:
    text = {family.name: family.samples for family in from_text(await measured.text())}
    openmetrics = {
        family.name: family.samples
        for family in from_openmetrics(await measured.text(OPENMETRICS))  # type: ignore[no-untyped-call]  # not typed
    }
    ours = [name for name in text if name.startswith("rolecall_")]
    assert len(ours) == len(PROMISED)
    for name in ours:
        assert [(s.name, s.labels, s.value) for s in text[name]] == [
            (s.name, s.labels, s.value) for s in openmetrics[name]
        ]


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2", True),
        ("application/openmetrics-text;version=nonsense;escaping=\r\nX-Evil: 1", True),
        ("text/plain, Application/OpenMetrics-Text ; charset=utf-8", True),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; q = 0.0, text/plain", False),
        (";;,,;q=", False),
    ],
)
async def test_openmetrics_is_given_to_those_who_ask(measured: Measured, accept: str, *, openmetrics: bool) -> None:
    content_type, body = await measured.metrics.exposition(accept)
    kind = (
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
        if openmetrics
        else "text/plain; version=0.0.4; charset=utf-8"
    )
    assert content_type.startswith(kind)
    assert re.fullmatch(r"[\w/;=. -]+", content_type)
    assert body.endswith(b"# EOF\n") == openmetrics


async def test_a_role_that_has_credentials_shows_their_times(measured: Measured) -> None:
    obtained = ISSUER_EPOCH + timedelta(seconds=1000)
    expiry = await measured.value("rolecall_credentials_expiry_timestamp_seconds", role="backup")
    success = await measured.value("rolecall_credentials_last_success_timestamp_seconds", role="backup")
    due = await measured.value("rolecall_credentials_next_refresh_timestamp_seconds", role="backup")
    assert expiry == (obtained + timedelta(hours=1)).timestamp()
    assert success == obtained.timestamp()
    assert due == (obtained + timedelta(minutes=28.5)).timestamp()


async def test_a_role_that_never_had_any_stands_at_nought_and_its_next_attempt_is_absent(measured: Measured) -> None:
    assert await measured.value("rolecall_credentials_expiry_timestamp_seconds", role="web") == 0
    assert await measured.value("rolecall_credentials_last_success_timestamp_seconds", role="web") == 0
    assert await measured.value("rolecall_credentials_next_refresh_timestamp_seconds", role="web") is None


async def test_attempts_are_counted_by_how_they_ended_and_how_long_they_took(measured: Measured) -> None:
    for failure in (DOWN, DOWN, REFUSED):
        measured.inside.sources["web"].failure = failure
        measured.inside.sources["web"].answers_in = timedelta(0)
        await measured.inside.renew("web")
    counts = {
        outcome: await measured.value("rolecall_credentials_refreshes_total", role="web", outcome=outcome)
        for outcome in ("success", "unavailable", "refused")
    }
    assert counts == {"success": 0, "unavailable": 2, "refused": 1}
    assert await measured.value("rolecall_credentials_consecutive_failures", role="web") == 3
    assert await measured.value("rolecall_credentials_refresh_duration_seconds_count", role="web") == 3


async def test_durations_fall_into_the_buckets_they_belong_to(measured: Measured) -> None:
    for seconds in (0.05, 0.06, 30.0, 110.0):
        measured.metrics(SessionRenewed("web", "ASIA", ISSUER_EPOCH, timedelta(seconds=seconds), SECOND))
    buckets = {
        sample.labels["le"]: sample.value
        for sample in await measured.samples("rolecall_credentials_refresh_duration_seconds_bucket")
        if sample.labels["role"] == "web"
    }
    wanted = {"0.05": 1, "0.1": 2, "20.0": 2, "60.0": 3, "120.0": 4, "+Inf": 4}
    assert {le: buckets[le] for le in wanted} == wanted
    assert await measured.value("rolecall_credentials_refresh_duration_seconds_sum", role="web") == pytest.approx(
        140.11
    )


async def test_requests_are_as_the_listener_counts_them(measured: Measured) -> None:
    measured.stats.count(("ecs", "", 403), 0.3)
    assert await measured.value("rolecall_requests_total", output="ecs", role="backup", status="200") == 1
    assert await measured.value("rolecall_requests_total", output="ecs", role="", status="403") == 1
    assert await measured.value("rolecall_request_duration_seconds_bucket", output="ecs", le="0.0005") == 1
    assert await measured.value("rolecall_request_duration_seconds_count", output="ecs") == 2
    assert await measured.value("rolecall_request_duration_seconds_sum", output="ecs") == pytest.approx(0.3002)


async def test_keys_the_clock_and_the_configuration_are_told(measured: Measured) -> None:
    began = ISSUER_EPOCH - timedelta(days=3)
    measured.inside.keys[0] = KeyStatus(KID, "RS256", "signing", since=began, published=True)
    measured.inside.keys.append(KeyStatus("other", "ES256", "announced", since=ISSUER_EPOCH, published=False))
    measured.inside.looked_at = ISSUER_EPOCH
    assert await measured.value("rolecall_signing_key_activated_timestamp_seconds", kid=KID) == began.timestamp()
    assert await measured.value("rolecall_signing_key_activated_timestamp_seconds", kid="other") is None
    assert await measured.value("rolecall_issuer_published", kid=KID) == 1
    assert await measured.value("rolecall_issuer_published", kid="other") == 0
    assert await measured.value("rolecall_issuer_last_check_timestamp_seconds") == ISSUER_EPOCH.timestamp()
    assert await measured.value("rolecall_signing_key_info", kid=KID, state="signing", algorithm="RS256") == 1
    assert await measured.value("rolecall_signing_key_info", kid="other", state="announced", algorithm="ES256") == 1
    assert await measured.value("rolecall_clock_offset_seconds") == 1000
    assert await measured.value("rolecall_config_last_reload_success") == 1
    assert await measured.value("rolecall_config_last_reload_timestamp_seconds") == ISSUER_EPOCH.timestamp()
    assert await measured.value("rolecall_build_info", version="1.2.3") == 1
    assert await measured.value("rolecall_tokens_signed_total", kid=KID) == 1
    assert await measured.value("rolecall_tokens_signed_total", kid="other") == 0


async def test_what_is_not_known_is_absent() -> None:
    measured = Measured()
    assert await measured.value("rolecall_clock_offset_seconds") is None


async def test_every_promised_metric_has_a_value_in_an_agent_that_is_well_and_no_other_is_shown(
    measured: Measured,
) -> None:
    families = {family.name: family for family in measured.metrics.collect()}
    assert [name for name, family in families.items() if not family.samples] == []
    named = {f"{name}_total" if family.type == "counter" else name for name, family in families.items()}
    assert named == set(PROMISED)


async def test_made_up_codes_and_roles_add_no_series(measured: Measured) -> None:
    def names() -> Iterator[str]:
        return (f"made-up-{number}" for number in range(500))

    before = len((await measured.text()).splitlines())
    for name in names():
        measured.metrics(StsAnswered(name))
        measured.metrics(SessionRenewed(name, "ASIA", ISSUER_EPOCH, SECOND, SECOND))
        measured.metrics(RenewalFailed(name, DOWN, 1, SECOND, SECOND, None))
        measured.stats.count(("ecs", name, 404), 0.001)
    assert len((await measured.text()).splitlines()) == before + 98 + 2
    assert await measured.value("rolecall_sts_requests_total", code="Other") == 500 - 98
    assert await measured.value("rolecall_requests_total", output="ecs", role="", status="404") == 500


async def test_every_code_that_sts_is_known_to_answer_has_a_series_of_its_own(measured: Measured) -> None:
    known = ("Success", "Unreachable", "AccessDenied", "InvalidIdentityToken", "ExpiredTokenException", "Throttling")
    for code in known:
        measured.metrics(StsAnswered(code))
    assert [await measured.value("rolecall_sts_requests_total", code=code) for code in known] == [1] * len(known)


async def test_reasons_are_there_from_the_start_and_counted(measured: Measured) -> None:
    measured.metrics(VendingDenied("backup", "web", "not_granted", CallerDenied("No.")))
    for _ in range(2):
        measured.metrics(RequestRefused("127.0.0.1", "refused_host"))
    for _ in range(3):
        measured.metrics(RequestRefused("127.0.0.1", "throttled"))
    reasons = {sample.labels["reason"]: sample.value for sample in await measured.samples("rolecall_denied_total")}
    assert reasons == {
        "unknown_caller": 0,
        "not_granted": 1,
        "unknown_role": 0,
        "ambiguous": 0,
        "not_ready": 0,
        "unavailable": 0,
        "refused_host": 2,
        "refused_origin": 0,
        "throttled": 3,
    }


async def test_a_role_of_many_parts_is_one_series_of_the_worst_of_them() -> None:
    measured = Measured()
    parts = {("backup", WHOLE): measured.inside.sessions["backup"]}
    parts |= {
        ("backup", Narrowing(session_name=f"unit-{number}")): measured.inside.part(f"unit {number}")
        for number in range(3)
    }
    sessions = list(parts.values())
    for session in sessions:
        await session.renew()
        await measured.inside.base.advance(SECOND)
    measured.inside.sources["backup"].failure = DOWN
    await sessions[2].renew()
    overview = Overview(
        Roster(parts, {"web": "arn"}),
        clock=measured.inside.clock,
        version="1",
        keys=KeyRing,
        listeners=list,
        callers=lambda *_: (),
    )
    found = {
        sample.name: sample.value
        for family in Metrics(CollectorRegistry(), overview, RequestStats()).collect()
        for sample in family.samples
        if sample.labels == {"role": "backup"}
    }
    first = sessions[0].snapshot().expires_at
    assert first is not None
    assert found["rolecall_credentials_expiry_timestamp_seconds"] == first.timestamp()
    assert found["rolecall_credentials_consecutive_failures"] == 1
    assert found["rolecall_sessions"] == 4


async def test_a_role_that_nobody_has_asked_for_has_no_end_and_wakes_nobody() -> None:
    overview = Overview(
        Roster({}, {"backup": "arn"}),
        clock=Inside().clock,
        version="1",
        keys=KeyRing,
        listeners=list,
        callers=lambda *_: (),
    )
    families = {
        family.name: family.samples for family in Metrics(CollectorRegistry(), overview, RequestStats()).collect()
    }
    assert families["rolecall_credentials_expiry_timestamp_seconds"] == []
    assert [sample.value for sample in families["rolecall_sessions"]] == [0]


async def test_tokens_for_others_are_read_by_audience_and_absent_where_none_is_held(measured: Measured) -> None:
    vault = {"audience": "https://vault.example.com"}
    assert await measured.value("rolecall_tokens_held", **vault) == 2
    assert await measured.value("rolecall_tokens_consecutive_failures", **vault) == 4
    ends = ISSUER_EPOCH + timedelta(minutes=20)
    assert await measured.value("rolecall_tokens_expiry_timestamp_seconds", **vault) == ends.timestamp()
    measured.inside.tokens[:] = [replace(TOKENS, held=0, ends_at=None)]
    assert await measured.samples("rolecall_tokens_expiry_timestamp_seconds") == []


async def test_who_is_refused_a_token_counts_as_who_is_refused_a_role(measured: Measured) -> None:
    denied = CallerDenied("no", hint="ask")
    measured.metrics(VendingDenied("backup", "somebody", "not_granted", denied))
    measured.metrics(TokenDenied("vault", "somebody", "not_granted", denied))
    assert await measured.value("rolecall_denied_total", reason="not_granted") == 2


async def test_what_is_measured_elsewhere_is_not_counted_here(measured: Measured) -> None:
    before = [line for line in (await measured.text()).splitlines() if line.startswith("rolecall_")]
    measured.metrics(ClockMeasured(SECOND))
    assert [line for line in (await measured.text()).splitlines() if line.startswith("rolecall_")] == before


async def test_no_secret_and_no_key_id_is_in_the_metrics(measured: Measured) -> None:
    text = await measured.text()
    for canary in ("ASIA0000000000000001", '"0001"', "secret-of-", "token-of-"):
        assert canary not in text


async def test_the_page_on_metrics_lists_what_there_is(measured: Measured) -> None:
    rows = re.findall(
        r"^\| `(rolecall_\w+)` \| (\w+) \| ([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    documented = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(rows) == len(documented)
    assert documented == dict(
        promised(family) for name, family in (await measured.families()).items() if name.startswith("rolecall_")
    )
