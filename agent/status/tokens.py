"""Which tokens for other relying parties are at hand?"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, Protocol

from agent.sessions import SessionSnapshot
from agent.wording import Wording

#: `idle` is an audience for which nobody has asked yet, and whose tokens depend on who does; of the others, `failing`
#: is one of which every token held is still good though no new one can be made, `bare` one where somebody gets none.
TokenState = Literal["idle", "starting", "good", "failing", "bare"]

#: As many callers are named.
_NAMED = 50


class _Session(Protocol):
    def snapshot(self) -> SessionSnapshot: ...


class _Kept(Protocol):
    @property
    def name(self) -> str: ...
    @property
    def extent(self) -> Wording: ...
    @property
    def session(self) -> _Session: ...


class TokenSessions(Protocol):
    """What is asked of whoever has all tokens."""

    @property
    def names(self) -> Collection[str]:
        """The audiences that grants name, in the order of the configuration."""
        ...

    def kept(self) -> Iterable[_Kept]:
        """All sessions that are there now."""
        ...


@dataclass(frozen=True, slots=True)
class TokenStatus:
    """How the tokens for one audience stand: as the worst of them.

    Attributes:
        kept: how many different ones are kept fresh; those for callers who are alike are one.
        held: how many of these can be handed out now.
        ends_at: when the first of those held ends, though there will be another by then; None if none is held.
        problem: why the latest attempt at the worst of them failed; empty if it did not.
        hint: what to do about that.
        failures: how many attempts in a row have failed, of the one that has had the most of them.
        next_attempt_in: when the next attempt for any of them is due; None if none is.
        callers: those who were given what is held, by name.
    """

    audience: str
    state: TokenState
    kept: int
    held: int
    ends_at: datetime | None
    problem: str
    hint: str
    failures: int
    next_attempt_in: timedelta | None
    callers: tuple[str, ...]


def token_statuses(
    sessions: TokenSessions, callers: Callable[[str, Wording], Sequence[str]]
) -> tuple[TokenStatus, ...]:
    """How the tokens of each audience stand now; `callers` is asked for each session."""
    told: dict[str, list[tuple[SessionSnapshot, Sequence[str]]]] = {name: [] for name in sessions.names}
    for one in sessions.kept():
        told[one.name].append((one.session.snapshot(), callers(one.name, one.extent)))
    return tuple(_status(name, several) for name, several in told.items())


def _status(audience: str, told: Sequence[tuple[SessionSnapshot, Sequence[str]]]) -> TokenStatus:
    snapshots = [one for one, _ in told]
    worst = max(snapshots, key=lambda one: (not one.usable, one.failures), default=None)
    problem = worst.problem if worst else None
    whose = sorted({name for _, names in told for name in names})
    return TokenStatus(
        audience=audience,
        state=_state(snapshots),
        kept=len(snapshots),
        held=sum(one.usable for one in snapshots),
        ends_at=min((one.expires_at for one in snapshots if one.usable and one.expires_at is not None), default=None),
        problem=problem.what if problem else "",
        hint=problem.hint if problem else "",
        failures=max((one.failures for one in snapshots), default=0),
        next_attempt_in=min(
            (one.next_attempt_in for one in snapshots if one.next_attempt_in is not None), default=None
        ),
        callers=tuple(whose[:_NAMED]),
    )


def _state(snapshots: Sequence[SessionSnapshot]) -> TokenState:
    if not snapshots:
        return "idle"
    if any(one.failures and not one.usable for one in snapshots):
        return "bare"
    if any(one.failures for one in snapshots):
        return "failing"
    return "starting" if not any(one.usable for one in snapshots) else "good"
