"""How long does the longest token live that is signed here?"""

from datetime import timedelta
from typing import Protocol

from agent.ring import USUAL_TOKEN
from agent.settings.tokens import Identity, SelfSigned


class Said(Protocol):
    """A configuration, or what has been read of one so far."""

    @property
    def identity(self) -> Identity | None:
        """What [identity] says."""
        ...


def longest_token(said: Said) -> timedelta:
    """The lifetime of the longest token that our key may sign: for STS, for others, or by hand.

    No less than an hour, which `rolecall token mint` may be asked for. Keys are shown until such a token is over.
    """
    identity = said.identity
    return max(USUAL_TOKEN, identity.lifetime) if isinstance(identity, SelfSigned) else USUAL_TOKEN
