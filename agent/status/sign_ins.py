"""Who has to sign in, and until when?"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

#: `due`: somebody has to sign in soon; `over`: somebody has to, for there to be new credentials.
SignInState = Literal["unknown", "good", "due", "over"]


@dataclass(frozen=True, slots=True)
class SignInStatus:
    """How the sign-in of a person stands, on which some roles live.

    Attributes:
        source: where, as in `identity_center`.
        command: what somebody runs to sign in.
        ends_at: until when it lasts without a person, as far as can be known; None if it is over, or unknown.
        problem: why it is over; empty if it is not.
    """

    source: str
    state: SignInState
    command: str
    ends_at: datetime | None
    problem: str
