import logging

from agent.telemetry.signing_in_lines import lines_of_signing_in
from tests.fakes.token_events import SIGNING_IN_EVENTS


def test_each_fact_is_one_line_as_loud_as_it_matters() -> None:
    lines = [line for event in SIGNING_IN_EVENTS for line in lines_of_signing_in(event)]
    assert [(line.event, line.level) for line in lines] == [
        ("sign_in_due", logging.WARNING),
        ("sign_in_over", logging.ERROR),
        ("signed_in", logging.INFO),
        ("refresh_token_unsaved", logging.ERROR),
    ]


def test_who_reads_that_somebody_has_to_sign_in_reads_the_command() -> None:
    due, over, *_ = (line for event in SIGNING_IN_EVENTS for line in lines_of_signing_in(event))
    assert "rolecall login" in str(due.fields["hint"])
    assert "rolecall login" in str(over.fields["hint"])
