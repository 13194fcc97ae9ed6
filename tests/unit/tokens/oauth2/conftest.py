"""One provider, and a source of tokens that asks it; time stands still until it is told to go on."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from agent.clock import RemoteClock
from agent.secret import Secret
from agent.tokens.oauth2.asking import Authentication, Client, ClientSecret, Place, Wanted
from agent.tokens.oauth2.source import OAuth2Tokens, Provider
from tests.fakes.clock import FakeClock
from tests.fakes.oauth_provider import SECRET, OAuthProvider, oauth_provider
from tests.fakes.report import Reported


@dataclass
class Bench:
    """The provider, and what is built to ask it."""

    provider: OAuthProvider
    clock: FakeClock
    aws_time: RemoteClock = field(init=False)
    told: Reported = field(init=False)

    def __post_init__(self) -> None:
        self.aws_time = RemoteClock(self.clock)
        self.told = Reported()

    @property
    def place(self) -> Place:
        return Place(issuer=self.provider.issuer, ca_bundle=self.provider.ca)

    def asking(
        self, authentication: Authentication | None = None, wanted: Wanted | None = None, place: Place | None = None
    ) -> OAuth2Tokens:
        """A source of tokens; its client shows a secret unless told otherwise."""
        client = Client("our-client", authentication or ClientSecret(lambda: Secret(SECRET)))
        provider = Provider(place or self.place, client, wanted or Wanted(), self.aws_time)
        return OAuth2Tokens(provider, self.aws_time, report=self.told, spread=lambda: 0.999)


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with oauth_provider(tmp_path) as provider:
        yield Bench(provider, FakeClock())
