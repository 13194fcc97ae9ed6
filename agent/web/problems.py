"""What is a caller told when it does not get what it asked for?

The one table from errors to answers. A caller reads one fixed sentence for each kind of failure; what the
operator needs to know was told where it happened, and never leaves this machine this way.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent.errors import (
    AgentError,
    CallerDenied,
    CallerUnknown,
    CredentialsNotReady,
    CredentialsRefused,
    CredentialsUnavailable,
    KeyUnavailable,
    ProofUnchecked,
    RoleAmbiguous,
    RoleUnknown,
    SignInNeeded,
    TokenRefused,
    TokenUnavailable,
)


@dataclass(frozen=True, slots=True)
class Problem:
    """An answer that is not a 200. `headers` are its own; `final` means that the connection ends with it."""

    status: int
    code: str
    message: str
    headers: tuple[tuple[str, str], ...] = ()
    final: bool = False

    def body(self) -> bytes:
        """JSON; some SDKs read `code` and `message`, some `Code` and `Message`."""
        members = {"code": self.code, "message": self.message, "Code": self.code, "Message": self.message}
        return json.dumps(members, separators=(",", ":")).encode("ascii")


class Refusal(Exception):
    """Raised by an output for a request that it has no answer to."""

    def __init__(self, problem: Problem) -> None:
        """Carry what the caller will be told."""
        super().__init__(problem.code)
        self.problem = problem


BAD_REQUEST = Problem(400, "BadRequest", "This is not a request that HTTP/1.1 allows here.", final=True)
HEAD_TOO_LARGE = Problem(431, "HeadTooLarge", "The head of this request is over 16 kB.", final=True)
HOST_REFUSED = Problem(403, "HostRefused", "The Host header must be the literal address that this listens on.")
BROWSER_REFUSED = Problem(403, "BrowserRefused", "Requests with Origin, Referer or X-Forwarded-For are refused.")
NOT_FOUND = Problem(404, "NotFound", "There is nothing at this path.")
INTERNAL = Problem(500, "InternalError", "The agent could not answer; its log says more.")
OVERLOADED = Problem(
    503, "Overloaded", "There are too many connections; try again.", (("Retry-After", "1"),), final=True
)


THROTTLED = Problem(
    503, "TooManyRequests", "This caller asks too often; try again.", (("Retry-After", "1"),), final=True
)


def method_not_allowed(allowed: str) -> Problem:
    """For a path that is there, but not for this method."""
    return Problem(405, "MethodNotAllowed", f"Only {allowed} is answered here.", (("Allow", allowed),))


# No WWW-Authenticate with the 401: what is wanted is a bare token, for which there is no scheme to name, and
# clients that are given one start a negotiation. No 429 or 502 anywhere: several SDKs retry on 503 alone.
_NONE_TO_BE_HAD = Problem(
    503, "ServiceUnavailable", "There are no credentials to be had at the moment.", (("Retry-After", "5"),)
)
_TABLE: Mapping[type[AgentError], Problem] = {
    CallerUnknown: Problem(401, "CallerUnknown", "The Authorization header holds no token that is known here."),
    CallerDenied: Problem(403, "CallerDenied", "This caller is not granted this role."),
    RoleUnknown: Problem(404, "RoleUnknown", "There is no role of this name."),
    RoleAmbiguous: Problem(409, "RoleAmbiguous", "This caller is granted several roles; ask for one by name."),
    CredentialsNotReady: Problem(
        503, "CredentialsNotReady", "The first credentials are still on their way.", (("Retry-After", "1"),)
    ),
    CredentialsUnavailable: _NONE_TO_BE_HAD,
    CredentialsRefused: _NONE_TO_BE_HAD,
    SignInNeeded: Problem(503, "SignInNeeded", "Somebody has to sign in.", (("Retry-After", "5"),)),
    TokenUnavailable: _NONE_TO_BE_HAD,
    TokenRefused: _NONE_TO_BE_HAD,
    ProofUnchecked: _NONE_TO_BE_HAD,
    KeyUnavailable: _NONE_TO_BE_HAD,
}


#: The failures whose own words are for the caller: which roles it is granted, and which command a person has to run.
_OWN_WORDS = frozenset((RoleAmbiguous, SignInNeeded))


def problem_of(error: AgentError) -> Problem:
    """The answer to a failure; any that is not in the table is a bug of ours, 500."""
    for kind in type(error).__mro__:
        if kind in _TABLE:
            found = _TABLE[kind]
            own = "; ".join(filter(None, (error.what, error.hint)))
            return replace(found, message=own) if kind in _OWN_WORDS else found
    return INTERNAL
