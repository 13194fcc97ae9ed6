"""What is true in this AWS right now?

The one mutable thing of the sandbox: the world as it is, what has been handed out, what goes wrong, what was asked.
"""

import random
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from agent.clock import Clock
from agent.sandbox.faults import Faults
from agent.sandbox.issued import Register
from agent.sandbox.world import World

_MOST_CALLS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """A call to STS, Cognito or Identity Center, as CloudTrail might have it.

    Attributes:
        action: such as AssumeRoleWithWebIdentity; "" if none was named.
        code: "Success", AWS's error code, or "(dropped)" and the like for a fault that gave no answer.
        status: the HTTP status; 0 if there was no answer.
        role_arn, session_name: as asked for; "" where there is none.
        at: when it came, by the sandbox's clock.
        why: what the sandbox knows and AWS does not tell, for a refusal.
    """

    action: str
    code: str
    status: int
    role_arn: str
    session_name: str
    at: datetime
    why: str = ""


@dataclass
class Cloud:
    """The state of the sandbox."""

    world: World
    clock: Clock
    rng: random.Random
    faults: Faults = field(default_factory=Faults)
    register: Register = field(default_factory=Register)
    calls: list[Call] = field(default_factory=list)
    modified: dict[str, datetime] = field(default_factory=dict)
    #: Where all services answer; with port 0 until that is known.
    endpoint_url: str = "http://127.0.0.1:0"

    def now(self) -> datetime:
        """The time as this AWS believes it to be: the clock's, set wrong if a fault says so."""
        return self.clock.now() + self.faults.clock_offset

    def request_id(self) -> str:
        """A fresh x-amzn-requestid."""
        return str(uuid.UUID(int=self.rng.getrandbits(128), version=4))

    def note(self, call: Call) -> None:
        """Remember a call; the oldest are forgotten after ten thousand."""
        self.calls.append(call)
        if len(self.calls) > _MOST_CALLS:
            del self.calls[: len(self.calls) - _MOST_CALLS]
