"""Do the promises of the schedule hold for every lifetime, count of failures and chance?"""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as some

from agent.schedule import RefreshPolicy, splay

POLICY = RefreshPolicy()
spreads = some.floats(0, 1, exclude_max=True)
lifetimes = some.timedeltas(timedelta(seconds=61), timedelta(hours=36))
failures = some.integers(1, 10**9)


@given(lifetimes, spreads)
def test_a_renewal_lies_within_the_first_half_and_not_at_once(lifetime: timedelta, spread: float) -> None:
    wait = POLICY.renew_after(lifetime, spread)
    least = min(lifetime / 2, POLICY.shortest) * 0.9 - timedelta(microseconds=1)
    assert least <= wait <= lifetime / 2


@given(some.timedeltas(timedelta(minutes=30), timedelta(hours=36)), spreads)
def test_the_reserve_is_kept_whenever_the_lifetime_allows(lifetime: timedelta, spread: float) -> None:
    assert lifetime - POLICY.renew_after(lifetime, spread) >= timedelta(minutes=25)


@given(some.timedeltas(timedelta(minutes=2), timedelta(hours=36)), spreads)
def test_a_set_is_renewed_before_it_stops_being_handed_out(lifetime: timedelta, spread: float) -> None:
    assert POLICY.renew_after(lifetime, spread) <= lifetime - POLICY.margin


@given(lifetimes, spreads)
def test_jitter_is_early_and_bounded(lifetime: timedelta, spread: float) -> None:
    plain, jittered = POLICY.renew_after(lifetime, 0.0), POLICY.renew_after(lifetime, spread)
    assert plain * 0.9 - timedelta(microseconds=1) <= jittered <= plain


@given(lifetimes, lifetimes, spreads)
def test_who_lives_longer_is_renewed_no_earlier(one: timedelta, other: timedelta, spread: float) -> None:
    shorter, longer = sorted((one, other))
    assert POLICY.renew_after(shorter, spread) <= POLICY.renew_after(longer, spread)


@given(n=failures, spread=spreads, bare=some.booleans())
def test_a_retry_waits_at_most_its_ceiling_and_more_failures_never_shorten_it(
    *, n: int, spread: float, bare: bool
) -> None:
    wait = POLICY.retry_after(n, spread, bare=bare)
    assert timedelta(0) <= wait <= (POLICY.retry_bare if bare else POLICY.retry_held)
    assert wait <= POLICY.retry_after(n + 1, spread, bare=bare)


@given(failures, spreads)
def test_a_refusal_is_always_slower_than_the_first_retries(n: int, spread: float) -> None:
    wait = POLICY.refused_after(n, spread)
    assert POLICY.refused_first / 2 <= wait <= POLICY.refused_most
    assert wait <= POLICY.refused_after(n + 1, spread)


@given(some.integers(1, 10**9), spreads)
def test_a_splay_is_never_negative_and_ends_within_half_a_minute(roles: int, spread: float) -> None:
    assert timedelta(0) <= splay(roles, spread) <= timedelta(seconds=30)
