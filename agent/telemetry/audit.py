"""Who was given which credentials and tokens, and who was refused?

A line for each set of credentials, or token, and caller, and for each refusal; a caller that is refused the same thing
again and again is one line and a count, so that a loop somewhere fills no disk.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NoReturn

from agent.callers import Facts
from agent.clock import Clock
from agent.events import (
    CredentialsVended,
    Event,
    FileWritten,
    RequestRefused,
    TokenDenied,
    TokenVended,
    VendingDenied,
)
from agent.roster import payer
from agent.status.snapshot import last_four
from agent.telemetry.key_lines import Field
from agent.telemetry.log import write

#: How long refusals that are the same are gathered, in seconds.
_GATHER: Final = 60.0

#: How many different refusals are gathered one by one, in all and of one payer: or whoever makes up names would take
#: those of others out of sight. Beyond, callers are counted together.
_MOST: Final = 200
_MOST_OF_ONE: Final = 50

#: As much as is kept of a caller's description.
_LONGEST: Final = 256

#: The fields that say who the caller is, and the facts that they are taken from, the first that is known.
_WHO: Final[Mapping[str, tuple[str, ...]]] = {
    "uid": ("unix.uid",),
    "unit": ("systemd.unit",),
    "user_unit": ("systemd.user_unit",),
    "container": ("container.name", "container.id"),
}
_NUMBER: Final = "process.pid"


@dataclass(frozen=True, slots=True)
class _Refused:
    """One refusal: of a caller and a role or an audience, for a reason.

    Another process of the same service is the same caller.
    """

    caller: str
    name: str
    reason: str
    payer: str = ""
    who: tuple[tuple[str, Field], ...] = ()
    by: Literal["role", "audience"] = "role"


#: How a line is called of what is refused by role, and by audience.
_REFUSED: Final[Mapping[str, str]] = {"role": "credentials_refused", "audience": "token_refused"}

#: Of callers that are too many to name.
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
        self._gathered: dict[_Refused, _Gathered] = {}
        self._tokens: dict[str, datetime] = {}  # by the path of the file: when the token in it ends

    def __call__(self, event: Event) -> None:
        """Write the line of this fact, if it is one of ours and due one."""
        match event:
            case CredentialsVended():
                what = {"role": event.role, "key_id": last_four(event.access_key_id)}
                self._served("credentials_served", event, what)
            case TokenVended():
                self._served("token_served", event, {"audience": event.audience, "jti": event.id})
            case VendingDenied():
                self._denied(event, event.role)
            case TokenDenied():
                self._denied(event, event.audience, "audience")
            case RequestRefused():
                self._denied(event)
            case FileWritten(what="web_identity_token" | "token"):
                self._token_served(event)
            case _:
                return

    def _served(self, called: str, event: CredentialsVended | TokenVended, what: Mapping[str, Field]) -> None:
        write(
            self._logger,
            logging.INFO,
            called,
            outcome="served",
            caller=_called(event.caller, event.facts),
            **dict(_who(event.facts)),
            **_process(event.facts),
            **what,
            expires=event.expires_at,
        )

    def _token_served(self, event: FileWritten) -> None:
        """Each token once, though its file may have had to be written again."""
        if self._tokens.get(event.path) != event.expires_at:
            self._tokens[event.path] = event.expires_at
            write(
                self._logger,
                logging.INFO,
                "token_served",
                outcome="served",
                caller=f"file:{event.path}"[:_LONGEST],
                **{"audience" if event.what == "token" else "role": event.role},
                expires=event.expires_at,
            )

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
        for refused, gathered in list(self._gathered.items()):
            if now - gathered.since >= older_than:
                del self._gathered[refused]
                if gathered.again:
                    self._write(refused, again=gathered.again)

    def _denied(
        self,
        event: VendingDenied | TokenDenied | RequestRefused,
        name: str = "",
        by: Literal["role", "audience"] = "role",
    ) -> None:
        facts, reason, pays = event.facts, event.reason, payer(event.facts, event.caller)
        refused = _Refused(_called(event.caller, facts), name, reason, pays, _who(facts), by)
        process = _process(facts)
        if refused not in self._gathered and (self._full(pays) or self._full()):
            self._tell(older_than=_GATHER)
            if self._full(pays):
                refused, process = _Refused(f"{_OTHERS} of {pays}"[:_LONGEST], "", reason, by=by), {}
        if refused not in self._gathered and self._full():
            refused, process = _Refused(_OTHERS, "", reason, by=by), {}
        gathered = self._gathered.get(refused)
        if gathered is not None and self._clock.steady() - gathered.since < _GATHER:
            gathered.again += 1
            return
        if gathered is not None and gathered.again:
            self._write(refused, again=gathered.again)
        self._gathered[refused] = _Gathered(self._clock.steady())
        self._write(refused, **process)

    def _full(self, pays: str = "") -> bool:
        """Whether there is no room for one more refusal: of this payer, or in all."""
        if not pays:
            return len(self._gathered) >= _MOST
        return sum(known.payer == pays for known in self._gathered) >= _MOST_OF_ONE

    def _write(self, refused: _Refused, **more: Field) -> None:
        write(
            self._logger,
            logging.WARNING,
            _REFUSED[refused.by],
            outcome="denied",
            caller=refused.caller,
            **dict(refused.who),
            **{refused.by: refused.name or None},
            reason=refused.reason,
            **more,
        )


def _called(caller: str, facts: Facts) -> str:
    """The caller without its process, which is told by itself, so that it is the same caller in the next one."""
    for name, value in facts:
        if name == _NUMBER:
            caller = caller.replace(f",{name}={value}", "")
    return caller[:_LONGEST]


def _who(facts: Facts) -> tuple[tuple[str, Field], ...]:
    """Who the caller is, as far as that is known."""
    known = dict(facts)
    told = ((field, next((known[name] for name in names if name in known), None)) for field, names in _WHO.items())
    return tuple((field, _as_number(value)) for field, value in told if value is not None)


def _process(facts: Facts) -> Mapping[str, Field]:
    """The process that asked, where that is known."""
    known = dict(facts)
    return {"pid": _as_number(known[_NUMBER])} if _NUMBER in known else {}


def _as_number(value: str) -> Field:
    return int(value) if value.isascii() and value.isdigit() and len(value) < 12 else value[:_LONGEST]
