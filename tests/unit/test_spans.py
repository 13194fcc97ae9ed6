from datetime import timedelta

import pytest

from agent.spans import spell_duration


@pytest.mark.parametrize(
    ("span", "spelt"),
    [
        (timedelta(0), "0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(hours=24), "1d"),
        (timedelta(days=89, hours=23, minutes=59), "89d23h59m"),
        (timedelta(milliseconds=1999), "1s"),
    ],
)
def test_a_span_is_spelt_as_people_write_it(span: timedelta, spelt: str) -> None:
    assert spell_duration(span) == spelt
