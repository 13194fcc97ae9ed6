"""Who is signed in, until when, and by which tokens is that known?"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from agent.sandbox.centers import ACCOUNT_ACCESS, IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.refusals import oidc_refusal, portal_refusal
from agent.sandbox.identity_center.registration import REFRESH_TOKEN, Client

#: Prefixes that AWS's access and refresh tokens have been seen with.
_ACCESS: Final = "aoa"
_REFRESH: Final = "aor"


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody's sign-in, for one client.

    Attributes:
        number: counts up from 1.
        user: the user's name.
        client_id: for which client.
        opens_portal: whether its tokens are for the access portal.
        is_renewable: whether it comes with refresh tokens.
        began_at, ends_at: when somebody said yes, and when that ends, tokens and all.
    """

    number: int
    user: str
    client_id: str
    opens_portal: bool
    is_renewable: bool
    began_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class _Access:
    session: int
    expires_at: datetime


class Sessions:
    """All sign-ins, and the tokens they have been given."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._begun = 0
        self._live: dict[int, Session] = {}
        self._access: dict[str, _Access] = {}
        self._refresh: dict[str, int] = {}

    def begin(self, center: IdentityCenter, user: str, client: Client) -> Session:
        """Sign somebody in. A client that registered for no scope is of the old sort: for the portal, never renewed."""
        self._forget()
        now = self._cloud.now().replace(microsecond=0)
        has_access = ACCOUNT_ACCESS in client.scopes
        self._begun += 1
        session = Session(
            number=self._begun,
            user=user,
            client_id=client.id,
            opens_portal=has_access or not client.scopes,
            is_renewable=has_access and REFRESH_TOKEN in client.grants,
            began_at=now,
            ends_at=now + center.session,
        )
        self._live[session.number] = session
        return session

    def give(self, center: IdentityCenter, session: Session) -> Mapping[str, object]:
        """Tokens for a sign-in: the members of CreateToken's answer. Raises Refusal if the sign-in has ended."""
        now = self._cloud.now()
        if not self.is_live(session):
            raise oidc_refusal("InvalidGrantException", "the sign-in has ended")
        ends = min(now + center.access_token, session.ends_at) if session.is_renewable else session.ends_at
        access = self._draw(_ACCESS)
        self._access[access] = _Access(session.number, ends)
        refresh = None
        if session.is_renewable:
            refresh = self._draw(_REFRESH)
            self._refresh[refresh] = session.number
        return {
            "accessToken": access,
            "expiresIn": int((ends - now).total_seconds()),
            "idToken": None,
            "refreshToken": refresh,
            "tokenType": "Bearer",
        }

    def renew(self, center: IdentityCenter, client: Client, refresh: str) -> Mapping[str, object]:
        """Tokens for a refresh token. Raises Refusal."""
        session = self._live.get(self._refresh.get(refresh, 0))
        if session is None or not self.is_live(session):
            raise oidc_refusal("InvalidGrantException", "the refresh token is unknown, was used, or has ended")
        if session.client_id != client.id:
            raise oidc_refusal("InvalidGrantException", "the refresh token is another client's")
        given = self.give(center, session)
        if center.rotates:
            del self._refresh[refresh]
            return given
        del self._refresh[str(given["refreshToken"])]
        return {**given, "refreshToken": refresh}

    def by_access_token(self, token: str) -> Session:
        """Whose access token this is. Raises Refusal in the portal's words."""
        access = self._access.get(token)
        session = self._live.get(access.session) if access else None
        if access is None or session is None or not self.is_live(session):
            raise portal_refusal("UnauthorizedException", "the access token is unknown, or its session has ended")
        if self._cloud.now() >= access.expires_at:
            raise portal_refusal("UnauthorizedException", "the access token has expired")
        return session

    def is_live(self, session: Session) -> bool:
        """Whether somebody is still signed in by it."""
        return session.number in self._live and self._cloud.now() < session.ends_at

    def live(self) -> tuple[Session, ...]:
        """Every sign-in that has not ended, oldest first."""
        return tuple(one for one in self._live.values() if self.is_live(one))

    def end(self, session: Session) -> None:
        """Sign somebody out: no token of the session works from now on. Ending it twice is ending it."""
        self._live.pop(session.number, None)

    def revoke_refresh_tokens(self, session: Session) -> None:
        """Let the session end when its access token does."""
        self._refresh = {token: number for token, number in self._refresh.items() if number != session.number}

    def revoke_access_tokens(self, session: Session) -> None:
        """Let the access tokens be good no longer, though they could be renewed."""
        self._access = {token: one for token, one in self._access.items() if one.session != session.number}

    def _forget(self) -> None:
        """Drop what can never work again."""
        self._live = {one.number: one for one in self.live()}
        self._access = {token: one for token, one in self._access.items() if one.session in self._live}
        self._refresh = {token: number for token, number in self._refresh.items() if number in self._live}

    def _draw(self, prefix: str) -> str:
        """A token of the shape that AWS's have: two parts in two alphabets of base64, with a colon between them."""
        rng = self._cloud.rng
        body = base64.urlsafe_b64encode(rng.randbytes(141)).decode()
        return f"{prefix}{body}:{base64.b64encode(rng.randbytes(102)).decode()}"
