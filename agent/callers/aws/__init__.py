"""How does a workload inside AWS show who it is? By what AWS says of a request, or of a token, that it shows us."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

from agent.errors import TokenRejected

#: The header that a presigned request has to cover, so that it is good for one server alone.
SERVER_HEADER: Final = "x-rolecall-server-id"

#: A header that a presigned request may cover besides, so that two of one second are not the same.
NONCE_HEADER: Final = "x-rolecall-nonce"

#: The schemes of the Authorization header, as documented; their case does not matter (RFC 9110 §11.1).
PRESIGNED: Final = "AWS-Presigned"
BEARER: Final = "Bearer"

#: Why a proof is not taken: few, since callers and metrics are told them.
Reason = Literal[
    "missing",
    "malformed",
    "wrong_endpoint",
    "wrong_parameters",
    "not_bound_here",
    "expired",
    "not_yet_valid",
    "used_before",
    "refused",
]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who AWS says the caller is.

    Attributes:
        arn: canonical: that of the role, without a path, for whoever has assumed one; else of the user, of the root of
            the account or of the federated user.
        account: 12 digits.
        session: the name of the session of a role; "" where there is none, or nothing is known of it.
        organization: such as o-a1b2c3d4e5; "" if nothing is known of it.
    """

    arn: str
    account: str
    session: str = ""
    organization: str = ""


@dataclass(frozen=True, slots=True)
class Proven:
    """A principal, the proof's own mark, by which it is known again, and until when it could be shown once more."""

    principal: Principal
    mark: bytes = field(repr=False)
    until: datetime


def rejected(what: str, reason: Reason, *, hint: str = "") -> TokenRejected:
    """The error for a proof that is not taken."""
    return TokenRejected(what, reason=reason, hint=hint)


#: What callers are told of each reason: a sentence that names nothing but what they sent themselves.
SENTENCES: Final[Mapping[str, str]] = {
    "missing": "The Authorization header holds no proof of an AWS identity.",
    "malformed": "The proof is not of the form that is taken here.",
    "wrong_endpoint": "The proof is for an STS endpoint that is not asked here.",
    "wrong_parameters": "The proof is another request than a presigned GetCallerIdentity.",
    "not_bound_here": "The proof is not bound to this server.",
    "expired": "The proof is too old; make a new one.",
    "not_yet_valid": "The proof is from the future; compare the clocks.",
    "used_before": "The proof has been shown before; make a new one for each request.",
    "refused": "The proof does not hold.",
}
