"""What is written of the sign-ins of people?"""

import logging
from collections.abc import Iterator
from typing import assert_never

from agent.events import RefreshTokenUnsaved, SignedIn, SignInDue, SigningInEvent, SignInOver
from agent.telemetry.key_lines import Line


def lines_of_signing_in(event: SigningInEvent) -> Iterator[Line]:
    """The line of a fact about somebody's sign-in."""
    match event:
        case SignInDue():
            hint = f"sign in by then: {event.command}"
            yield Line(logging.WARNING, "sign_in_due", {"source": event.source, "ends": event.ends_at, "hint": hint})
        case SignInOver():
            yield Line(logging.ERROR, "sign_in_over", {"source": event.source, "hint": f"sign in: {event.command}"})
        case SignedIn():
            yield Line(logging.INFO, "signed_in", {"source": event.source, "ends": event.ends_at})
        case RefreshTokenUnsaved():
            hint = f"make {event.path} writable for the agent, or somebody has to sign in again when it ends"
            fields = {"source": event.source, "path": event.path, "error": event.reason, "hint": hint}
            yield Line(logging.ERROR, "refresh_token_unsaved", fields)
        case _:
            assert_never(event)
