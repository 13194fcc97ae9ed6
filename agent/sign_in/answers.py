"""What does Identity Center's answer come to: a sign-in, or whose turn?

Pure. Codes are those of AWS's models of sso-oidc and the portal; no reason given here quotes a token.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable, SignInNeeded
from agent.secret import Secret
from agent.sign_in import Answer, Portal, Registration, SignIn

#: Codes that pass by themselves, beside HTTP statuses that do.
_PASSING: Final = frozenset({"InternalServerException", "SlowDownException", "TooManyRequestsException"})
_PASSING_STATUSES: Final = frozenset({408, 425, 429})

#: Nobody's access token lives longer: a session of the portal lasts at most 90 days.
_LONGEST: Final = timedelta(days=91)

#: What a person can do about a sign-in that came to nothing, by code; {command} is what to run.
_HINTS: Final[Mapping[str, tuple[str, str]]] = {
    "AccessDeniedException": ("somebody denied it", "sign in again, and allow it: {command}"),
    "ExpiredTokenException": ("nobody allowed it in time", "start again: {command}"),
    "InvalidGrantException": ("what was to be given for it was used already, or has ended", "start again: {command}"),
    "InvalidClientException": ("this program's registration is not taken", "start again: {command}"),
    "InvalidScopeException": (
        "it knows no such scope",
        "correct identity_center.scopes; accounts and roles take sso:account:access",
    ),
    "InvalidRequestException": (
        "it has no such access portal, or is in another region",
        "correct identity_center.start_url and identity_center.region",
    ),
    "UnauthorizedClientException": ("this program may not sign in so", "try the other way: rolecall login --device"),
}


def passes(answer: Answer) -> bool:
    """Whether asking the same again later may well work."""
    return answer.code in _PASSING or answer.status in _PASSING_STATUSES or answer.status >= 500


def unavailable(answer: Answer, doing: str) -> CredentialsUnavailable:
    """What to say of an error that passes; `doing` is what was asked for, as in "renewing the sign-in"."""
    return CredentialsUnavailable(
        f"IAM Identity Center is in trouble: {doing} came to {_told(answer)}", hint="this should pass by itself"
    )


def refusal(answer: Answer, portal: Portal, doing: str) -> AgentError:
    """What to say to somebody who tries to sign in, or to have something that takes a sign-in."""
    if passes(answer):
        return unavailable(answer, doing)
    why, hint = _HINTS.get(answer.code, ("", "see that the access portal works in a browser"))
    because = f": {why}" if why else ""
    return CredentialsRefused(
        f"IAM Identity Center refused {doing}{because} ({_told(answer)})", hint=hint.format(command=portal.command)
    )


def needed(portal: Portal, why: str) -> SignInNeeded:
    """That somebody has to sign in."""
    return SignInNeeded(f"{why} at {portal.start_url}", hint=f"sign in: {portal.command}")


def registration_of(answer: Answer, scopes: tuple[str, ...], grant_types: tuple[str, ...]) -> Registration:
    """What RegisterClient gave. Raises CredentialsUnavailable for what cannot be that."""
    ends = answer.members.get("clientSecretExpiresAt")
    if isinstance(ends, bool) or not isinstance(ends, int) or not 0 < ends < 1 << 34:
        raise _unbelievable("clientSecretExpiresAt is no time")
    secret = Secret(_text(answer, "clientSecret"))
    return Registration(_text(answer, "clientId"), secret, datetime.fromtimestamp(ends, UTC), scopes, grant_types)


def sign_in_of(
    answer: Answer, portal: Portal, registration: Registration, now: datetime, before: SignIn | None = None
) -> SignIn:
    """What CreateToken gave; `before` is the sign-in that this renews, if it does.

    A refresh token stays good where none came in its place. Raises CredentialsUnavailable for what cannot be that.
    """
    lasts = answer.members.get("expiresIn")
    if isinstance(lasts, bool) or not isinstance(lasts, int) or not timedelta(0) < timedelta(seconds=lasts) < _LONGEST:
        raise _unbelievable("expiresIn is no such time")
    refresh = answer.members.get("refreshToken")
    fresh = Secret(_text(answer, "refreshToken")) if refresh else None
    return SignIn(
        start_url=portal.start_url if before is None else before.start_url,
        region=portal.region,
        access_token=Secret(_text(answer, "accessToken")),
        expires_at=(now + timedelta(seconds=lasts)).replace(microsecond=0),
        registration=registration,
        refresh_token=fresh or (before.refresh_token if before else None),
        others=before.others if before else {},
    )


def _text(answer: Answer, name: str) -> str:
    value = answer.members.get(name)
    if not isinstance(value, str) or not value or not value.isascii() or not value.isprintable() or " " in value:
        raise _unbelievable(f"{name} is missing, or is nothing that could be sent")
    return value


def _unbelievable(what: str) -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"IAM Identity Center's answer cannot be used: {what}",
        hint="see that identity_center.endpoint_url, if set, is really it, and that nothing answers in its place",
    )


def _told(answer: Answer) -> str:
    return f"{answer.code}: {answer.message}" if answer.message else answer.code
