from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from agent.settings.section import Section, Surroundings, choose, read
from agent.settings.spelling import Flag, whole

HERE = Surroundings(Path("/etc/rolecall"), None, {"HOST": "web-1"})


class Garden(Section):
    answers: ClassVar[Mapping[str, str]] = {"weeds": "grow by themselves", "oaks": "are said as trees = 1"}

    trees: Annotated[int, whole(1, 9)] = Field(examples=["3"])
    pond: Flag = False
    fence: Flag = False

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        if words.get("pond") is True and "fence" not in words:
            yield "fence", "is needed around a pond"


def said(table: object) -> list[str]:
    section, mistakes = read(Garden, table, "garden", HERE)
    assert section is None
    return [str(mistake) for mistake in mistakes]


def test_a_table_without_mistakes_becomes_a_section() -> None:
    section, mistakes = read(Garden, {"trees": 3, "pond": True, "fence": True}, "garden", HERE)
    assert mistakes == []
    assert section == Garden(trees=3, pond=True, fence=True)


def test_every_word_of_a_table_is_judged() -> None:
    assert said({"trees": 0, "pond": "yes", "swing": 1, "weeds": 2}) == [
        "garden.trees: must be a whole number from 1 to 9, without quotes",
        "garden.pond: must be true or false, without quotes, not text",
        "garden.swing: is unknown; [garden] knows trees, pond and fence",
        "garden.weeds: grow by themselves",
    ]


def test_what_is_wrong_between_words_is_said_even_when_a_word_is_wrong_by_itself() -> None:
    assert said({"trees": 0, "pond": True}) == [
        "garden.trees: must be a whole number from 1 to 9, without quotes",
        "garden.fence: is needed around a pond",
    ]


def test_a_word_that_is_missing_is_asked_for_with_an_example() -> None:
    assert said({}) == ["garden.trees: is missing; for example trees = 3"]


def test_a_misspelt_word_is_not_also_called_missing() -> None:
    assert said({"tress": 3}) == [
        'garden.tress: is unknown (did you mean "trees"?); [garden] knows trees, pond and fence'
    ]


def test_what_stands_there_by_another_name_is_not_also_called_missing() -> None:
    assert said({"oaks": 3}) == ["garden.oaks: are said as trees = 1"]


def test_a_misspelt_word_is_not_also_missed_by_the_others() -> None:
    assert said({"trees": 3, "pond": True, "fance": True}) == [
        'garden.fance: is unknown (did you mean "fence"?); [garden] knows trees, pond and fence'
    ]


@pytest.mark.parametrize(("value", "name"), [([], "an array"), ("x", "text"), (True, "true or false")])
def test_what_is_no_table_is_refused(value: object, name: str) -> None:
    assert said(value) == [f"garden: must be a table, begun by a line [garden], not {name}"]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({}, 'x.kind: is missing; this version knows "garden"'),
        ({"kind": 1}, 'x.kind: must be text in quotes, not a number; this version knows "garden"'),
        ({"kind": "park"}, 'x.kind: "park" is not in this version, which knows "garden"'),
        ({"kind": "gardn"}, 'x.kind: "gardn" is unknown (did you mean "garden"?); this version knows "garden"'),
        ([], "x: must be a table, begun by a line [x], not an array"),
    ],
)
def test_a_kind_has_to_be_named_and_known(table: object, told: str) -> None:
    kind, mistakes = choose({"garden": Garden}, ("park",), "kind", table, "x")
    assert kind is None
    assert [str(mistake) for mistake in mistakes] == [told]


def test_a_known_kind_is_chosen() -> None:
    assert choose({"garden": Garden}, (), "kind", {"kind": "garden"}, "x") == (Garden, [])
