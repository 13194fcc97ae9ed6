from dataclasses import FrozenInstanceError

import pytest

from agent.status.document import status_document
from agent.status.page import render
from agent.status.sign_ins import SignInStatus
from agent.status.snapshot import StatusSnapshot
from tests.fakes.clock import START
from tests.unit.status.samples import Inside

GOOD = SignInStatus("identity_center", "good", "rolecall login", START, "")
OVER = SignInStatus("identity_center", "over", "rolecall login", None, "nobody has signed in")


def shown(*sign_ins: SignInStatus) -> StatusSnapshot:
    inside = Inside()
    inside.sign_ins += sign_ins
    return inside.overview.snapshot()


def test_what_is_told_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        GOOD.state = "over"  # type: ignore[misc]  # that is what is tried


def test_programs_are_told_until_when_and_what_to_run() -> None:
    assert status_document(shown(GOOD, OVER))["sign_ins"] == [
        {"source": "identity_center", "state": "good", "ends_at": "2026-11-20T12:00:00Z", "problem": None,
         "command": "rolecall login"},
        {"source": "identity_center", "state": "over", "ends_at": None, "problem": "nobody has signed in",
         "command": "rolecall login"},
    ]  # fmt: skip


def test_people_see_it_on_the_page() -> None:
    assert "<code>rolecall login</code>" in render(shown(OVER))
    assert "<code>rolecall login</code>" not in render(shown(GOOD))
    assert "Sign-in" not in render(shown())
