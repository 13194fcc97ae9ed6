"""What is written of renewals, and how often of those that fail?"""

import logging
from datetime import timedelta
from typing import Final

from agent.clock import Clock
from agent.errors import AgentError
from agent.events import RenewalFailed, SessionRenewed, TokenRenewalFailed, TokenRenewed
from agent.status.snapshot import READY_FOR, last_four
from agent.telemetry.key_lines import Field, Line

#: How long a failure that will pass by itself is not told again: a day's outage is a hundred lines a role.
_AGAIN: Final = timedelta(minutes=15)

#: A token that has less to live is about to be missed; the shortest lives for two minutes.
_ENDING: Final = timedelta(minutes=1)

#: So many sessions that fail are told apart.
_MOST: Final = 4096

#: What happens to sessions, whatever they hold.
RenewalEvent = SessionRenewed | RenewalFailed | TokenRenewed | TokenRenewalFailed
_Renewed = SessionRenewed | TokenRenewed
_Failed = RenewalFailed | TokenRenewalFailed

#: A session: what it is named by, its name, and which of that name it is.
_Which = tuple[str, str, str]


class RenewalLines:
    """Gives the lines of renewals, and remembers which sessions fail."""

    def __init__(self, clock: Clock) -> None:
        """Nothing has failed yet. `clock` is the one by which credentials end."""
        self._clock = clock
        # Of each session that fails: how often, and when and how loud it was told.
        self._told: dict[_Which, tuple[float, int, type[AgentError]]] = {}
        self._failures: dict[_Which, int] = {}

    def line(self, event: RenewalEvent) -> Line | None:
        """The line of this fact, if it is due one."""
        if isinstance(event, RenewalFailed | TokenRenewalFailed):
            return self._failed(event)
        return self._renewed(event)

    def _renewed(self, event: _Renewed) -> Line:
        which = _which(event)
        self._told.pop(which, None)
        after = self._failures.pop(which, None)
        times: dict[str, Field] = {
            "expires": event.expires_at,
            "took": event.took,
            "renew_in": event.renew_in,
            "after_failures": after,
        }
        if isinstance(event, SessionRenewed):
            key_id = {"key_id": last_four(event.access_key_id)}
            return Line(logging.INFO, "session_renewed", {**_called(which), **key_id, **times})
        # There is one for each caller every few minutes, made on this machine.
        level = logging.DEBUG if after is None else logging.INFO
        return Line(level, "token_renewed", {**_called(which), "jti": event.id, **times})

    def _failed(self, event: _Failed) -> Line | None:
        which = _which(event)
        if which not in self._failures and len(self._failures) >= _MOST:  # sessions come and go
            oldest = next(iter(self._failures))
            del self._failures[oldest]
            self._told.pop(oldest, None)
        self._failures[which] = event.failures
        left = None if event.held_until is None else event.held_until - self._clock.now()
        near = left is None or left < (READY_FOR if isinstance(event, RenewalFailed) else _ENDING)
        level = logging.ERROR if near or not event.error.retryable else logging.WARNING
        if not self._due(which, event.error, level):
            return None
        self._told[which] = (self._clock.steady(), level, type(event.error))
        fields: dict[str, Field] = {
            **_called(which),
            "kind": type(event.error).__name__,
            "error": event.error.what,
            "hint": event.error.hint or None,
            "failures": event.failures,
            "took": event.took,
            "retry_in": event.retry_in,
            "held_until": event.held_until,
            "held": "none" if left is None else "ending" if near else "good",
        }
        if isinstance(event, RenewalFailed):
            return Line(level, "renewal_failed", fields)
        return Line(level, "token_renewal_failed", fields)

    def _due(self, which: _Which, error: AgentError, level: int) -> bool:
        """Whether to tell: what somebody must mend, always; what will pass, when it starts, worsens or has lasted."""
        told = self._told.get(which)
        if told is None or not error.retryable:
            return True
        at, loudness, kind = told
        again = self._clock.steady() - at >= _AGAIN.total_seconds()
        return again or level > loudness or kind is not type(error)


def _which(event: RenewalEvent) -> _Which:
    if isinstance(event, SessionRenewed | RenewalFailed):
        return "role", event.role, event.about
    return "audience", event.audience, event.about


def _called(which: _Which) -> dict[str, Field]:
    by, name, about = which
    return {by: name, "about": about or None}
