"""What does each error of an identity pool mean, and whose turn is it?"""

import re
from collections.abc import Mapping
from typing import Any, Final

from agent.errors import AgentError, CredentialsRefused, CredentialsUnavailable

_CODE: Final = re.compile(r"[A-Za-z0-9.]{1,64}")
_LONGEST_MESSAGE: Final = 300
_TOKEN_LIKE: Final = re.compile(r"eyJ[\w.=-]*|[\w+/=-]{65,}", re.ASCII)
_SOON: Final = frozenset(
    {
        "TooManyRequests", "LimitExceeded", "Throttling", "InternalError", "InternalFailure", "ServiceUnavailable",
        "ResourceConflict", "ExternalService",
    }
)  # fmt: skip
#: Code, words of the text, what to do; the first row that fits counts.
_HINTS: Final[tuple[tuple[str, str, str], ...]] = (
    (
        "NotAuthorized",
        "expired",
        "this should pass with the next token; if it does not, check this machine's clock",
    ),
    (
        "NotAuthorized",
        "supported provider",
        "add the user pool and the app client of [identity] to the identity pool's login providers",
    ),
    (
        "NotAuthorized",
        "audience",
        "add the app client identity.client_id to the identity pool's login providers",
    ),
    (
        "NotAuthorized",
        "",
        "see that the identity pool takes the user pool and the app client of [identity] as a login provider",
    ),
    (
        "InvalidIdentityPoolConfiguration",
        "",
        "give the identity pool an authenticated role whose trust policy takes cognito-identity.amazonaws.com:aud",
    ),
    (
        "ResourceNotFound",
        "",
        "correct identity_pool of the role: there is no such identity pool in the region of [identity]",
    ),
    ("InvalidParameter", "", "correct identity_pool of the role, and identity.user_pool"),
)


class IdentityGone(Exception):
    """There is no such identity in the pool any more."""


def apology(response: Mapping[str, Any], pool_id: str) -> AgentError | IdentityGone:
    """Make our error of one of Cognito's."""
    about, error = response.get("ResponseMetadata", {}), response.get("Error", {})
    status = about.get("HTTPStatusCode", 0)
    code = str(error.get("Code") or status)
    code = code.removesuffix("Exception") if _CODE.fullmatch(code) else "Unreadable"
    # What has no code of Cognito's is somebody else's page, and no business of a log's.
    said = "" if code.isdigit() else str(error.get("Message") or "")
    plain = "".join(one if one.isprintable() else " " for one in said)
    message = " ".join(_TOKEN_LIKE.sub("…", plain).split())[:_LONGEST_MESSAGE]
    if code == "ResourceNotFound" and "identity '" in message.lower():
        return IdentityGone()
    what = f"the identity pool {pool_id} gave no credentials: {code}: {message or f'HTTP {status}'}"
    if code in _SOON or status >= 500 or status in {408, 425, 429}:
        return CredentialsUnavailable(
            what, hint="Cognito asks for patience, or has trouble of its own; this should pass by itself"
        )
    text = message.lower()
    hints = (hint for known, words, hint in _HINTS if known == code and words in text)
    hint = next(hints, "see the error's code in the API reference of Amazon Cognito Identity, and check [identity]")
    if "expired" in text and code == "NotAuthorized":
        return CredentialsUnavailable(what, hint=hint)
    return CredentialsRefused(what, hint=hint)
