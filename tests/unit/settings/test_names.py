"""What is no name is refused in mistakes.toml; here, that nothing slips through, or is refused, by chance."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import BaseModel, ConfigDict, ValidationError

from agent.settings.names import Containers, Executables, Groups, OneGroup, Slices, Units, UnitTokens, Users, UserUnits
from agent.settings.section import Surroundings

HERE = Surroundings(Path("/etc/rolecall"), None, {"HOST": "web-1"})


class Names(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid")

    user: Users = ()
    group: Groups = ()
    unit: Units = ()
    user_unit: UserUnits = ()
    slice: Slices = ()
    container: Containers = ()
    unit_token: UnitTokens = ()
    executable: Executables = ()
    one: OneGroup = ""


def taken(word: str, value: object) -> object:
    """What is made of it; None if it is refused."""
    try:
        return getattr(Names.model_validate({word: value}, context=HERE), word)
    except ValidationError:
        return None


pieces = some.sampled_from(
    ["a", "b-1", "@", "*", "?", ".", "-", "\\x2d", "é", " ", "/", "[", ".service", ".scope", ".timer"]
)


@given(some.lists(pieces, max_size=6).map("".join))
def test_whatever_is_taken_for_a_unit_could_be_one(name: str) -> None:
    if taken("unit", name) is not None:
        assert re.fullmatch(r"[A-Za-z0-9:_.\\@*?-]{1,255}", name)
        assert name.endswith((".service", ".scope"))
        stem = name.rpartition(".")[0]
        assert any(mark.isalnum() for mark in stem)
        assert not stem.endswith("@")


@given(some.from_regex(r"[a-z][a-z0-9_.-]{0,20}(@[a-z0-9*?]{1,5})?\.(service|socket)", fullmatch=True))
def test_every_usual_unit_is_taken_as_it_is(name: str) -> None:
    for word in ("unit", "user_unit", "unit_token"):
        assert taken(word, name) == (name,)
        assert taken(word, [name]) == (name,)


@given(some.from_regex(r"[a-z_][a-z0-9_-]{0,30}", fullmatch=True))
def test_every_name_that_useradd_takes_is_taken(name: str) -> None:
    assert taken("user", name) == (name,)
    assert taken("group", name) == (name,)


@given(some.text(max_size=6))
def test_no_name_of_an_account_has_what_would_break_a_line_or_a_list(name: str) -> None:
    for word in ("user", "group"):
        if taken(word, name) is not None:
            assert name.isprintable()
            assert name.strip() == name
            assert not set(name) & set(":/,*?")


@given(some.integers(0, 2**33))
def test_numbers_of_users_are_those_that_the_kernel_has(number: int) -> None:
    expected = (str(number),) if number < 2**32 - 1 else None
    assert taken("user", str(number)) == expected
    assert taken("group", str(number)) == expected
    assert taken("user", f"0{number}") is None


@pytest.mark.parametrize("digits", ["\u0663", "\uff11\uff10", "\u00b2"])
def test_numbers_of_other_scripts_are_neither_numbers_nor_names(digits: str) -> None:
    assert taken("user", digits) is None
    assert taken("group", digits) is None


@pytest.mark.parametrize("name", ["a.slice", "a-b.slice", "user-1000.slice", "system-getty.slice", "a\\x2db.slice"])
def test_slices_are_taken_as_systemd_has_them(name: str) -> None:
    assert taken("slice", name) == (name,)


@pytest.mark.parametrize(
    "name", ["-.slice", "a--b.slice", "a-.slice", "-a.slice", ".slice", "a*.slice", "a@b.slice/", ""]
)
def test_what_is_no_slice_is_refused(name: str) -> None:
    assert taken("slice", name) is None


def test_containers_are_called_as_people_call_them() -> None:
    assert taken("container", ["/web", "db-?"]) == ("web", "db-?")
    assert taken("container", ["web", "/web"]) is None  # twice
    for name in ("", "/", "*", "we b", "-web", "0123456789ab", "ab" * 32, "a/b"):
        assert taken("container", name) is None, name


def test_programs_are_called_by_their_paths() -> None:
    assert taken("executable", "/usr/bin/restic") == ("/usr/bin/restic",)
    for path in ("restic", "/usr/bin/", "/usr//bin/restic", "/a/./b", "/a\nb", "/" + "a" * 4096, "//usr/bin/restic"):
        assert taken("executable", path) is None, path


def test_one_group_is_one_group() -> None:
    assert taken("one", "backup") == "backup"
    assert taken("one", ["backup"]) is None
    assert taken("one", 100) is None
