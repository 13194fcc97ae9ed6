import dataclasses

import pytest

from tests.unit.status.samples import RULE


@pytest.mark.parametrize(
    ("keys", "problem", "state"),
    [(0, "", "starting"), (2, "", "good"), (2, "no answer", "failing"), (0, "no answer", "bare")],
)
def test_a_rule_stands_as_its_keys_do(keys: int, problem: str, state: str) -> None:
    assert dataclasses.replace(RULE, keys=keys, problem=problem).state == state
