"""What is written of an OAuth 2.0 provider that gives us our identity token?"""

import logging
from collections.abc import Iterator
from typing import assert_never

from agent.events import ProviderAnswered, ProviderEvent, ProviderFailed
from agent.telemetry.key_lines import Field, Line


def lines_of_providers(event: ProviderEvent) -> Iterator[Line]:
    """The line of a fact about a provider: aloud where something has changed.

    A failure is an error once no token is held, and each role's own line says so then; this one says why, once.
    """
    match event:
        case ProviderAnswered():
            level = logging.INFO if event.after_failures else logging.DEBUG
            told: dict[str, Field] = {"provider": event.provider, "token_until": event.expires_at}
            yield Line(level, "provider_answered", {**told, "after_failures": event.after_failures or None})
        case ProviderFailed(error=error):
            why: dict[str, Field] = {"provider": event.provider, "error": error.what, "hint": error.hint or None}
            then: dict[str, Field] = {"retry_in": event.retry_in, "held_until": event.held_until}
            level = logging.WARNING if event.failures == 1 else logging.DEBUG
            yield Line(level, "provider_failed", {**why, "failures": event.failures, **then})
        case _:
            assert_never(event)
