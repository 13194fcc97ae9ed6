"""An agent's inside, small but real: sessions over a source that can be told to fail, and an overview of them."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from agent.clock import RemoteClock
from agent.events import Report
from agent.narrowing import WHOLE
from agent.roster import Roster
from agent.schedule import RefreshPolicy
from agent.sessions import RoleSession
from agent.status.rules import RuleStatus
from agent.status.sign_ins import SignInStatus
from agent.status.snapshot import Beside, KeyRing, KeyStatus, ListenerStatus, Overview
from agent.status.tokens import TokenStatus
from tests.fakes.clock import FakeClock
from tests.fakes.report import Reported
from tests.fakes.source import FakeSource

KID = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"

#: The steady clock's nought, as FakeSource tells the time: what a test's RemoteClock learns.
ISSUER_EPOCH = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)

#: Tokens for others as they stand: for each of two callers there is one, for another there is none to be had.
TOKENS = TokenStatus(
    audience="https://vault.example.com",
    state="bare",
    kept=3,
    held=2,
    ends_at=ISSUER_EPOCH + timedelta(minutes=20),
    problem="the key is locked",
    hint="unlock it",
    failures=4,
    next_attempt_in=timedelta(seconds=30),
    callers=("systemd.unit=backup.service", "systemd.unit=web.service"),
)


#: A rule without the keys to verify anything by.
RULE = RuleStatus(
    rule="api",
    issuer="https://login.example.com/pool",
    keys=0,
    problem="its site does not answer",
    hint="see whether it can be reached from here",
)


@dataclass
class Inside:
    """Roles by name, each with its source; all of one clock, which AWS is taken to agree with once it is heard."""

    roles: tuple[str, ...] = ("backup",)
    lifetime: timedelta = timedelta(hours=1)
    report: Report = field(default_factory=Reported)
    base: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.clock = RemoteClock(self.base)
        self.sources = {role: FakeSource(self.base, role, lifetime=self.lifetime) for role in self.roles}
        self.sessions = {role: self.part("", role) for role in self.roles}
        self.keys: list[KeyStatus] = [
            KeyStatus(KID, "RS256", "signing", since=ISSUER_EPOCH, published=True, next="its successor is made")
        ]
        self.looked_at: datetime | None = ISSUER_EPOCH
        self.callers: dict[str, tuple[str, ...]] = {}
        self.listeners = [ListenerStatus("credentials", "http://127.0.0.1:9170")]
        self.sign_ins: list[SignInStatus] = []
        self.tokens: list[TokenStatus] = []
        self.rules: list[RuleStatus] = []
        self.overview = Overview(
            Roster(
                {(role, WHOLE): session for role, session in self.sessions.items()},
                {role: f"arn:aws:iam::123456789012:role/{role}" for role in self.roles},
            ),
            clock=self.clock,
            version="1.2.3",
            keys=lambda: KeyRing(tuple(self.keys), self.looked_at),
            listeners=lambda: self.listeners,
            callers=lambda role, _: self.callers.get(role, ()),
            beside=Beside(lambda: self.sign_ins, lambda: self.tokens, lambda: self.rules),
        )

    def part(self, about: str, role: str = "backup") -> RoleSession:
        """One more session of a role."""
        return RoleSession(
            role,
            self.sources[role],
            RefreshPolicy(),
            clock=self.base,
            report=self.report,
            spread=lambda: 0.5,
            about=about,
        )

    def hear(self) -> None:
        """Hear from AWS what time it is; it is 1000 s later there than here when the tests begin."""
        self.clock.learn(ISSUER_EPOCH + timedelta(seconds=self.base.steady()))

    async def renew(self, *roles: str) -> None:
        for role in roles or self.roles:
            await self.sessions[role].renew()
