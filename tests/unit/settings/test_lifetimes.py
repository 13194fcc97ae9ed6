"""How long the longest token lives, and how long keys are shown for its sake."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import FromFile, SelfSigned, Settings
from agent.settings.draft import Draft
from agent.settings.keys import Pem
from agent.settings.lifetimes import longest_token
from agent.settings.rotation import Rotation
from agent.settings.succession import rotation_of, unfit, usual_keep
from agent.settings.tokens import Identity

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Said:
    identity: Identity | None


def lives(lifetime: timedelta) -> SelfSigned:
    """What no configuration says yet: tokens for STS are shorter."""
    return SelfSigned.model_construct(lifetime=lifetime)


def test_no_token_is_longer_than_what_may_be_made_by_hand_where_nothing_longer_is_said(
    read: Callable[..., Settings],
) -> None:
    assert longest_token(read()) == HOUR
    assert longest_token(Said(FromFile.model_construct(source="file", file=Path("/token")))) == HOUR
    assert longest_token(Said(None)) == HOUR


def test_a_longer_one_counts() -> None:
    assert longest_token(Said(lives(24 * HOUR))) == 24 * HOUR


def draft(lifetime: timedelta, **words: object) -> Draft:
    key = Pem.model_construct(custodian="pem", directory=Path("/keys"), algorithm=None, file=None)
    return Draft({}, key=key, identity=lives(lifetime), rotation=Rotation.model_validate(words))


@pytest.mark.parametrize(("hours", "keep"), [(1, 24 * HOUR), (21, 24 * HOUR), (24, timedelta(hours=26, minutes=5))])
def test_keys_of_long_tokens_are_shown_for_longer_without_a_word(hours: int, keep: timedelta) -> None:
    said = rotation_of(draft(hours * HOUR))
    assert said is not None
    assert said.keep == usual_keep(hours * HOUR) == keep
    assert list(unfit(draft(hours * HOUR))) == []


def test_who_says_less_than_long_tokens_need_is_told_what_they_need() -> None:
    (mistake,) = unfit(draft(24 * HOUR, keep="25h"))
    assert str(mistake) == (
        "rotation.keep: is 1d1h, but tokens live for up to 1d, and their key has to be shown for longer than that; "
        "write 1d2h5m or more, or leave it out"
    )
