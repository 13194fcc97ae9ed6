"""What manners has every section of the configuration?

Unknown words are mistakes, nothing is converted silently, and nothing changes after reading. Everything a section
needs to know beyond its own words (which host this is, where relative paths start) comes as `Surroundings`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from agent.settings.mistakes import Mistake, Wrong, kind_of, listed, near_word, nearest, shown, shown_word

S = TypeVar("S", bound="Section")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the values of a section are read against.

    Attributes:
        directory: where relative paths start: the directory of the configuration file.
        credentials: systemd's $CREDENTIALS_DIRECTORY, or None outside a unit.
        names: what templates may name: HOST, and inside a role ROLE.
    """

    directory: Path
    credentials: Path | None
    names: Mapping[str, str]

    @staticmethod
    def of(info: ValidationInfo) -> "Surroundings":
        """Get them back from where pydantic carries them."""
        surroundings = info.context
        assert isinstance(surroundings, Surroundings)
        return surroundings


class Section(BaseModel):
    """One table of the configuration. Its fields are the words of the table; `examples` says what a word may be."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    #: Words that are not taken, but deserve a better answer than "unknown".
    answers: ClassVar[Mapping[str, str]] = {}

    @classmethod
    def words(cls) -> Mapping[str, FieldInfo]:
        """The words of the table: its fields, by the names that they have in the file."""
        return {field.alias or name: field for name, field in cls.model_fields.items()}

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Say what is wrong between the words of this table: pairs of a word, or "" for the table, and a sentence.

        Sees the table as it was written, so that it can speak even when single values are wrong as well.
        """
        del words
        yield from ()


def read(kind: type[S], table: object, path: str, surroundings: Surroundings) -> tuple[S | None, list[Mistake]]:
    """Read one table, or say everything that is wrong with it."""
    if not isinstance(table, Mapping):
        return None, [Mistake(path, f"must be a table, begun by a line [{path}], not {kind_of(table)}")]
    spelt = list(kind.together(_as_meant(kind, table)))  # what is only amiss because a word is misspelt is said by that
    together = [(word, said) for word, said in kind.together(table) if (word, said) in spelt]
    mistakes = [Mistake(f"{path}.{word}" if word else path, said) for word, said in together]
    section = None
    try:
        section = kind.model_validate(dict(table), context=surroundings)
    except ValidationError as error:
        details = _without_echoes(kind, error.errors(include_url=False, include_input=False))
        mistakes = [mistake for detail in details for mistake in _told(kind, detail, path)] + mistakes
    return (None if mistakes else section), mistakes


def choose(
    kinds: Mapping[str, type[S]], later: tuple[str, ...], word: str, table: object, path: str
) -> tuple[type[S] | None, list[Mistake]]:
    """Find out which of several kinds of table this is, by the value of one word; `later` are kinds yet to come."""
    if not isinstance(table, Mapping):
        return None, [Mistake(path, f"must be a table, begun by a line [{path}], not {kind_of(table)}")]
    known = listed(f'"{name}"' for name in kinds)
    where = f"{path}.{word}"
    if word not in table:
        return None, [Mistake(where, f"is missing; this version knows {known}")]
    value = table[word]
    if not isinstance(value, str):
        return None, [Mistake(where, f"must be text in quotes, not {kind_of(value)}; this version knows {known}")]
    if value in kinds:
        return kinds[value], []
    if value in later:
        return None, [Mistake(where, f'"{value}" is not in this version, which knows {known}')]
    return None, [Mistake(where, f"{shown(value)} is unknown{nearest(value, kinds)}; this version knows {known}")]


def _as_meant(kind: type[Section], table: Mapping[str, object]) -> Mapping[str, object]:
    """The table with words spelt as they were probably meant, beside those that stand there."""
    meant = {near_word(word, kind.words()): value for word, value in table.items() if word not in kind.answers}
    return {word: value for word, value in meant.items() if word is not None} | dict(table)


def _without_echoes(kind: type[Section], details: list[ErrorDetails]) -> list[ErrorDetails]:
    """Leave out that a word is missing where it stands there misspelt, or an answer names it: one mistake, not two."""
    strangers = [str(detail["loc"][0]) for detail in details if detail["type"] == "extra_forbidden"]
    meant = {near_word(stranger, kind.words()) for stranger in strangers}
    answers = " ".join(kind.answers[stranger] for stranger in strangers if stranger in kind.answers)
    meant |= {word for word in kind.words() if f" {word} = " in answers}
    return [detail for detail in details if detail["type"] != "missing" or detail["loc"][0] not in meant]


def _told(kind: type[Section], detail: ErrorDetails, path: str) -> Iterator[Mistake]:
    """Turn one of pydantic's findings into our own words; its words may quote the value."""
    word = str(detail["loc"][0]) if detail["loc"] else ""
    where = f"{path}.{shown_word(word)}" if word else path
    wrong = detail.get("ctx", {}).get("error")
    if isinstance(wrong, Wrong):
        yield from (Mistake(where + suffix, said) for suffix, said in wrong.parts)
    elif detail["type"] == "missing":
        examples = kind.words()[word].examples or ["…"]
        yield Mistake(where, f"is missing; for example {word} = {examples[0]}")
    elif word in kind.answers:
        yield Mistake(where, kind.answers[word])
    elif detail["type"] == "extra_forbidden":
        known = list(kind.words())
        yield Mistake(where, f"is unknown{nearest(word, known)}; [{path}] knows {listed(known)}")
    else:  # no field of ours leaves anything to pydantic's own checks
        yield Mistake(where, "is not what this setting needs")
