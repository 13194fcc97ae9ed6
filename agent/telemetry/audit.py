"""Who was given which credentials, and who was refused?

A line for each set of credentials and caller, and for each refusal; a caller that is refused the same thing
again and again is one line and a count, so that a loop somewhere fills no disk.
"""

import logging
from dataclasses import dataclass
from typing import Final, NoReturn

from agent.clock import Clock
from agent.events import CredentialsVended, Event, RequestRefused, VendingDenied
from agent.status.snapshot import last_four
from agent.telemetry.log import write

#: How long refusals that are the same are gathered, in seconds.
_GATHER: Final = 60.0

#: How many different refusals are gathered one by one; beyond, callers are counted together.
_MOST: Final = 200

#: As much as is kept of a caller's description.
_LONGEST: Final = 256

#: The caller that is named when there are too many to name.
_OTHERS: Final = "others"


@dataclass(slots=True)
class _Gathered:
    """A refusal told at `since`, and how often it has come again."""

    since: float
    again: int = 0


class Audit:
    """Writes the audit lines."""

    def __init__(self, logger: logging.Logger, clock: Clock) -> None:
        """Write to the child `audit` of our logger, whose level is its own: info for what was served, else warning."""
        self._logger = logger.getChild("audit")
        self._clock = clock
        self._gathered: dict[tuple[str, str, str], _Gathered] = {}

    def __call__(self, event: Event) -> None:
        """Write the line of this fact, if it is one of ours and due one."""
        match event:
            case CredentialsVended():
                write(
                    self._logger,
                    logging.INFO,
                    "credentials_served",
                    outcome="served",
                    caller=event.caller[:_LONGEST],
                    role=event.role,
                    key_id=last_four(event.access_key_id),
                    expires=event.expires_at,
                )
            case VendingDenied():
                self._denied(event.caller, event.role, event.reason)
            case RequestRefused():
                self._denied(event.caller, "", event.reason)
            case _:
                return

    async def keep_telling(self) -> NoReturn:
        """Tell the counts of what has been gathered for a minute, for ever; at the end, all of them."""
        try:
            while True:
                await self._clock.sleep(_GATHER)
                self._tell(older_than=_GATHER)
        finally:
            self._tell()

    def _tell(self, older_than: float = 0.0) -> None:
        """Tell the counts gathered for so many seconds, and forget them."""
        now = self._clock.steady()
        for key, gathered in list(self._gathered.items()):
            if now - gathered.since >= older_than:
                del self._gathered[key]
                if gathered.again:
                    self._refused(*key, again=gathered.again)

    def _denied(self, caller: str, role: str, reason: str) -> None:
        key = (caller[:_LONGEST], role, reason)
        if key not in self._gathered and len(self._gathered) >= _MOST:
            self._tell(older_than=_GATHER)
        if key not in self._gathered and len(self._gathered) >= _MOST:
            key = (_OTHERS, "", reason)
        gathered = self._gathered.get(key)
        if gathered is not None and self._clock.steady() - gathered.since < _GATHER:
            gathered.again += 1
            return
        if gathered is not None and gathered.again:
            self._refused(*key, again=gathered.again)
        self._gathered[key] = _Gathered(self._clock.steady())
        self._refused(*key)

    def _refused(self, caller: str, role: str, reason: str, again: int | None = None) -> None:
        write(
            self._logger,
            logging.WARNING,
            "credentials_refused",
            outcome="denied",
            caller=caller,
            role=role or None,
            reason=reason,
            again=again,
        )
