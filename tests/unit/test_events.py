"""Are events plain facts: unchanging, comparable, and free of secrets?"""

import dataclasses
import typing
from datetime import UTC, datetime, timedelta

import pytest

from agent.errors import CredentialsUnavailable
from agent.events import (
    CallerTokensChanged,
    CallerTokensReadable,
    CallerTokensUnreadable,
    ClockMeasured,
    CredentialsVended,
    Event,
    RenewalFailed,
    RequestRefused,
    SessionRenewed,
    StsAnswered,
    TokenSigned,
    VendingDenied,
)
from agent.secret import Secret
from tests.fakes.key_events import KEY_EVENTS

KINDS = typing.get_args(Event)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
DOWN = CredentialsUnavailable("STS does not answer.")
SECOND = timedelta(seconds=1)


def examples() -> list[Event]:
    return [
        SessionRenewed("web", "ASIA1", NOON, SECOND, SECOND),
        RenewalFailed("web", DOWN, 1, SECOND, SECOND, None),
        CredentialsVended("web", "token.file=/t", "ASIA1", NOON),
        VendingDenied("web", "unknown at 127.0.0.1", "unknown_caller", DOWN),
        RequestRefused("127.0.0.1", "refused_host"),
        TokenSigned("kid"),
        StsAnswered("Success"),
        ClockMeasured(SECOND),
        CallerTokensChanged("/t", SECOND),
        CallerTokensUnreadable("/t", DOWN, SECOND),
        CallerTokensReadable("/t"),
        *KEY_EVENTS,
    ]


def test_every_kind_has_its_example_here() -> None:
    assert {type(event) for event in examples()} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_has_room_for_a_secret(kind: type) -> None:
    hints = typing.get_type_hints(kind)
    assert hints
    assert not any(hint is bytes or Secret in (hint, *typing.get_args(hint)) for hint in hints.values())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_what_happened(kind: type) -> None:
    assert kind.__doc__ is not None
    assert not kind.__doc__.startswith(f"{kind.__name__}(")  # what dataclass writes when nobody did


def test_what_is_equal_is_equal_and_stays_so() -> None:
    assert examples() == examples()
    for event in examples():
        name = dataclasses.fields(event)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, "other")
        assert not hasattr(event, "__dict__")
