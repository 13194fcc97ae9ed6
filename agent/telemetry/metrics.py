"""What does Prometheus read?

Events are counted as they happen; all that has a present state (expiry, keys, clock, requests) is read from its
owner when Prometheus asks, so that no number here can disagree with the part it speaks of.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, get_args

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, exposition
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from agent.events import (
    BearerRefused,
    Denial,
    Event,
    Refusal,
    RenewalFailed,
    RequestRefused,
    SessionRenewed,
    StsAnswered,
    TokenDenied,
    TokenSigned,
    VendingDenied,
)
from agent.sessions import STUCK
from agent.status.snapshot import Overview, RoleStatus, StatusSnapshot
from agent.web.stats import Durations

#: How a renewal ended: new credentials; a failure that will pass by itself; one that somebody has to mend.
OUTCOMES: Final = ("success", "unavailable", "refused")

#: Why requests are denied.
REASONS: Final[tuple[str, ...]] = (*get_args(Denial), *get_args(Refusal))

#: How many different codes of STS are counted apart. Whoever reports them knows them; should that ever fail, codes
#: beyond these are counted as `Other`, so that no answer can add series without end.
_CODES: Final = 100

#: Upper bounds, in seconds: a healthy STS answers in 0.05 to 0.5 s; a session gives up after 120.
_SECONDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 60.0, STUCK)

_OPENMETRICS: Final = "application/openmetrics-text"


class RequestStats(Protocol):
    """What is asked of whoever counts the requests of the credentials listener."""

    def requests(self) -> Mapping[tuple[str, str, int], int]:
        """How many requests there have been, by output, role (empty: none known) and HTTP status."""
        ...

    def durations(self, output: str) -> tuple[Sequence[float], Sequence[int], float]:
        """How long they took: upper bounds in seconds, how many took no longer, and all seconds together.

        The counts are cumulative; there is one more of them than there are bounds: all requests.
        """
        ...


class Metrics(Collector):
    """Counts events, and collects all the rest when asked.

    A role that is not configured makes no series of its own.
    """

    def __init__(self, registry: CollectorRegistry, overview: Overview, requests: RequestStats) -> None:
        """Register with `registry`, which nobody else should feed."""
        self._registry = registry
        self._overview = overview
        self._requests = requests
        self._roles = frozenset(overview.roles)
        self._refreshes = Counter({(role, outcome): 0 for role in overview.roles for outcome in OUTCOMES})
        self._took = {role: Durations(_SECONDS) for role in overview.roles}
        self._codes = Counter({"Success": 0, "Unreachable": 0})
        self._signed: Counter[str] = Counter()
        self._denied = Counter(dict.fromkeys(REASONS, 0))
        self._rejected: Counter[tuple[str, str]] = Counter()
        registry.register(self)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)

    def __call__(self, event: Event) -> None:
        """Count this fact, if it is one that is counted."""
        match event:
            case SessionRenewed():
                self._refreshed(event.role, "success", event.took)
            case RenewalFailed():
                outcome = "unavailable" if event.error.retryable else "refused"
                self._refreshed(event.role, outcome, event.took)
            case StsAnswered():
                known = event.code in self._codes or len(self._codes) < _CODES
                self._codes[event.code if known else "Other"] += 1
            case TokenSigned():
                self._signed[event.kid] += 1
            case VendingDenied() | TokenDenied() | RequestRefused():
                self._denied[event.reason] += 1
            case BearerRefused():
                self._rejected[event.rule, event.reason] += 1
            case _:
                return

    async def exposition(self, accept: str) -> tuple[str, bytes]:
        """Content type and body for an Accept header: OpenMetrics if that is asked for, else the text format.

        Everything is read at one moment; writing it down, which takes longer, is left to a thread.
        """
        encode, content_type = exposition.choose_encoder(_OPENMETRICS if _wants_openmetrics(accept) else "")
        return content_type, await asyncio.to_thread(encode, _Still(list(self._registry.collect())))

    def collect(self) -> Iterator[Metric]:
        """Every family that is ours, as it stands."""
        now = self._overview.snapshot()
        yield from _process(now)
        yield from _held(now)
        yield _counter(
            "credentials_refreshes", "Attempts to get new credentials.", ("role", "outcome"), self._refreshes.items()
        )
        yield self._refresh_durations()
        yield _counter("sts_requests", "Answers of STS, by code.", ("code",), _single(self._codes))
        signed = Counter({key.kid: 0 for key in now.keys})
        signed.update(self._signed)
        yield _counter("tokens_signed", "Identity tokens signed, by key.", ("kid",), _single(signed))
        yield from _keys(now)
        yield from _tokens(now)
        yield from _sign_ins(now)
        yield from self._answered()
        yield _counter("denied", "Requests denied, by reason.", ("reason",), _single(self._denied))
        shown = "Tokens of others that were not taken, by rule and reason."
        yield _counter("verifications_refused", shown, ("rule", "reason"), self._rejected.items())

    def _refreshed(self, role: str, outcome: str, took: timedelta) -> None:
        if role in self._roles:
            self._refreshes[role, outcome] += 1
            self._took[role].add(took.total_seconds())

    def _refresh_durations(self) -> Metric:
        family = _histogram("credentials_refresh_duration_seconds", "How long attempts took.", "role")
        for role, took in self._took.items():
            family.add_metric([role], _buckets(_SECONDS, took.cumulative()), took.total)
        return family

    def _answered(self) -> Iterator[Metric]:
        counts: Counter[tuple[str, ...]] = Counter()
        for (output, role, status), count in self._requests.requests().items():
            counts[output, role if role in self._roles else "", str(status)] += count
        yield _counter("requests", "Requests answered.", ("output", "role", "status"), counts.items())
        family = _histogram("request_duration_seconds", "How long answers took.", "output")
        for output in sorted({labels[0] for labels in counts}):
            bounds, cumulative, total = self._requests.durations(output)
            family.add_metric([output], _buckets(bounds, cumulative), total)
        yield family


class _Still(Collector):
    """Families as they stood."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _process(now: StatusSnapshot) -> Iterator[Metric]:
    yield _gauge("build_info", "The version that is running; always 1.", ("version",), [((now.version,), 1.0)])
    started = [((), now.started_at.timestamp())]
    # Read once, at the start; had it not been taken, nobody would ask us.
    taken = "Whether the configuration was taken when last read, at the start of the process."
    yield _gauge("config_last_reload_success", taken, (), [((), 1.0)])
    when = "When the configuration was last taken: at the start of the process."
    yield _gauge("config_last_reload_timestamp_seconds", when, (), started)
    offset = [] if now.offset is None else [((), now.offset.total_seconds())]
    yield _gauge("clock_offset_seconds", "How far AWS's clock is ahead of this machine's.", (), offset)


def _held(now: StatusSnapshot) -> Iterator[Metric]:
    """0 stands for never, so that one comparison finds roles near their end, past it, and that never had any.

    A role has several sessions where grants narrow it. The worst of them counts: whoever is told of it looks at the
    status, and units that come and go make no series. A role that nobody has asked for yet has no end.
    """
    there = [role for role in now.roles if role.counted]
    yield _gauge(
        "credentials_expiry_timestamp_seconds",
        "When the first of the credentials held end; 0 if there have been none.",
        ("role",),
        [((role.role,), _epoch(role.expires_at)) for role in there],
    )
    yield _gauge(
        "credentials_last_success_timestamp_seconds",
        "When the oldest of the credentials held were obtained; 0 if there have been none.",
        ("role",),
        [((role.role,), _epoch(role.last_success)) for role in there],
    )
    yield _gauge(
        "credentials_consecutive_failures",
        "Attempts that have failed since the last that did not.",
        ("role",),
        [((role.role,), float(role.failures)) for role in now.roles],
    )
    yield _gauge(
        "sessions",
        "Sessions that are kept fresh: of the role as a whole, and of parts of it that grants give.",
        ("role",),
        [((role.role,), float(len(role.sessions))) for role in now.roles],
    )
    yield _gauge(
        "credentials_next_refresh_timestamp_seconds",
        "When the next attempt is due; absent until the first is over.",
        ("role",),
        list(_next(now.roles, now.taken_at)),
    )


def _tokens(now: StatusSnapshot) -> Iterator[Metric]:
    """Of the audiences that grants name: what callers ask for makes no series."""
    ends = [((one.audience,), one.ends_at.timestamp()) for one in now.tokens if one.ends_at is not None]
    when = "When the first of the tokens held for a relying party ends; absent while none is held."
    yield _gauge("tokens_expiry_timestamp_seconds", when, ("audience",), ends)
    held = [((one.audience,), float(one.held)) for one in now.tokens]
    yield _gauge("tokens_held", "Tokens that can be handed out for a relying party.", ("audience",), held)
    failures = [((one.audience,), float(one.failures)) for one in now.tokens]
    many = "Attempts at a token that have failed since the last that did not."
    yield _gauge("tokens_consecutive_failures", many, ("audience",), failures)


def _next(roles: Iterable[RoleStatus], taken_at: datetime) -> "Iterator[_Sample]":
    for role in roles:
        if role.next_attempt_in is not None:
            yield (role.role,), (taken_at + role.next_attempt_in).timestamp()


def _keys(now: StatusSnapshot) -> Iterator[Metric]:
    infos = [((key.kid, key.state, key.algorithm), 1.0) for key in now.keys]
    yield _gauge("signing_key_info", "The signing keys; always 1.", ("kid", "state", "algorithm"), infos)
    activated = [((key.kid,), _epoch(key.since)) for key in now.keys if key.state == "signing" and key.since]
    yield _gauge("signing_key_activated_timestamp_seconds", "When the key began to sign.", ("kid",), activated)
    shown = [((key.kid,), float(key.published)) for key in now.keys if key.published is not None]
    yield _gauge("issuer_published", "Whether the issuer's public URL showed the key when last read.", ("kid",), shown)
    looked = [] if now.ring.looked_at is None else [((), _epoch(now.ring.looked_at))]
    when = "When the issuer was last read through its public URL, as AWS would; absent until it was."
    yield _gauge("issuer_last_check_timestamp_seconds", when, (), looked)


def _sign_ins(now: StatusSnapshot) -> Iterator[Metric]:
    """0 stands for one that is over, so that one comparison finds those that are about to be as well."""
    ends = [((one.source,), _epoch(one.ends_at)) for one in now.sign_ins if one.state != "unknown"]
    meaning = "Until when the sign-in of a person lasts without that person; 0 if somebody has to sign in."
    yield _gauge("sign_in_ends_timestamp_seconds", meaning, ("source",), ends)


_Sample = tuple[tuple[str, ...], float]


def _gauge(name: str, meaning: str, labels: Sequence[str], samples: Iterable[_Sample]) -> Metric:
    family = GaugeMetricFamily(f"rolecall_{name}", meaning, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


def _counter(name: str, meaning: str, labels: Sequence[str], counts: Iterable[tuple[tuple[str, ...], int]]) -> Metric:
    family = CounterMetricFamily(f"rolecall_{name}", meaning, labels=labels)
    for values, count in counts:
        family.add_metric(values, count)
    return family


def _histogram(name: str, meaning: str, label: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"rolecall_{name}", meaning, labels=[label])


def _buckets(bounds: Sequence[float], cumulative: Sequence[int]) -> list[tuple[str, float]]:
    return list(zip([*map(str, bounds), "+Inf"], map(float, cumulative), strict=True))


def _single(counts: Mapping[str, int]) -> Iterable[tuple[tuple[str, ...], int]]:
    return [((label,), count) for label, count in counts.items()]


def _epoch(moment: datetime | None) -> float:
    return 0.0 if moment is None else moment.timestamp()


def _wants_openmetrics(accept: str) -> bool:
    """Whether OpenMetrics is among what is accepted, and not with a weight of nothing (RFC 9110 §12.4.2)."""
    for one in accept.lower().split(","):
        kind, *parameters = (part.strip() for part in one.split(";"))
        if kind == _OPENMETRICS:
            return not any(
                parameter.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for parameter in parameters
            )
    return False
