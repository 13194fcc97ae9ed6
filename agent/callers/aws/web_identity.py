"""Is this a token that AWS's own STS has given somebody for us?

GetWebIdentityToken gives a signed JWT to whoever has credentials of an account (IAM User Guide, "Federating AWS
identities to external services"). Each account has an issuer of its own, so which accounts may come is said by which
issuers are configured. Signature, audience and times are the verifier's; here is looked at what AWS says in it of who
it is for, and that it is used once.
"""

import hashlib
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.callers.aws import Principal, Proven, Reason, rejected
from agent.callers.aws.canonical import principal
from agent.errors import IssuerUnreadable, ProofUnchecked, TokenRejected
from agent.verification import Verified, Verifier

#: Under this claim is what AWS says besides the claims of every JWT.
ABOUT: Final = "https://sts.amazonaws.com/"
#: GetWebIdentityToken signs with these, as the caller wishes (STS API reference).
ALGORITHMS: Final = ("RS256", "ES384")
#: No token lives longer (STS API reference: DurationSeconds); for the verifiers to see to.
LONGEST_LIFE: Final = timedelta(hours=1)
#: By how much AWS's clock and ours may differ.
LEEWAY: Final = timedelta(seconds=30)
#: The longest that is read, in bytes.
LONGEST: Final = 12_288
_LONGEST_ID: Final = 256
#: What the verifier calls wrong with a token, in our words; all else is "refused".
_WORDS: Final[Mapping[str, Reason]] = {
    "audience": "not_bound_here",
    "expired": "expired",
    "malformed": "malformed",
    "not_yet": "not_yet_valid",
    "oversized": "malformed",
}


class WebIdentity:
    """Tokens from GetWebIdentityToken, by the verifiers of the issuers that are configured."""

    def __init__(self, verifiers: Mapping[str, Verifier]) -> None:
        """Take tokens of these issuers, by their URLs; each verifier knows our audience."""
        self._verifiers = verifiers

    async def read(self, token: bytes) -> tuple[Proven, datetime]:
        """Who the token is of, and when it was made. Raises TokenRejected, or ProofUnchecked without the keys."""
        verifier = self._verifiers.get(_issuer(token))
        if verifier is None:
            raise rejected(
                "the token is of an issuer that is not configured", "wrong_endpoint",
                hint="name the issuer of the caller's account in aws_callers.issuers, if it may come here",
            )  # fmt: skip
        try:
            verified = verifier.ready(token) or await verifier.verify(token)
        except IssuerUnreadable as error:
            raise ProofUnchecked(
                "the keys of an issuer in aws_callers.issuers cannot be had", hint=error.hint
            ) from error
        except TokenRejected as error:
            raise rejected(error.what, _WORDS.get(error.reason, "refused"), hint=error.hint) from error
        return _proven(verified)


def _issuer(token: bytes) -> str:
    """What the token says of its issuer, to be believed of nobody: it only says whose keys are to be asked."""
    if len(token) > LONGEST or token.count(b".") != 2 or not token.isascii():
        raise _malformed()
    part = token.split(b".")[1]
    try:
        claims = json.loads(urlsafe_b64decode(part + b"=" * (-len(part) % 4)))
    except (ValueError, RecursionError):
        raise _malformed() from None
    issuer = claims.get("iss") if isinstance(claims, dict) else None
    if not isinstance(issuer, str):
        raise _malformed()
    return issuer


def _proven(verified: Verified) -> tuple[Proven, datetime]:
    claims = verified.claims
    about, identity = claims.get(ABOUT), claims.get("jti")
    about = about if isinstance(about, Mapping) else {}
    subject, account, organization = claims.get("sub"), about.get("aws_account"), about.get("org_id", "")
    made, ends = _moment(claims.get("iat")), _moment(claims.get("exp"))
    named = isinstance(identity, str) and 0 < len(identity) <= _LONGEST_ID
    if not named or made is None or ends is None:
        raise rejected("the token has no jti, iat and exp such as AWS gives it", "refused")
    who = _principal(subject, account, organization)
    mark = hashlib.sha256(f"{claims.get('iss')}\n{identity}".encode()).digest()
    return Proven(who, mark, ends + LEEWAY), made


def _principal(subject: object, account: object, organization: object) -> Principal:
    try:
        if isinstance(subject, str) and isinstance(account, str) and isinstance(organization, str):
            return principal(subject, account, organization)
    except ValueError:
        pass
    raise rejected("the token names no principal as AWS does", "refused")


def _moment(value: object) -> datetime | None:
    # bool is an int to Python, and a time before 2001 or after 2286 none that AWS would give.
    whole = isinstance(value, int) and not isinstance(value, bool) and 10**9 <= value < 10**10
    return datetime.fromtimestamp(value, UTC) if whole and isinstance(value, int) else None


def _malformed() -> TokenRejected:
    return rejected("what was shown is no JWT of at most 12 kB", "malformed")
