"""Does a template come to what is known of a caller, and to nothing where that is not known?"""

import pytest

from agent.templates import VARIABLES, Known, Unfillable, sealed, variables

FACTS = frozenset((fact, f"the {fact}") for fact in VARIABLES.values())


@pytest.mark.parametrize(("name", "fact"), VARIABLES.items())
def test_every_variable_stands_for_one_fact(name: str, fact: str) -> None:
    assert Known(FACTS).fill(f"a-${{{name}}}-b") == f"a-the {fact}-b"
    with pytest.raises(Unfillable, match=f"^{name}$"):
        Known(FACTS - {(fact, f"the {fact}")}).fill(f"${{{name}}}")


def test_what_is_known_and_empty_is_not_known() -> None:
    with pytest.raises(Unfillable):
        Known([("unix.user", "")]).value("USER")


@pytest.mark.parametrize("name", ["HOST", "ROLE", "NOBODY"])
def test_what_is_no_fact_is_never_filled_in(name: str) -> None:
    with pytest.raises(Unfillable, match=name):
        Known(FACTS).fill(f"${{{name}}}")


def test_what_is_filled_in_is_not_read_again() -> None:
    assert Known([("systemd.unit", "${USER}"), ("unix.user", "alice")]).fill("${UNIT}") == "${USER}"


def test_of_several_values_the_first_in_the_alphabet_counts_however_they_come() -> None:
    several = [("container.name", "b"), ("container.name", "a"), ("container.name", "c")]
    assert {Known(order).value("CONTAINER") for order in (several, several[::-1], frozenset(several))} == {"a"}


def test_variables_are_found_wherever_they_stand() -> None:
    assert variables(["${UNIT}-${USER}", "${UNIT}", "$USER", "${user}", "$${UID}"]) == {"UNIT", "USER", "UID"}
    assert variables([]) == frozenset()


def test_who_it_is_about_is_said_in_words_that_can_be_shown() -> None:
    known = Known([("systemd.user_unit", "a\x1b[2J\u202e.service"), ("unix.uid", "1000")])
    assert known.about("grants#2", {"USER_UNIT", "UID"}) == "grants#2: uid 1000, user unit a?[2J?.service"
    assert known.about("", {"UID"}) == "uid 1000"
    long = Known([("systemd.unit", "x" * 500)]).about("grants#1", {"UNIT"})
    assert len(long) < 120
    assert long.endswith("…")


@pytest.mark.parametrize("text", ["web", "x" * 64, "a-abcdefgh"])
def test_what_fits_stays_as_it_is(text: str) -> None:
    assert sealed(text, text, 2, 64) == text


@pytest.mark.parametrize(
    ("text", "fitting"),
    [("x" * 65, "x" * 65), ("a b", "a-b"), ("x", "x"), ("web-abcdefghijklmnop", "web-abcdefghijklmnop")],
)
def test_what_does_not_fit_or_looks_as_if_it_had_not_ends_in_a_hash(text: str, fitting: str) -> None:
    made = sealed(text, fitting, 2, 64)
    assert made != text
    assert made[-17] == "-"
    assert len(made) <= 64
    assert made == sealed(text, fitting, 2, 64)
    assert made != sealed(f"{text}!", fitting, 2, 64)
