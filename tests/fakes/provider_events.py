"""One of each fact about a provider."""

from datetime import timedelta
from typing import Final

from agent.errors import TokenUnavailable
from agent.events import ProviderAnswered, ProviderEvent, ProviderFailed
from tests.fakes.clock import START

PROVIDER_EVENTS: Final[tuple[ProviderEvent, ...]] = (
    ProviderAnswered("https://login.example.com", START, 3),
    ProviderFailed(
        "https://login.example.com",
        TokenUnavailable("login.example.com has trouble of its own", hint="it passes by itself"),
        1,
        timedelta(seconds=5),
        START,
    ),
)
