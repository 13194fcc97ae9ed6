"""What happens to tokens for other relying parties, and to those who ask for them?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.errors import AgentError
from agent.events.vending import Denial


@dataclass(frozen=True, slots=True)
class TokenRenewed:
    """There is a new token for an audience; `id` is its jti, `about` says for whom, where there are several."""

    audience: str
    id: str
    expires_at: datetime
    took: timedelta
    renew_in: timedelta
    about: str = ""


@dataclass(frozen=True, slots=True)
class TokenRenewalFailed:
    """No token could be made; what is held stays what it is until `held_until`."""

    audience: str
    error: AgentError
    failures: int
    took: timedelta
    retry_in: timedelta
    held_until: datetime | None
    about: str = ""


@dataclass(frozen=True, slots=True)
class TokenVended:
    """A caller was given a token, told once for each token; `facts` are all that is known of the caller."""

    audience: str
    caller: str
    id: str
    expires_at: datetime
    facts: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, slots=True)
class TokenDenied:
    """A caller was given no token; `audience` is one that some grant names, or empty."""

    audience: str
    caller: str
    reason: Denial
    error: AgentError
    facts: frozenset[tuple[str, str]] = frozenset()


#: What happens to tokens for others, and to those who ask for them.
TokenEvent = TokenRenewed | TokenRenewalFailed | TokenVended | TokenDenied
