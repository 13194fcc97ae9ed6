"""In which words does Identity Center say no?

Codes, statuses and the word in `error` are those of AWS's service models. The sentences that go with them are AWS's
own for the portal; those of sso-oidc are not published, and the ones here are guesses: do not build on them.
"""

import json
from collections.abc import Mapping
from typing import Final

from agent.sandbox.refusals import Refusal
from agent.sandbox.wire import Reply

#: The exceptions of sso-oidc: the word in `error`, the HTTP status, and a sentence.
OIDC_ERRORS: Final[Mapping[str, tuple[str, int, str]]] = {
    "AccessDeniedException": ("access_denied", 400, "Access denied"),
    "AuthorizationPendingException": ("authorization_pending", 400, "Authorization is still pending"),
    "ExpiredTokenException": ("expired_token", 400, "Device code has expired"),
    "InternalServerException": ("server_error", 500, "Internal server error"),
    "InvalidClientException": ("invalid_client", 401, "Invalid client provided"),
    "InvalidClientMetadataException": ("invalid_client_metadata", 400, "Invalid client metadata provided"),
    "InvalidGrantException": ("invalid_grant", 400, "Invalid grant provided"),
    "InvalidRedirectUriException": ("invalid_redirect_uri", 400, "Invalid redirect URI provided"),
    "InvalidRequestException": ("invalid_request", 400, "Invalid request"),
    "InvalidScopeException": ("invalid_scope", 400, "Invalid scope provided"),
    "SlowDownException": ("slow_down", 400, "Slow down"),
    "UnauthorizedClientException": ("unauthorized_client", 400, "Client is not authorized for this grant"),
    "UnsupportedGrantTypeException": ("unsupported_grant_type", 400, "Grant type is not supported"),
}

#: The errors of the access portal: the HTTP status, and a sentence. ForbiddenException is in no model, and is seen.
PORTAL_ERRORS: Final[Mapping[str, tuple[int, str]]] = {
    "InvalidRequestException": (400, "Invalid request"),
    "UnauthorizedException": (401, "Session token not found or invalid"),
    "ForbiddenException": (403, "No access"),
    "ResourceNotFoundException": (404, "Resource not found"),
    "TooManyRequestsException": (429, "HTTP 429 Too Many Requests"),
}


def oidc_refusal(code: str, why: str = "") -> Refusal:
    """An error of sso-oidc; `why` is for those who look at the sandbox, AWS does not tell."""
    _, status, said = OIDC_ERRORS[code]
    return _because(Refusal(code, said, status), why)


def portal_refusal(code: str, why: str = "") -> Refusal:
    """An error of the access portal; `why` as above."""
    status, said = PORTAL_ERRORS[code]
    return _because(Refusal(code, said, status), why)


def _because(refusal: Refusal, why: str) -> Refusal:
    refusal.__cause__ = Unsaid(why) if why else None
    return refusal


class Unsaid(Exception):
    """What AWS knows and keeps to itself; it is shown in the list of calls."""


def oidc_failure(refusal: Refusal) -> Reply:
    """An error as sso-oidc writes it: OAuth's two members, and the exception's name in a header."""
    word = OIDC_ERRORS[refusal.code][0] if refusal.code in OIDC_ERRORS else refusal.code
    return as_answer({"error": word, "error_description": refusal.message}, refusal)


def portal_failure(refusal: Refusal) -> Reply:
    """An error as the portal writes it."""
    kind = f"com.amazonaws.switchboard.portal#{refusal.code}"
    return as_answer({"message": refusal.message, "__type": kind}, refusal)


def as_answer(members: Mapping[str, object], refusal: Refusal | None = None) -> Reply:
    """A JSON answer, or an error."""
    body = json.dumps(members, separators=(",", ":")).encode() if members else b""
    headers = {"Cache-Control": "no-store"}
    if refusal is None:
        return Reply(200, body, "application/json", headers)
    return Reply(refusal.status, body, "application/json", {**headers, "x-amzn-errortype": refusal.code})
