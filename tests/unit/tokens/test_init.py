import pytest

from agent.tokens import one_tag, tag_name_fault, tag_value_fault

STRANGE = "has characters other than letters, digits, blanks and _ . : / = + - @"


@pytest.mark.parametrize("text", ["a", "Größe", "a b", "a\u3000b", "٣", "Ⅳ", "_.:/=+-@", "xaws:", "aws"])
def test_letters_numbers_blanks_and_some_marks_of_all_scripts_make_a_tag(text: str) -> None:
    assert tag_name_fault(text) == tag_value_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a;b", STRANGE),
        ("a\n", STRANGE),
        ("a\tb", STRANGE),
        ("e\u0301", STRANGE),  # a combining accent is a mark, not a letter
        ("\ud800", STRANGE),
        ("🙂", STRANGE),
        ("aws:team", 'begins with "aws:", which AWS keeps for itself'),
        ("AWS:team", 'begins with "aws:", which AWS keeps for itself'),
    ],
)
def test_what_sts_does_not_take_in_a_tag_is_said(text: str, fault: str) -> None:
    assert tag_name_fault(text) == tag_value_fault(text) == fault


def test_a_name_has_1_to_128_characters_and_a_value_256_at_most() -> None:
    assert (tag_name_fault(""), tag_value_fault("")) == ("is empty", "")
    assert (tag_name_fault("é" * 128), tag_value_fault("é" * 256)) == ("", "")
    assert tag_name_fault("a" * 129) == "is longer than 128 characters"
    assert tag_value_fault("a" * 257) == "is longer than 256 characters"


def test_names_that_differ_only_in_capitals_are_one_tag() -> None:
    assert one_tag(["team", "stage"]) is None
    assert one_tag(["stage", "team", "Team"]) == ("team", "Team")
