import logging
from dataclasses import replace

from agent.events import ProviderAnswered, ProviderFailed
from agent.telemetry.provider_lines import lines_of_providers
from tests.fakes.clock import START
from tests.fakes.provider_events import PROVIDER_EVENTS

(ANSWERED,) = (event for event in PROVIDER_EVENTS if isinstance(event, ProviderAnswered))
(FAILED,) = (event for event in PROVIDER_EVENTS if isinstance(event, ProviderFailed))


def test_the_first_failure_is_told_aloud_with_what_is_left_and_those_after_it_are_not() -> None:
    (first,) = lines_of_providers(FAILED)
    (second,) = lines_of_providers(replace(FAILED, failures=2))
    assert (first.level, first.event) == (logging.WARNING, "provider_failed")
    assert {name: first.fields[name] for name in ("provider", "error", "hint", "held_until")} == {
        "provider": "https://login.example.com",
        "error": "login.example.com has trouble of its own",
        "hint": "it passes by itself",
        "held_until": START,
    }
    assert second.level == logging.DEBUG


def test_an_answer_is_told_aloud_after_failures_alone() -> None:
    (again,) = lines_of_providers(ANSWERED)
    (usual,) = lines_of_providers(replace(ANSWERED, after_failures=0))
    assert (again.level, again.event, again.fields["after_failures"]) == (logging.INFO, "provider_answered", 3)
    assert (usual.level, usual.fields["after_failures"]) == (logging.DEBUG, None)
