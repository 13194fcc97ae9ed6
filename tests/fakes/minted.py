"""A token source that mints a new token each time, by the clock it is given."""

from datetime import datetime, timedelta

from agent.clock import Clock
from agent.secret import Secret
from agent.tokens import Token

CANARY_TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJjYW5hcnkiOiJ0b2tlbiJ9.c2lnbmF0dXJlLWNhbmFyeQ"


class MintedTokens:
    """Remembers when each token was minted. The first is `value` itself, those after it only begin so."""

    def __init__(self, clock: Clock, value: str = CANARY_TOKEN) -> None:
        self._clock = clock
        self._value = value
        self.minted_at: list[datetime] = []

    async def token(self) -> Token:
        now = self._clock.now()
        self.minted_at.append(now)
        number = len(self.minted_at)
        return Token(Secret(self._value if number == 1 else f"{self._value}-{number}"), now + timedelta(minutes=5))
