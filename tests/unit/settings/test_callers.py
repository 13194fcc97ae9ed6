from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'


def test_a_token_file_may_be_one_or_several(read: Read) -> None:
    one, several = (
        read().grants[0],
        read((TOKEN, 'token_file = ["/a", "credential:b"]'), CREDENTIALS_DIRECTORY="/run/c"),
    )
    assert one.token_file == (Path("/etc/rolecall/tokens/backup"),)
    assert several.grants[0].token_file == (Path("/a"), Path("/run/c/b"))


@pytest.mark.parametrize(("written", "meant"), [("0s", timedelta(0)), ("7d", timedelta(days=7))])
def test_a_replaced_token_stays_good_as_long_as_is_said(written: str, meant: timedelta, read: Read) -> None:
    assert read((TOKEN, f'{TOKEN}\ntoken_overlap = "{written}"')).grants[0].token_overlap == meant


def test_anyone_has_to_be_spelt_out(read: Read) -> None:
    grant = read((TOKEN, "anyone = true")).grants[0]
    assert (grant.anyone, grant.token_file) == (True, ())
    assert read((TOKEN, f"{TOKEN}\nanyone = false")).grants[0].anyone is False


@pytest.mark.parametrize("word", ["user", "uid", "group", "gid", "unit", "slice", "container", "process"])
def test_callers_of_later_versions_are_named_as_such(word: str, mistakes: Mistakes) -> None:
    said = "is not in this version, which knows callers by token_file, and anyone = true"
    assert mistakes((TOKEN, f'{word} = "x"')) == [f"grants#1.{word}: {said}"]
    assert mistakes((TOKEN, f'{TOKEN}\n{word} = "x"')) == [f"grants#1.{word}: {said}"]


def test_an_empty_list_of_token_files_is_nobody(mistakes: Mistakes) -> None:
    assert mistakes((TOKEN, "token_file = []"))[0].startswith("grants#1: does not say who gets the roles")


def test_grants_are_counted_from_one(mistakes: Mistakes) -> None:
    told = mistakes(("", '\n[[grants]]\nroles = ["nobody"]\nanyone = true\n'))
    assert told == ['grants#2.roles#1: "nobody" is none of the roles of this file']
