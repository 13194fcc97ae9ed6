"""Does a pattern mean what the papers say, and nothing that a shell would make of it?"""

from fnmatch import fnmatchcase

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.patterns import fits, fitting, is_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        ("backup.service", "backup.service", True),
        ("backup.service", "backup.services", False),
        ("backup.service", "backupxservice", False),
        ("backup@*.service", "backup@daily.service", True),
        ("backup@*.service", "backup@.service", True),
        ("backup@*.service", "backup.service", False),
        ("web-?.service", "web-1.service", True),
        ("web-?.service", "web-10.service", False),
        ("[ab].service", "a.service", False),
        ("[ab].service", "[ab].service", True),
        ("Web.service", "web.service", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("a", "", False),
        ("**", "abc", True),
        ("?", "", False),
        ("?", "*", True),
        ("a?c", "ac", False),
        ("*.service", "a.service.service", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "a-b-b-d", False),
        ("*ab", "aab", True),
        ("a*b*c", "abbc\nc", True),
    ],
)
def test_stars_and_question_marks_are_all_there_is(pattern: str, name: str, fit: bool) -> None:  # noqa: FBT001 - a row of the table
    assert fits(pattern, name) == fit


@given(some.text(alphabet="ab*?.", max_size=8), some.text(alphabet="ab.", max_size=12))
def test_it_agrees_with_the_shell_where_both_know_the_marks(pattern: str, name: str) -> None:
    assert fits(pattern, name) == fnmatchcase(name, pattern)


def test_no_name_takes_long() -> None:
    assert not fits("*a" * 30 + "b", "a" * 5000)


def test_those_that_fit_are_named() -> None:
    assert fitting(["a*", "b*", "*b"], "ab") == ["a*", "*b"]
    assert (is_pattern("a*"), is_pattern("a?"), is_pattern("a[b]")) == (True, True, False)
