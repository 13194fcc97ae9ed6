"""What is written of tokens that others show, and of the keys that they are verified with?"""

import logging
from collections.abc import Iterator
from typing import Final, assert_never

from agent.events import BearerRefused, IssuerKeysFetched, IssuerKeysStuck, ProofRefused, VerifyingEvent
from agent.telemetry.key_lines import Field, Line

#: What honest clients do all day.
_EVERYDAY: Final = frozenset({"absent", "expired"})
#: And what anybody who comes by may try.
_EVERYDAY_PROOFS: Final = frozenset({"missing", "malformed", "expired"})


def lines_of_verifying(event: VerifyingEvent) -> Iterator[Line]:
    """The line of a fact about tokens that others show, if it is due one."""
    match event:
        case BearerRefused(error=error):
            if event.tell:
                what = {"rule": event.rule, "reason": event.reason, "error": error.what, "hint": error.hint or None}
                level = logging.INFO if event.reason in _EVERYDAY else logging.WARNING
                yield Line(level, "verification_refused", {**what, "untold": event.untold or None})
        case IssuerKeysFetched():
            level = logging.INFO if event.came or event.went else logging.DEBUG
            came, went = ", ".join(event.came) or None, ", ".join(event.went) or None
            read: dict[str, Field] = {"issuer": event.issuer, "keys": event.keys, "came": came, "went": went}
            yield Line(level, "issuer_keys_read", {**read, "fresh_for": event.fresh_for})
        case IssuerKeysStuck(error=error):
            why = {"error": error.what, "hint": error.hint or None, "good_for": event.good_for}
            level = logging.WARNING if event.good_for else logging.ERROR
            yield Line(level, "issuer_keys_stuck", {"issuer": event.issuer, **why})
        case ProofRefused(error=error):
            about: dict[str, Field] = {"reason": event.reason, "address": event.address, "error": error.what}
            level = logging.WARNING if error.retryable or event.reason not in _EVERYDAY_PROOFS else logging.INFO
            yield Line(level, "proof_refused", {**about, "hint": error.hint or None, "untold": event.untold or None})
        case _:
            assert_never(event)
