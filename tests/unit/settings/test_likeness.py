"""What is said of patterns agrees with what fits them, tried on all short names."""

from itertools import product

import pytest
from hypothesis import assume, given
from hypothesis import strategies as some

from agent.patterns import fits
from agent.settings.likeness import covers, meet

#: One letter more than patterns are made of, so that no `?` is ever one of two.
NAMES = ["".join(letters) for length in range(6) for letters in product("abc", repeat=length)]
patterns = some.text(alphabet="ab*?", max_size=4)


@given(patterns, patterns)
def test_two_patterns_meet_if_some_name_fits_both(one: str, other: str) -> None:
    assume(len((one + other).replace("*", "")) <= 5)  # or that name may be longer than any that is tried
    assert meet(one, other) == any(fits(one, name) and fits(other, name) for name in NAMES)


@given(patterns, patterns)
def test_one_pattern_covers_another_if_all_that_fits_that_fits_it(wide: str, narrow: str) -> None:
    if covers(wide, narrow):
        assert all(fits(wide, name) for name in NAMES if fits(narrow, name))


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("a*", "a*b"),
        ("*", "a"),
        ("a@*.service", "a@b*.service"),
        ("a?", "ab"),
        ("a*", "a?"),
        ("*a*", "ba?"),
        ("a", "a"),
    ],
)
def test_what_is_plainly_covered_is_seen(wide: str, narrow: str) -> None:
    assert covers(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"), [("a?*", "a*"), ("a?", "a*"), ("a", "a*"), ("a*b", "a*"), ("??", "?*?"), ("a", "b")]
)
def test_what_is_not_covered_is_seen_as_well(wide: str, narrow: str) -> None:
    assert not covers(wide, narrow)


def test_no_two_patterns_take_long() -> None:
    assert not meet("*a" * 127 + "x", "*b" * 127 + "y")
