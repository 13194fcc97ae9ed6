"""How does somebody's consent, given in a browser, reach the program that asked for it?

The authorization code grant with PKCE (RFC 6749, 4.1; RFC 7636; RFC 8252): S256 and nothing else, a redirect to the
loopback and nowhere else. The parameters are those that the AWS CLI sends, `scopes` in the plural among them.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from agent.sandbox.centers import IdentityCenter
from agent.sandbox.cloud import Cloud
from agent.sandbox.identity_center.refusals import oidc_refusal
from agent.sandbox.identity_center.registration import AUTHORIZATION_CODE, Client, Clients
from agent.sandbox.identity_center.sessions import Session, Sessions

#: How long somebody may look at the page before deciding.
_THINKING: Final = timedelta(minutes=10)
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_MOST: Final = 10_000


class Misdirected(Exception):
    """A request that cannot be answered to its sender, for it is not certain who that is: the browser shows this."""


class Returned(Exception):
    """A request that is answered to its sender with an error: the browser is sent to `url`."""

    def __init__(self, url: str) -> None:
        super().__init__("sent back with an error")
        self.url = url


@dataclass(frozen=True, slots=True)
class Pending:
    """A request that somebody is looking at.

    Attributes:
        id: not to be guessed; names it in the page's form.
        state: the client's own, to be sent back as it came; None if it sent none.
        challenge: the code challenge.
        until: how long the page may be looked at.
    """

    id: str
    client: Client
    redirect_uri: str
    state: str | None
    challenge: str
    until: datetime

    def back(self, **answer: str) -> str:
        """The URL that takes the browser, with this answer, back to the client."""
        return _back(self.redirect_uri, self.state, answer)


def _back(redirect_uri: str, state: str | None, answer: Mapping[str, str]) -> str:
    said = {**answer, **({"state": state} if state is not None else {})}
    return f"{redirect_uri}{'&' if '?' in redirect_uri else '?'}{urlencode(said)}"


@dataclass(frozen=True, slots=True)
class _Code:
    session: Session
    redirect_uri: str
    challenge: str
    until: datetime


class Authorizations:
    """The requests that are looked at, and the codes that came of them."""

    def __init__(self, cloud: Cloud, clients: Clients, sessions: Sessions) -> None:
        self._cloud = cloud
        self._clients = clients
        self._sessions = sessions
        self._pending: dict[str, Pending] = {}
        self._codes: dict[str, _Code] = {}
        self._used: dict[str, Session] = {}

    def ask(self, pairs: Sequence[tuple[str, str]]) -> Pending:
        """Take in a request to authorize, as its query is. Raises Misdirected and Returned."""
        asked = dict(pairs)
        if len(asked) != len(pairs):
            raise Misdirected("A parameter of the request is there twice.")
        client = self._clients.find(asked.get("client_id", ""))
        if client is None:
            raise Misdirected("The program that sent you here is not registered, or its registration has ended.")
        redirect = asked.get("redirect_uri", "")
        if not client.takes(redirect):
            raise Misdirected("The program that sent you here wants you sent to where it has not registered.")
        state = asked.get("state")
        if wrong := _wrong(asked, client):
            code, said = wrong
            raise Returned(_back(redirect, state, {"error": code, "error_description": said}))
        now = self._cloud.now()
        pending = Pending(
            base64.urlsafe_b64encode(self._cloud.rng.randbytes(24)).decode(),
            client, redirect, state, asked["code_challenge"], now + _THINKING,
        )  # fmt: skip
        self._pending = {one.id: one for one in (*self._pending.values(), pending)[-_MOST:] if now < one.until}
        return pending

    def pending(self, id_: str) -> Pending | None:
        """The request of this id, while it may be decided."""
        pending = self._pending.get(id_)
        return pending if pending and self._cloud.now() < pending.until else None

    def allow(self, center: IdentityCenter, pending: Pending, user: str) -> str:
        """Sign somebody in: where the browser goes, with a code."""
        del self._pending[pending.id]
        code = base64.urlsafe_b64encode(self._cloud.rng.randbytes(96)).decode()
        session = self._sessions.begin(center, user, pending.client)
        now = self._cloud.now()
        self._codes[code] = _Code(session, pending.redirect_uri, pending.challenge, now + center.code)
        return pending.back(code=code)

    def deny(self, pending: Pending) -> str:
        """Do not sign anybody in: where the browser goes."""
        del self._pending[pending.id]
        return pending.back(error="access_denied", error_description="The user denied the request")

    def redeem(self, client: Client, code: str, redirect_uri: str, verifier: str) -> Session:
        """The sign-in that a code stands for. Whatever comes of it, the code is used up. Raises Refusal.

        A code that comes a second time has leaked: what it gave is taken back (RFC 6749, 4.1.2).
        """
        if session := self._used.get(code):
            self._sessions.end(session)
            raise oidc_refusal("InvalidGrantException", "the code was used before; what it gave is revoked")
        found = self._codes.pop(code, None)
        if found is None:
            raise oidc_refusal("InvalidGrantException", "there is no such code")
        self._used = dict([*self._used.items(), (code, found.session)][-_MOST:])
        if wrong := self._mismatch(found, client, redirect_uri, verifier):
            self._sessions.end(found.session)
            raise oidc_refusal("InvalidGrantException", wrong)
        return found.session

    def _mismatch(self, found: _Code, client: Client, redirect_uri: str, verifier: str) -> str:
        """What of that to which the code is bound does not fit; "" if all does."""
        if self._cloud.now() >= found.until:
            return "the code has expired"
        if found.session.client_id != client.id:
            return "the code is another client's"
        if found.redirect_uri != redirect_uri:
            return "the redirect URI is not the one that was asked for"
        if not _VERIFIER.fullmatch(verifier) or not hmac.compare_digest(s256(verifier), found.challenge):
            return "the code verifier does not fit the challenge"
        return ""

    def expire(self) -> int:
        """Let every code that is not used expire now; gives how many did."""
        long_ago = self._cloud.now() - timedelta(seconds=1)
        self._codes = {code: replace(one, until=long_ago) for code, one in self._codes.items()}
        return len(self._codes)


def _wrong(asked: Mapping[str, str], client: Client) -> tuple[str, str] | None:
    """What is wrong with a request whose sender is known: OAuth's word for it, and a sentence."""
    if asked.get("response_type") != "code":
        return "unsupported_response_type", "response_type must be code"
    if AUTHORIZATION_CODE not in client.grants:
        return "unauthorized_client", "The client is not registered for authorization_code"
    if asked.get("code_challenge_method") != "S256":
        return "invalid_request", "code_challenge_method must be S256"
    if not _CHALLENGE.fullmatch(asked.get("code_challenge", "")):
        return "invalid_request", "code_challenge is missing or is not of S256"
    if not set(asked.get("scopes", "").split()) <= set(client.scopes):
        return "invalid_scope", "The client is not registered for these scopes"
    return None


def s256(verifier: str) -> str:
    """The challenge that a verifier answers (RFC 7636, 4.2)."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
