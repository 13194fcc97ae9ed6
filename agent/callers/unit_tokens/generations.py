"""From which secret are tokens made now, and which earlier ones are still good? Pure.

A unit keeps the token that it was started with until it is started again, so an earlier secret stays good for a while.
How long is counted by whoever keeps the generations: they only know how much time has passed, and no clock.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

_NO_TIME: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Generation:
    """A secret, and all tokens that are made of it.

    Attributes:
        id: tells it from the others; no secret.
        secret: 32 random bytes.
        age: for how long it has been there.
        superseded: for how long there has been a newer one; None if there is none.
    """

    id: str
    secret: bytes = field(repr=False)
    age: timedelta = _NO_TIME
    superseded: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Generations:
    """All that are good: the newest makes tokens, the others, newest first, are only recognised."""

    newest: Generation
    earlier: tuple[Generation, ...] = ()

    @property
    def all(self) -> tuple[Generation, ...]:
        """All of them."""
        return (self.newest, *self.earlier)

    def passed(self, span: timedelta) -> "Generations":
        """The same when so much time has passed."""
        earlier = tuple(
            replace(one, age=one.age + span, superseded=(one.superseded or _NO_TIME) + span) for one in self.earlier
        )
        return Generations(replace(self.newest, age=self.newest.age + span), earlier)

    def followed_by(self, generation: Generation) -> "Generations":
        """A new one makes tokens from now on."""
        return Generations(generation, (replace(self.newest, superseded=_NO_TIME), *self.earlier))

    def without_ended(self, overlap: timedelta) -> "Generations":
        """Those that are still good, if each is for `overlap` after the next was there."""
        return replace(self, earlier=tuple(one for one in self.earlier if left(one, overlap) != _NO_TIME))


def left(generation: Generation, overlap: timedelta) -> timedelta | None:
    """For how long it is still good; None while it is the newest."""
    if generation.superseded is None:
        return None
    return max(overlap - generation.superseded, _NO_TIME)
