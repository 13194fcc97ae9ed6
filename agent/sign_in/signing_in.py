"""How does a person sign in: with the browser of this machine, or with that of another?

By an authorization code with PKCE (RFC 6749, 4.1; RFC 7636), or by a device code (RFC 8628). Either way what comes of
it is written where all programs find it, while no other of our processes writes there.
"""

import asyncio
import base64
import hashlib
import string
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import Final
from urllib.parse import quote, urlencode

from agent.clock import Clock, within
from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import Answer, Center, Portal, Registration, SignIn, pages
from agent.sign_in.answers import needed, passes, refusal, registration_of, sign_in_of
from agent.sign_in.cache import Cache
from agent.sign_in.callback import HOST, PATH, way_back

#: How long somebody may take with the browser, as with the AWS CLI.
PATIENCE: Final = timedelta(minutes=10)

_CODE_GRANTS: Final = ("authorization_code", "refresh_token")
_DEVICE_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
#: What a verifier is made of, and of how many of them (RFC 7636, 4.1).
_LETTERS: Final = string.ascii_letters + string.digits + "-._~"
_VERIFIER: Final = 64
#: A registration that ends sooner than this is not worth a sign-in.
_WORTH: Final = timedelta(days=1)
#: How long a device waits before it asks again if it is not told, and by how much longer each time it is too fast, in
#: seconds (RFC 8628, 3.2 and 3.5).
_INTERVAL: Final = 5.0
_SLOWER: Final = 5.0
_LONGEST_INTERVAL: Final = 60.0


@dataclass(frozen=True, slots=True)
class Means:
    """What a sign-in needs. `chance` has to be one that nobody can foretell."""

    portal: Portal
    cache: Cache
    center: Center
    clock: Clock
    chance: Random


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What somebody has to be shown: where to go and what to enter, or where to go with it entered already."""

    url: str
    user_code: str
    complete_url: str
    lasts: timedelta


async def by_browser(means: Means, *, port: int, show: Callable[[str], None]) -> SignIn:
    """Sign in with a browser on this machine; `show` is given the address that it has to go to, once we listen.

    Raises SignInNeeded if nobody has, or somebody denied it, ListenerUnavailable, CredentialsRefused,
    CredentialsUnavailable.
    """
    state = Secret(_drawn(means.chance, 43))
    verifier = Secret(_drawn(means.chance, _VERIFIER))
    registration = await _registered(means, by_code=True)
    async with way_back(state, port) as callback:
        show(_authorize_url(means, registration, callback.redirect_uri, state, verifier))
        try:
            code = await within(means.clock, PATIENCE.total_seconds(), callback.code())
        except TimeoutError:
            minutes = PATIENCE.total_seconds() / 60
            raise needed(means.portal, f"nobody came back from the browser in {minutes:.0f} minutes; sign in") from None
        answer = await means.center.ask(
            "create_token",
            grantType="authorization_code",
            clientId=registration.client_id,
            clientSecret=registration.client_secret.reveal(),
            redirectUri=callback.redirect_uri,
            codeVerifier=verifier.reveal(),
            code=code.reveal(),
        )
        signed_in = await _kept(means, answer, registration)
        callback.tell(pages.WORKED)
    return signed_in


async def by_device(means: Means, *, show: Callable[[DeviceCode], None]) -> SignIn:
    """Sign in with a browser on any machine; `show` is given what somebody has to enter there.

    Raises SignInNeeded, CredentialsRefused, CredentialsUnavailable.
    """
    registration = await _registered(means, by_code=False)
    client = {"clientId": registration.client_id, "clientSecret": registration.client_secret.reveal()}
    started = await means.center.ask("start_device_authorization", **client, startUrl=means.portal.start_url)
    if not started.given:
        raise await _refused(means, started)
    shown, device_code, interval = _device(started)
    show(shown)
    until = means.clock.steady() + shown.lasts.total_seconds()
    while means.clock.steady() < until:
        await means.clock.sleep(interval)
        try:
            answer = await means.center.ask(
                "create_token", grantType=_DEVICE_GRANT, deviceCode=device_code.reveal(), **client
            )
        except CredentialsUnavailable:  # RFC 8628, 3.5: after a time-out, wait longer
            interval = min(interval * 2, _LONGEST_INTERVAL)
            continue
        if answer.code == "SlowDownException":
            interval = min(interval + _SLOWER, _LONGEST_INTERVAL)
        elif answer.code != "AuthorizationPendingException" and not passes(answer):
            return await _kept(means, answer, registration)
    raise needed(means.portal, "nobody entered the code in time; sign in")


async def _registered(means: Means, *, by_code: bool) -> Registration:  # the two ways register differently
    """A registration that will do: one that is kept, or a new one, which is kept then."""
    known = await asyncio.to_thread(means.cache.registration)
    lasts = known is not None and known.expires_at - means.clock.now() > _WORTH
    if known is not None and lasts and by_code == ("authorization_code" in known.grant_types):
        return known
    portal = means.portal
    way: dict[str, object] = {"grantTypes": list(_CODE_GRANTS), "redirectUris": [f"http://{HOST}{PATH}"]}
    answer = await means.center.ask(
        "register_client",
        clientName="rolecall",
        clientType="public",
        scopes=list(portal.scopes),
        **({**way, "issuerUrl": portal.start_url} if by_code else {}),
    )
    if not answer.given:
        raise refusal(answer, portal, "to register this program")
    fresh = registration_of(answer, portal.scopes, _CODE_GRANTS if by_code else ())
    await asyncio.to_thread(means.cache.keep_registration, fresh)
    return fresh


def _authorize_url(means: Means, registration: Registration, redirect_uri: str, state: Secret, verifier: Secret) -> str:
    """Where the browser goes; the parameters are those that the AWS CLI sends, `scopes` in the plural among them."""
    digest = hashlib.sha256(verifier.reveal().encode()).digest()
    query = {
        "response_type": "code",
        "client_id": registration.client_id,
        "redirect_uri": redirect_uri,
        "state": state.reveal(),
        "code_challenge_method": "S256",
        "scopes": " ".join(means.portal.scopes),
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
    }
    return f"{means.center.issuer}/authorize?{urlencode(query, quote_via=quote)}"


async def _kept(means: Means, answer: Answer, registration: Registration) -> SignIn:
    """The sign-in that was given, in its file."""
    if not answer.given:
        raise await _refused(means, answer)
    signed_in = sign_in_of(answer, means.portal, registration, means.clock.now())
    until = means.clock.steady() + 20
    while (lock := await asyncio.to_thread(means.cache.lock)) is None and means.clock.steady() < until:
        await means.clock.sleep(0.1)
    try:  # without the lock as well: what a person has just done counts more than what a process is about to
        with await asyncio.to_thread(means.cache.room) as room:
            await asyncio.to_thread(room.keep, signed_in)
    finally:
        if lock is not None:
            lock.close()
    return signed_in


async def _refused(means: Means, answer: Answer) -> AgentError:
    """Why nobody is signed in; a registration that is not taken is not used again."""
    if answer.code in {"InvalidClientException", "UnauthorizedClientException"}:
        await asyncio.to_thread(means.cache.forget_registration)
    error = refusal(answer, means.portal, "to sign anybody in")
    return error if isinstance(error, CredentialsUnavailable) else SignInNeeded(error.what, hint=error.hint)


def _device(answer: Answer) -> tuple[DeviceCode, Secret, float]:
    members = answer.members
    texts = [members.get(name) for name in ("verificationUri", "userCode", "verificationUriComplete", "deviceCode")]
    lasts, interval = members.get("expiresIn"), members.get("interval") or _INTERVAL
    fit = all(isinstance(text, str) and text.isascii() and text.isprintable() and text for text in texts)
    if not fit or not isinstance(lasts, int) or not isinstance(interval, int | float):
        raise CredentialsRefused(
            "what came is no code to be entered in a browser",
            hint="see that identity_center.endpoint_url, if set, is really IAM Identity Center",
        )
    url, user_code, complete, device_code = map(str, texts)
    shown = DeviceCode(url, user_code, complete, timedelta(seconds=min(max(lasts, 0), 3600)))
    return shown, Secret(device_code), min(max(float(interval), 1.0), _LONGEST_INTERVAL)


def _drawn(chance: Random, length: int) -> str:
    return "".join(chance.choices(_LETTERS, k=length))
