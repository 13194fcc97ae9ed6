"""Are the times right that matter to somebody?"""

from datetime import timedelta

import pytest

from agent.schedule import RefreshPolicy, splay

LAST = 1 - 2**-53  # the greatest that a spread can be
POLICY = RefreshPolicy()


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize(
    ("lifetime", "renewed_after"),
    [
        (minutes(720), minutes(360)),  # the longest AWS gives
        (minutes(60), minutes(30)),  # AWS's default: half life leaves 30 minutes
        (minutes(50), minutes(25)),
        (minutes(45), minutes(20)),  # half would leave 22.5 minutes
        (minutes(30), minutes(5)),
        (minutes(20), minutes(5)),  # the reserve cannot be kept
        (minutes(15), minutes(5)),  # the shortest AWS gives
        (minutes(4), minutes(2)),
        (seconds(60), seconds(30)),
    ],
)
def test_renewal_at_half_life_and_never_with_less_than_the_reserve(
    lifetime: timedelta, renewed_after: timedelta
) -> None:
    assert POLICY.renew_after(lifetime, 0.0) == renewed_after


def test_jitter_comes_early_by_a_tenth_at_most() -> None:
    assert POLICY.renew_after(minutes(60), 0.5) == minutes(28.5)
    assert POLICY.renew_after(minutes(60), LAST) == minutes(27)


@pytest.mark.parametrize(
    ("failures", "ceiling"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (100_000, 60)]
)
def test_waits_double_up_to_a_minute_while_something_is_held(failures: int, ceiling: int) -> None:
    assert POLICY.retry_after(failures, 0.0, bare=False) == timedelta(0)
    assert POLICY.retry_after(failures, 0.5, bare=False) == seconds(ceiling) / 2
    assert POLICY.retry_after(failures, LAST, bare=False) <= seconds(ceiling)


@pytest.mark.parametrize(("failures", "ceiling"), [(1, 1), (2, 2), (3, 4), (4, 6), (5, 6), (100_000, 6)])
def test_waits_stay_within_six_seconds_while_nothing_is_held(failures: int, ceiling: int) -> None:
    assert POLICY.retry_after(failures, 0.5, bare=True) == seconds(ceiling) / 2


@pytest.mark.parametrize(
    ("failures", "least", "most"), [(1, 10, 20), (2, 20, 40), (3, 40, 80), (5, 150, 300), (100_000, 150, 300)]
)
def test_what_somebody_has_to_mend_is_asked_for_slowly(failures: int, least: int, most: int) -> None:
    assert POLICY.refused_after(failures, 0.0) == seconds(least)
    assert seconds(most - 0.001) < POLICY.refused_after(failures, LAST) <= seconds(most)


@pytest.mark.parametrize(("roles", "most"), [(1, 0), (2, 0.05), (11, 0.5), (601, 30), (1_000, 30), (100_000, 30)])
def test_a_start_is_spread_by_the_number_of_roles(roles: int, most: float) -> None:
    assert splay(roles, 0.0) == timedelta(0)
    assert splay(roles, 0.5) == seconds(most) / 2
    assert splay(roles, LAST) <= seconds(most)
