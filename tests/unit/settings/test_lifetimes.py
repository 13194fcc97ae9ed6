"""How long the longest token lives, and how long keys are shown for its sake."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from agent.ring import Rules, least_kept
from agent.settings import Settings
from agent.settings.lifetimes import longest_token
from agent.settings.succession import usual_keep

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
HOUR = timedelta(hours=1)
PUBLISHED = '\n[publishing]\nto = "directory"\ndirectory = "site"\n'


def granted(lifetime: str) -> tuple[str, str]:
    return "", f'\n[[grants]]\naudiences = ["vault"]\nuser = "1000"\nlifetime = "{lifetime}"\n{PUBLISHED}'


def kept(lifetime: str) -> tuple[str, str]:
    words = 'kind = "token"\npath = "/run/rolecall/vault.jwt"\naudience = "vault"'
    return "", f'\n[[files]]\n{words}\nlifetime = "{lifetime}"\n{PUBLISHED}'


def rotation(words: str) -> tuple[str, str]:
    return "", f"\n[rotation]\n{words}\n"


def test_no_token_is_longer_than_what_may_be_made_by_hand_where_nothing_longer_is_said(read: Read) -> None:
    assert longest_token(read()) == HOUR
    assert longest_token(read(granted("5m"))) == HOUR
    assert longest_token(read(('source = "self_signed"', 'source = "file"\nfile = "/var/run/token"'))) == HOUR


@pytest.mark.parametrize("longest", [granted, kept])
def test_a_grant_or_a_file_of_longer_tokens_counts(longest: Callable[[str], tuple[str, str]], read: Read) -> None:
    assert longest_token(read(longest("24h"))) == 24 * HOUR


@pytest.mark.parametrize(("lifetime", "keep"), [("1h", 24 * HOUR), ("21h", 24 * HOUR), ("24h", least_kept(24 * HOUR))])
def test_keys_of_long_tokens_are_shown_for_longer_without_a_word(lifetime: str, keep: timedelta, read: Read) -> None:
    settings = read(granted(lifetime))
    assert settings.rotation is not None
    assert settings.rotation.keep == usual_keep(longest_token(settings)) == keep
    assert Rules(keep=settings.rotation.keep, longest=longest_token(settings))  # or it would be refused


@pytest.mark.parametrize("longest", [granted, kept])
def test_who_says_less_than_long_tokens_need_is_told_what_they_need(
    longest: Callable[[str], tuple[str, str]], read: Read, mistakes: Mistakes
) -> None:
    assert mistakes(longest("24h"), rotation('keep = "25h"')) == [
        (
            "rotation.keep: is 1d1h, but tokens live for up to 1d, and their key has to be shown for longer than that; "
            "write 1d2h5m or more, or leave it out"
        )
    ]
    found = read(longest("24h"), rotation('keep = "1d2h5m"')).rotation
    assert found is not None
    assert found.keep == least_kept(24 * HOUR)
