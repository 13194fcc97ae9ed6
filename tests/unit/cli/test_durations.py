import argparse

import pytest

from agent.cli.durations import seconds


@pytest.mark.parametrize(("text", "expected"), [("30s", 30.0), ("1m30s", 90.0), ("0s", 0.0), ("2h", 7200.0)])
def test_durations_are_spelt_as_in_the_configuration(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "30", "s", "-5s", "1.5s", "5 m", "forever"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match='as in "90s"'):
        seconds(text)
