import logging
from dataclasses import replace
from datetime import timedelta

from agent.errors import ProofUnchecked, TokenRejected
from agent.events import BearerRefused, IssuerKeysFetched, IssuerKeysStuck, ProofRefused
from agent.telemetry.verifying_lines import lines_of_verifying
from tests.fakes.token_events import VERIFYING_EVENTS

(REFUSED,) = (event for event in VERIFYING_EVENTS if isinstance(event, BearerRefused))
(READ,) = (event for event in VERIFYING_EVENTS if isinstance(event, IssuerKeysFetched))
(STUCK,) = (event for event in VERIFYING_EVENTS if isinstance(event, IssuerKeysStuck))

(PROOF,) = (event for event in VERIFYING_EVENTS if isinstance(event, ProofRefused))


def test_a_refusal_is_told_if_it_is_due_and_says_how_many_were_not() -> None:
    (line,) = lines_of_verifying(REFUSED)
    assert (line.level, line.event) == (logging.INFO, "verification_refused")
    assert {name: line.fields[name] for name in ("rule", "reason", "untold")} == {
        "rule": "web",
        "reason": "expired",
        "untold": 4,
    }
    assert list(lines_of_verifying(replace(REFUSED, tell=False))) == []


def test_what_honest_clients_do_all_day_is_no_warning_and_what_they_do_not_is_one() -> None:
    (usual,) = lines_of_verifying(replace(REFUSED, reason="absent"))
    (strange,) = lines_of_verifying(replace(REFUSED, reason="signature"))
    assert (usual.level, strange.level) == (logging.INFO, logging.WARNING)


def test_keys_that_came_or_went_are_told_aloud_and_others_are_not() -> None:
    (changed,) = lines_of_verifying(READ)
    (same,) = lines_of_verifying(replace(READ, came=()))
    assert (changed.level, changed.fields["came"]) == (logging.INFO, "kid-2")
    assert (same.level, same.fields["came"]) == (logging.DEBUG, None)


def test_keys_that_cannot_be_read_are_an_error_once_there_are_none() -> None:
    (gone,) = lines_of_verifying(STUCK)
    (held,) = lines_of_verifying(replace(STUCK, good_for=timedelta(hours=1)))
    assert (gone.level, gone.event) == (logging.ERROR, "issuer_keys_stuck")
    assert held.level == logging.WARNING


def test_a_proof_that_is_not_taken_is_told_with_where_it_came_from_and_what_anybody_may_try_aloud_to_nobody() -> None:
    (strange,) = lines_of_verifying(PROOF)
    assert (strange.level, strange.event) == (logging.WARNING, "proof_refused")
    assert strange.fields == {
        "reason": "used_before",
        "address": "192.0.2.1",
        "error": "shown before",
        "hint": "sign anew",
        "untold": 4,
    }
    (usual,) = lines_of_verifying(replace(PROOF, reason="missing", error=TokenRejected("none", reason="missing")))
    (away,) = lines_of_verifying(replace(PROOF, reason="unchecked", error=ProofUnchecked("STS is away")))
    assert (usual.level, away.level) == (logging.INFO, logging.WARNING)
