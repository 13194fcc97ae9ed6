from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent.errors import KeyUnavailable
from agent.sessions import SessionSnapshot
from agent.status.tokens import TokenStatus, token_statuses
from agent.wording import Wording

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
LOCKED = KeyUnavailable("the key is locked", hint="unlock it")


def good(minutes: int = 5) -> SessionSnapshot:
    left = timedelta(minutes=minutes)
    return SessionSnapshot("vault", True, "jti", NOON + left, left, NOON, None, 0, left / 2)


def stuck(failures: int, *, usable: bool) -> SessionSnapshot:
    ends = NOON + timedelta(minutes=1) if usable else None
    return SessionSnapshot("vault", usable, None, ends, None, None, LOCKED, failures, timedelta(seconds=9))


STARTING = SessionSnapshot("vault", False, None, None, None, None, None, 0, None)


@dataclass(frozen=True)
class Kept:
    """A session as the roster has it."""

    held: SessionSnapshot
    extent: Wording
    name: str = "vault"

    @property
    def session(self) -> "Kept":
        return self

    def snapshot(self) -> SessionSnapshot:
        return self.held


@dataclass
class Sessions:
    """Those of two audiences, of which one has what it is given."""

    there: list[SessionSnapshot]
    names: Sequence[str] = field(default=("vault", "orders"))

    def kept(self) -> list[Kept]:
        return [Kept(one, Wording(f"caller-{n}", timedelta(minutes=10))) for n, one in enumerate(self.there)]


def stands(*there: SessionSnapshot) -> TokenStatus:
    vault, orders = token_statuses(Sessions([*there]), lambda _, wording: [f"{wording.subject}.service"])
    assert (orders.audience, orders.state, orders.kept, orders.callers) == ("orders", "idle", 0, ())
    return vault


def test_the_first_of_those_held_to_end_is_told_and_all_who_were_given_one() -> None:
    told = stands(good(4), good(2), STARTING)
    assert (told.state, told.kept, told.held, told.failures) == ("good", 3, 2, 0)
    assert told.ends_at == NOON + timedelta(minutes=2)
    assert told.next_attempt_in == timedelta(minutes=1)
    assert told.callers == ("caller-0.service", "caller-1.service", "caller-2.service")


def test_one_that_cannot_be_renewed_counts_and_one_that_nobody_can_be_given_counts_more() -> None:
    assert stands(good(), stuck(2, usable=True)).state == "failing"
    told = stands(stuck(7, usable=True), stuck(3, usable=False), good())
    assert (told.state, told.held, told.problem, told.hint) == ("bare", 2, "the key is locked", "unlock it")
    assert told.failures == 7


def test_what_nobody_has_had_yet_is_starting() -> None:
    assert stands(STARTING).state == "starting"
    assert stands().state == "idle"


def test_of_thousands_of_callers_some_are_named() -> None:
    assert len(stands(*[good()] * 500).callers) == 50
