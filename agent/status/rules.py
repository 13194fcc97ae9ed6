"""By which rules are tokens of others verified, and are the keys for it there?"""

from dataclasses import dataclass
from typing import Literal

#: `bare` is a rule without a key, so that all it is asked about is answered 503; `failing` has some that could not be
#: read again.
RuleState = Literal["starting", "good", "failing", "bare"]


@dataclass(frozen=True, slots=True)
class RuleStatus:
    """How one rule stands.

    Attributes:
        issuer: whose tokens it takes.
        keys: how many keys of that issuer are at hand.
        problem: why the latest reading of them failed; empty if it did not.
        hint: what to do about that.
    """

    rule: str
    issuer: str
    keys: int
    problem: str
    hint: str

    @property
    def state(self) -> RuleState:
        """One word for it."""
        if self.keys:
            return "failing" if self.problem else "good"
        return "bare" if self.problem else "starting"
