import logging
from datetime import timedelta

import pytest

from agent.errors import PublishingFailed
from agent.events import IssuerSeen, KeyEvent, KeyForgotten, RotationStuck, SitePublished
from agent.telemetry.key_lines import Line, key_lines
from tests.fakes.key_events import KEY_EVENTS


def only(event: KeyEvent) -> Line:
    (line,) = key_lines(event)
    return line


@pytest.mark.parametrize("event", KEY_EVENTS, ids=lambda event: type(event).__name__)
def test_every_fact_has_its_line(event: KeyEvent) -> None:
    line = only(event)
    assert line.event
    assert line.fields
    assert not any(isinstance(value, bytes | timedelta) and value == timedelta(0) for value in line.fields.values())


def test_each_document_has_a_line_and_an_unchanged_one_is_not_worth_reading() -> None:
    lines = list(key_lines(SitePublished((("/srv/jwks.json", "changed"), ("/srv/config", "unchanged")))))
    assert [line.level for line in lines] == [logging.INFO, logging.DEBUG]


@pytest.mark.parametrize(("shown", "level"), [(True, logging.DEBUG), (False, logging.WARNING)])
def test_a_signing_key_that_the_world_does_not_see_is_a_warning(*, shown: bool, level: int) -> None:
    line = only(IssuerSeen(shown, ("kid-1",), ("kid-1",) if shown else ()))
    assert line.level == level
    assert line.fields["missing"] == (None if shown else "kid-1")


@pytest.mark.parametrize(("why", "level"), [("retired", logging.INFO), ("stolen", logging.WARNING)])
def test_a_stolen_key_is_told_louder_than_one_that_has_had_its_time(why: str, level: int) -> None:
    assert only(KeyForgotten("kid-1", why)).level == level  # type: ignore[arg-type]  # one of the two


def test_what_is_stuck_says_what_to_do() -> None:
    line = only(RotationStuck("publishing", PublishingFailed("the disk is full", hint="make room")))
    assert (line.fields["error"], line.fields["hint"]) == ("the disk is full", "make room")
