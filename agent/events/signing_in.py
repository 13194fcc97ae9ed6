"""What happens to the sign-ins of people, which some of our sources live on?"""

from dataclasses import dataclass
from datetime import datetime

from agent.events.cognito import RefreshTokenUnsaved


@dataclass(frozen=True, slots=True)
class SignInDue:
    """Somebody has to sign in before this moment, by this command, or the source has nothing more to give."""

    source: str
    ends_at: datetime
    command: str


@dataclass(frozen=True, slots=True)
class SignInOver:
    """The source gives nothing more until somebody signs in, by this command."""

    source: str
    command: str


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody has signed in, and that lasts until `ends_at`; None if it is not known how long."""

    source: str
    ends_at: datetime | None


#: What happens to the sign-ins of people.
SigningInEvent = SignInDue | SignInOver | SignedIn | RefreshTokenUnsaved
