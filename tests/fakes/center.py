"""An Identity Center that says what it was told to say."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from agent.secret import Secret
from agent.sign_in import SUCCESS, Answer, Portal, Registration, SignIn
from tests.fakes.clock import START

START_URL = "https://example.awsapps.com/start"
REGION = "eu-central-1"
PORTAL = Portal(START_URL, REGION)
REGISTERED_UNTIL = datetime(2027, 2, 1, tzinfo=UTC)

Reply = Answer | Exception | Callable[[Mapping[str, object]], Answer]


def given(**members: object) -> Answer:
    """A success."""
    return Answer(SUCCESS, members=members)


def refused(code: str, status: int = 400, message: str = "") -> Answer:
    """An error."""
    return Answer(code, message, status)


def tokens(name: str, *, lasts: int = 3600, refresh: str | None = None) -> Answer:
    """What CreateToken gives."""
    return given(accessToken=f"access-{name}", expiresIn=lasts, **({"refreshToken": refresh} if refresh else {}))


REGISTERED = given(
    clientId="client", clientSecret="canary-client", clientSecretExpiresAt=int(REGISTERED_UNTIL.timestamp())
)


class FakeCenter:
    """Answers each operation by its list of replies, the last of them again and again."""

    issuer = "https://oidc.example.com"
    silent = False

    def __init__(self, **replies: Reply | list[Reply]) -> None:
        self.asked: list[tuple[str, Mapping[str, object]]] = []
        self._replies = {
            operation: [*said] if isinstance(said, list) else [said] for operation, said in replies.items()
        }

    def say(self, operation: str, *replies: Reply) -> None:
        self._replies[operation] = [*replies]

    async def ask(self, operation: str, **parameters: object) -> Answer:
        self.asked.append((operation, parameters))
        if self.silent:
            await asyncio.Event().wait()
        replies = self._replies[operation]
        reply = replies.pop(0) if len(replies) > 1 else replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply if isinstance(reply, Answer) else reply(parameters)

    def number_of(self, operation: str) -> int:
        return sum(one == operation for one, _ in self.asked)


def sign_in(
    name: str = "1", *, lasts: timedelta = timedelta(hours=1), refresh: str | None = "refresh-1", at: datetime = START
) -> SignIn:
    """A sign-in of somebody."""
    return SignIn(
        START_URL,
        REGION,
        Secret(f"access-{name}"),
        at + lasts,
        Registration("client", Secret("canary-client"), REGISTERED_UNTIL),
        Secret(refresh) if refresh else None,
    )
