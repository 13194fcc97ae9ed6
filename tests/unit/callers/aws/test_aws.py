from datetime import UTC, datetime
from typing import get_args

from agent.callers.aws import SENTENCES, Principal, Proven, Reason, rejected


def test_there_is_a_sentence_for_each_reason() -> None:
    assert SENTENCES.keys() == {*get_args(Reason)}


def test_a_proof_is_not_shown_by_its_repr() -> None:
    proven = Proven(Principal("arn", "123456789012"), b"the mark", datetime(2026, 11, 20, tzinfo=UTC))
    assert "the mark" not in repr(proven)


def test_a_rejection_has_its_reason() -> None:
    assert rejected("what", "expired", hint="hint").reason == "expired"
