"""What happens between us and an OAuth 2.0 provider that gives us our identity token?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from agent.errors import AgentError


@dataclass(frozen=True, slots=True)
class ProviderAnswered:
    """The provider has given a token; `after_failures` is how often it, or we, had failed before that."""

    provider: str
    expires_at: datetime
    after_failures: int


@dataclass(frozen=True, slots=True)
class ProviderFailed:
    """There was no token to be had; that which is held stays in use until `held_until`, None if there is none.

    `failures` counts those in a row, this one included.
    """

    provider: str
    error: AgentError
    failures: int
    retry_in: timedelta
    held_until: datetime | None


#: What happens between us and a provider.
ProviderEvent = ProviderAnswered | ProviderFailed
