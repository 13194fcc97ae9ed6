"""Which sign-ins are under way, which are over, and who has tried too often?

The mutable side of user pools. Nothing here knows how a request looks.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from agent.sandbox.cognito.issuing import Origin
from agent.sandbox.cognito.refusals import (
    ENDED_REFRESH,
    ENDED_SESSION,
    EXCEEDED,
    REVOKED,
    USED_SESSION,
    WRONG_REFRESH,
    WRONG_SESSION,
    not_authorized,
    reused,
)
from agent.sandbox.cognito.srp import Exchange
from agent.sandbox.pools import AppClient, User, UserPool
from agent.secret import Secret

#: How long a challenge may be answered (AuthSessionValidity, 3 minutes unless the client says otherwise).
SESSION: Final = timedelta(minutes=3)
#: From the fifth wrong password on, a user is locked for 2^(n-5) seconds, up to a quarter of an hour.
_FREE: Final = 5
_LONGEST_LOCK: Final = timedelta(minutes=15)
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge that waits for its answer.

    Attributes:
        name: such as NEW_PASSWORD_REQUIRED.
        user: the user's name; "" for one who is only made believe to be there.
        srp: the exchange, for PASSWORD_VERIFIER.
        block: the SECRET_BLOCK of that.
        code: the code that was sent, for SMS_MFA.
    """

    name: str
    pool_id: str
    client_id: str
    user: str
    ends_at: datetime
    srp: Exchange | None = None
    block: bytes = b""
    code: Secret = field(default_factory=lambda: Secret(""))


@dataclass(frozen=True, slots=True)
class Refreshing:
    """A refresh token: whose, until when, and what became of it."""

    pool_id: str
    client_id: str
    user: str
    origin: Origin
    ends_at: datetime
    revoked: bool = False
    rotated_at: datetime | None = None


class Challenges:
    """Challenges, by the session that is shown when they are answered; each session is good once."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._waiting: dict[str, Challenge] = {}
        self._used: set[str] = set()

    def put(self, challenge: Challenge, session: str = "") -> str:
        """Wait for an answer; the session to give out, unless something else stands for it."""
        session = session or "AYABe" + "".join(self._rng.choices(_LETTERS, k=600))
        self._waiting[session] = challenge
        return session

    def take(self, session: str, name: str, client_id: str, now: datetime) -> Challenge:
        """The challenge that is answered, which can be answered no more. Raises Refusal."""
        if session in self._used:
            raise not_authorized(USED_SESSION)
        challenge = self._waiting.pop(session, None)
        if challenge is None or challenge.name != name or challenge.client_id != client_id:
            raise not_authorized(WRONG_SESSION)
        self._used.add(session)
        if now >= challenge.ends_at:
            raise not_authorized(ENDED_SESSION)
        return challenge


class Attempts:
    """Wrong passwords, by user."""

    def __init__(self) -> None:
        self._wrong: dict[tuple[str, str], tuple[int, datetime]] = {}

    def check(self, pool: UserPool, user: User, now: datetime) -> None:
        """Refuse whoever is locked, wrong password or right: that counts as no attempt. Raises Refusal."""
        count, last = self._wrong.get((pool.pool_id, user.name), (0, now))
        if count >= _FREE and now < last + min(timedelta(seconds=2 ** min(count - _FREE, 20)), _LONGEST_LOCK):
            raise not_authorized(EXCEEDED)

    def failed(self, pool: UserPool, user: User, now: datetime) -> None:
        """Count a wrong password; a quarter of an hour of peace begins anew."""
        count, last = self._wrong.get((pool.pool_id, user.name), (0, now))
        self._wrong[pool.pool_id, user.name] = (1 if now - last > _LONGEST_LOCK else count + 1, now)

    def succeeded(self, pool: UserPool, user: User) -> None:
        """Forget the wrong ones."""
        self._wrong.pop((pool.pool_id, user.name), None)


class RefreshTokens:
    """Every refresh token that has been given."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._given: dict[str, Refreshing] = {}

    def give(self, refreshing: Refreshing) -> str:
        """A new token, in five parts as Cognito's, of which nobody can read anything."""
        parts = (
            "eyJjdHkiOiJKV1QiLCJlbmMiOiJBMjU2R0NNIiwiYWxnIjoiUlNBLU9BRVAifQ",
            *map(self._part, (342, 16, 1100, 22)),
        )
        token = ".".join(parts)
        self._given[token] = refreshing
        return token

    def use(self, token: str, client: AppClient, now: datetime) -> Refreshing:
        """The sign-in behind a token of this client. Raises Refusal."""
        known = self._given.get(token)
        if known is None or known.client_id != client.client_id:
            raise not_authorized(WRONG_REFRESH)
        if known.revoked:
            raise not_authorized(REVOKED)
        if now >= known.ends_at:
            raise not_authorized(ENDED_REFRESH)
        if known.rotated_at is not None and now >= known.rotated_at + client.grace:
            raise reused()
        return known

    def rotate(self, token: str, now: datetime) -> str:
        """Another token in the place of this one; the sign-in does not become longer by that."""
        known = self._given[token]
        if known.rotated_at is None:
            self._given[token] = replace(known, rotated_at=now)
        return self.give(replace(known, rotated_at=None))

    def revoke(self, token: str, client_id: str) -> None:
        """End a sign-in, and with it every token that comes from it; a token that is not known is no error."""
        known = self._given.get(token)
        if known is None or known.client_id != client_id:
            return
        for text, one in self._given.items():
            if one.origin == known.origin:
                self._given[text] = replace(one, revoked=True)

    def revoke_user(self, pool_id: str, user: str) -> None:
        """End every sign-in of a user, as AdminUserGlobalSignOut does."""
        for text, one in self._given.items():
            if (one.pool_id, one.user) == (pool_id, user):
                self._given[text] = replace(one, revoked=True)

    @property
    def known(self) -> Mapping[str, Refreshing]:
        """All of them, for whoever looks on."""
        return self._given

    def _part(self, length: int) -> str:
        return "".join(self._rng.choices(_LETTERS, k=length))
