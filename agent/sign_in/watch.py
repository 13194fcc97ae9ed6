"""Who is told that a person is needed, and that one has come?

Everybody, by events: in good time before a sign-in ends, when it is over, and when there is another. The file is
looked at every few seconds, since anybody may sign in with any program.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, NoReturn

from agent.clock import Clock
from agent.errors import AgentError, SignInNeeded
from agent.events import Event, Report, SignedIn, SignInDue, SignInOver
from agent.secret import Secret
from agent.sign_in import SOURCE, Portal, SignIn
from agent.sign_in.answers import needed
from agent.sign_in.cache import Cache, Kept, Stamp
from agent.sign_in.renewal import Renewal
from agent.threads import aside

#: How often the file is looked at, in seconds.
LOOK: Final = 5.0
#: How often the same is told again.
AGAIN: Final = timedelta(hours=1)
#: How long before its end a sign-in is told to be ending: a day, or a fifth of all its time if that is less.
_DAY: Final = timedelta(hours=24)
_SHARE: Final = 5

#: `due`: somebody has to sign in soon; `over`: somebody has to sign in.
State = Literal["unknown", "good", "due", "over"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How a sign-in stands; no secret in it.

    Attributes:
        command: what somebody runs to sign in.
        ends_at: until when it lasts without a person, as far as can be known; None if it is over, or unknown.
        problem: why it is over; empty if it is not.
    """

    state: State
    command: str
    ends_at: datetime | None = None
    problem: str = ""


class Watch:
    """Looks at a sign-in, and tells of it."""

    def __init__(self, portal: Portal, cache: Cache, renewal: Renewal, *, clock: Clock, report: Report) -> None:
        """Look at nothing yet. `clock` is this machine's."""
        self._portal = portal
        self._cache = cache
        self._renewal = renewal
        self._clock = clock
        self._report = report
        self._stamp: Stamp | None = None
        self._kept: Kept | None = None
        self._taken: Secret | None = None  # the access token that the portal took last: that counts more than clocks
        self._told: tuple[State, float] | None = None
        self.standing = Standing("unknown", portal.command)

    async def keep_watch(self) -> NoReturn:
        """Look again and again, for ever."""
        while True:
            await self.look()
            await self._clock.sleep(LOOK)

    async def look(self) -> None:
        """Look once, and tell what there is to be told."""
        try:
            stamp = await aside(self._cache.stamp)
            if stamp != self._stamp or self.standing.state == "unknown":
                await self._read()
                self._stamp = stamp
        except SignInNeeded as error:
            self._stamp, self._kept = stamp, None
            self.over(error)
        except (AgentError, RuntimeError):  # RuntimeError: there is no thread to be had; the next look is soon
            return
        self._judge()

    def over(self, why: AgentError) -> None:
        """There is no doubt that somebody has to sign in: the portal says so, or the file."""
        self._taken = None
        self._stand(Standing("over", self._portal.command, problem=why.what))

    def taken(self, token: Secret) -> None:
        """The portal has taken this access token just now."""
        self._taken = token
        if self.standing.state == "over":
            self._judge(even_over=True)

    async def _read(self) -> None:
        """The file is another: by us, by a program that has renewed the sign-in, or by a person who has signed in."""
        before, was_over = self._kept, self.standing.state == "over"
        self._kept = await self._renewal.kept()
        if self._kept is None:
            raise needed(self._portal, "nobody has signed in")
        anew = before is not None and _whose(before.sign_in) != _whose(self._kept.sign_in)
        if was_over or anew:
            self._renewal.start_afresh()
            self._told = None
            sign_in = self._kept.sign_in
            lasts = sign_in.is_renewable(self._clock.now())  # then only the portal knows for how long
            self._report(SignedIn(SOURCE, None if lasts else sign_in.expires_at))
            self.standing = Standing("good", self._portal.command)

    def _judge(self, *, even_over: bool = False) -> None:
        """Say how it stands by the clock; what the portal has refused is over until the file is another."""
        if self._kept is None or (self.standing.state == "over" and not even_over):
            self._stand(self.standing)
            return
        now, sign_in = self._clock.now(), self._kept.sign_in
        ends_at = sign_in.ends_at(now)
        if now >= ends_at and self._taken != sign_in.access_token:
            self.over(needed(self._portal, "the sign-in has ended; sign in"))
            return
        lasts = _DAY * _SHARE if sign_in.is_renewable(now) else ends_at - self._kept.written_at
        soon = ends_at - now <= min(_DAY, lasts / _SHARE)
        self._stand(Standing("due" if soon else "good", self._portal.command, ends_at))

    def _stand(self, standing: Standing) -> None:
        """Stand so from now on, and tell of it: at once, and again as long as it lasts."""
        self.standing = standing
        now, event = self._clock.steady(), _told_of(standing)
        if event is None:
            self._told = None
        elif self._told is None or self._told[0] != standing.state or now - self._told[1] >= AGAIN.total_seconds():
            self._told = (standing.state, now)
            self._report(event)


def _told_of(standing: Standing) -> Event | None:
    match standing.state:
        case "due":
            assert standing.ends_at is not None  # or nobody would know that it is soon
            return SignInDue(SOURCE, standing.ends_at, standing.command)
        case "over":
            return SignInOver(SOURCE, standing.command)
        case _:
            return None


def _whose(sign_in: SignIn) -> object:
    """What stays the same while a sign-in is renewed: for which registration it was given."""
    kept = sign_in.refresh_token and sign_in.registration
    return kept.client_id if kept else sign_in.access_token
