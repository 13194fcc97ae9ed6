"""Is every fact one that every reader knows of?"""

import typing

from agent import events
from agent.events import (
    CallerEvent,
    Event,
    FileEvent,
    KeyEvent,
    ProviderEvent,
    SigningInEvent,
    TokenEvent,
    VendingEvent,
    VerifyingEvent,
)

UNIONS = (VendingEvent, CallerEvent, FileEvent, KeyEvent, ProviderEvent, SigningInEvent, TokenEvent, VerifyingEvent)


def test_every_fact_is_of_one_kind_alone() -> None:
    kinds = [kind for union in UNIONS for kind in typing.get_args(union)]
    assert sorted(kind.__name__ for kind in kinds) == sorted({kind.__name__ for kind in typing.get_args(Event)})


def test_the_door_has_every_fact() -> None:
    assert {kind.__name__ for kind in typing.get_args(Event)} <= set(events.__all__)
    assert all(hasattr(events, name) for name in events.__all__)
