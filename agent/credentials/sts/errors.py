"""What does each error of STS mean, and whose turn is it?

One table, read from the top: the first row with the error's code, and with its words, counts. Texts are matched
loosely, because AWS documents its codes and not its texts.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

from agent.credentials.sts.exchange import Answer, Role
from agent.errors import CredentialsRefused, CredentialsUnavailable


class Turn(Enum):
    """Who has to do something now."""

    SOON = auto()  # nobody: it passes, ask again
    MINT_AGAIN = auto()  # ours: the token was too old or too young for STS's clock
    SOMEBODY = auto()  # whoever rules the AWS account, the issuer or our configuration


@dataclass(frozen=True, slots=True)
class Row:
    """One error: the codes it comes under, words of its text, whose turn it is and what to do.

    `hint` may hold `{setting}` (where the role is configured), `{account}` and `{seconds}` (the duration asked for).
    """

    codes: frozenset[str]
    turn: Turn
    hint: str
    words: tuple[str, ...] = ()


def _row(codes: str, turn: Turn, hint: str, *words: str) -> Row:
    return Row(frozenset(codes.split()), turn, hint, words)


_TOKEN = "InvalidIdentityToken"  # noqa: S105 - the name of an error
_PARAMETER = "ValidationError Validation InvalidParameterValue InvalidParameterCombination MissingParameter"
_SHOW = "`rolecall token mint | rolecall token show` tells what the token says"
_SEEN = "`rolecall token mint | rolecall token verify --issuer URL` tells whether the world sees the issuer's key"

#: Codes without the `Exception` that some of them carry at their end, some of the time.
TABLE: Final = (
    # --- The token -------------------------------------------------------------------------------------------
    _row(
        _TOKEN,
        Turn.SOON,
        "STS found no key for the token. If this lasts, run `rolecall publish`, and see that the issuer's site answers "
        "within 5 s and that no firewall or bot rule keeps AWS out; " + _SEEN,
        "retrieve verification key",
    ),
    _row(
        _TOKEN,
        Turn.MINT_AGAIN,
        "check the clock of this machine, or of whoever issues the token: it came from STS's future",
        "in the future",
        "not yet valid",
        "not valid yet",
        "before its nbf",
        "used before",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "make identity.audience one of the client IDs of the IAM OIDC provider in account {account}, or add it there",
        "incorrect token audience",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "a token for AWS must have one audience alone: correct identity.audience, or whoever issues the token",
        "more than one audience",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "create the IAM OIDC provider in account {account} for the issuer that tokens name, or correct issuer.url or "
        "identity.issuer: the two must be equal to the letter, path and trailing slash included",
        "no openidconnect provider",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "put the SHA-1 thumbprint of the issuer's CA on the IAM OIDC provider in account {account}, or give the "
        "issuer's site a certificate of a public CA",
        "thumbprint",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "the token's claim https://aws.amazon.com/roles names other roles: add {setting}.arn to it, or see "
        "identity.pin_roles.",
        "roles claim",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "send an identity token in three parts, signed with RS256 or ES256: correct [identity]; " + _SHOW,
        "not a valid jwt",
        "login with amazon token",
    ),
    _row(_TOKEN, Turn.SOMEBODY, "AWS wants iss, sub, aud, exp and iat in the token; " + _SHOW, "missing a required"),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "session tags must be text, at most 50 of them: correct identity.tags and {setting}.tags, or the issuer",
        "tags",
    ),
    _row(
        _TOKEN,
        Turn.SOMEBODY,
        "run `rolecall publish` if the key that signs is not among those the issuer shows; " + _SEEN,
    ),
    _row(
        "ExpiredToken",
        Turn.MINT_AGAIN,
        'check this machine\'s clock; with identity.source = "file", check that whoever writes the token renews it',
    ),
    _row(
        "IDPCommunicationError",
        Turn.SOON,
        "STS could not reach the issuer; if this lasts, see that its site is up and open to the world; " + _SEEN,
    ),
    _row(
        "IDPRejectedClaim",
        Turn.SOMEBODY,
        "the identity provider says that the token is revoked or no longer valid: correct [identity]; " + _SHOW,
    ),
    # --- The role --------------------------------------------------------------------------------------------
    _row(
        "AccessDenied",
        Turn.SOMEBODY,
        "allow sts:TagSession beside sts:AssumeRoleWithWebIdentity in the role's trust policy, or send no tags "
        "(identity.tags, {setting}.tags)",
        "sts:tagsession",
    ),
    _row(
        "AccessDenied",
        Turn.SOMEBODY,
        "allow sts:SetSourceIdentity beside sts:AssumeRoleWithWebIdentity in the role's trust policy, or send no "
        "identity.source_identity.",
        "sts:setsourceidentity",
    ),
    _row(
        "AccessDenied NotAuthorized",
        Turn.SOMEBODY,
        "check that {setting}.arn exists, path included, and that its trust policy names the issuer's OIDC provider "
        "and the issuer, audience and subject of the token; " + _SHOW,
    ),
    _row(
        _PARAMETER,
        Turn.SOMEBODY,
        "lower {setting}.duration (now {seconds} s), or raise MaxSessionDuration of the role to {seconds}",
        "maxsessionduration",
    ),
    _row(_PARAMETER, Turn.SOMEBODY, "give {setting}.duration (now {seconds} s) 15m to 12h", "durationseconds"),
    _row(_PARAMETER, Turn.SOMEBODY, "correct {setting}.session_name: 2-64 of A-Z a-z 0-9 _+=,.@-", "rolesessionname"),
    _row(_PARAMETER, Turn.SOMEBODY, "correct {setting}.arn", "rolearn"),
    _row(_PARAMETER, Turn.SOMEBODY, "the token must have 4-20000 characters: correct [identity]", "webidentitytoken"),
    _row(_PARAMETER, Turn.SOMEBODY, "correct {setting}.policy and {setting}.policy_arns", "policy"),
    _row(_PARAMETER, Turn.SOMEBODY, "correct what the message names, in {setting}"),
    _row("MalformedPolicyDocument", Turn.SOMEBODY, "correct {setting}.policy: it is no policy that IAM can read"),
    _row(
        "PackedPolicyTooLarge",
        Turn.SOMEBODY,
        "shorten {setting}.policy and {setting}.policy_arns, or send fewer tags (identity.tags, {setting}.tags)",
    ),
    # --- The account and the way there -----------------------------------------------------------------------
    _row(
        "RegionDisabled",
        Turn.SOMEBODY,
        "activate STS in this region in the IAM console (Account settings) of account {account}, or change sts.region",
    ),
    _row("OptInRequired", Turn.SOMEBODY, "see that account {account} is active and subscribed, or change sts.region"),
    _row(
        "Throttling Throttled RequestThrottled RequestLimitExceeded TooManyRequests BandwidthLimitExceeded "
        "RequestThrottledByService SlowDown LimitExceeded",
        Turn.SOON,
        "STS asks for patience; if this lasts, fewer or longer sessions help: {setting}.duration",
    ),
    _row(
        "InternalFailure InternalError InternalServerError ServiceUnavailable ServiceFailure RequestTimeout",
        Turn.SOON,
        "AWS has trouble of its own; if this lasts, see health.aws.amazon.com or change sts.region",
    ),
    _row(
        "RequestExpired RequestTimeTooSkewed RequestInTheFuture",
        Turn.SOON,
        "check this machine's clock, and what stands between it and STS",
    ),
    _row(
        "MissingAuthenticationToken MissingAuthenticationTokenException InvalidClientTokenId UnrecognizedClient "
        "SignatureDoesNotMatch IncompleteSignature InvalidSecurity AuthFailure",
        Turn.SOMEBODY,
        "the request goes out unsigned, as it must: see that sts.endpoint_url is STS, and that no proxy adds headers",
    ),
    _row(
        "InvalidAction MissingAction UnknownOperation InvalidQueryParameter MalformedQueryString MalformedInput "
        "NotImplemented UnsupportedOperation",
        Turn.SOMEBODY,
        "what answers is not AWS STS, or not all of it: correct sts.endpoint_url",
    ),
)


_UNKNOWN: Final = Row(
    frozenset(),
    Turn.SOMEBODY,
    "this error of STS is not known here; look its code up in the STS API reference, and check {setting} and [sts]",
)
_NOT_STS: Final = Row(
    frozenset(),
    Turn.SOMEBODY,
    "STS's errors have a code and this has none: see that sts.endpoint_url, if set, is really STS, and what proxy or "
    "firewall answers instead",
)
_TROUBLE: Final = Row(frozenset(), Turn.SOON, "STS, or what stands before it, has trouble of its own")

_KNOWN: Final = frozenset(code for row in TABLE for code in row.codes)
_TOLD: Final = re.compile(r"current date/time (\d{10})\b")
_NOTABLE: Final = timedelta(seconds=60)


def meaning(answer: Answer) -> Row:
    """Find the row of an answer that is an error; there is one for every code and status."""
    code = _bare(answer.code)
    text = answer.message.lower()
    for row in TABLE:
        if code in row.codes and (not row.words or any(word in text for word in row.words)):
            return row
    if answer.status >= 500 or answer.status in {408, 425, 429}:
        return _TROUBLE
    return _NOT_STS if code.isdigit() else _UNKNOWN


def known_code(answer: Answer) -> str:
    """Give the code to count an answer under: `Success`, a code or status we know of, or `Other`."""
    if answer.granted or _bare(answer.code) in _KNOWN or re.fullmatch(r"[1-5]\d\d", answer.code):
        return answer.code
    return "Other"


def untimely(answer: Answer, corrected: timedelta) -> bool:
    """Whether a token minted now may fare better; `corrected` is by how much the answer put our clock right.

    How AWS words its refusal of a token from its future is not documented; so when our clock has just been found
    wrong, whatever is said against the token is laid to the clock, once.
    """
    if answer.granted:
        return False
    if meaning(answer).turn is Turn.MINT_AGAIN:
        return True
    return _bare(answer.code) == _TOKEN and abs(corrected) > _NOTABLE


def time_told_by(answer: Answer) -> datetime | None:
    """Tell the time that STS gives in the text of an ExpiredTokenException, in seconds since 1970; or None."""
    told = _TOLD.search(answer.message)
    if told is None or meaning(answer).turn is not Turn.MINT_AGAIN:
        return None
    return datetime.fromtimestamp(int(told[1]), UTC) + timedelta(milliseconds=500)  # it leaves out the fraction


def apology(answer: Answer, role: Role, offset: timedelta | None) -> CredentialsRefused | CredentialsUnavailable:
    """Make our error of STS's; `offset` is how far STS is ahead of this machine's clock, if that is known."""
    row = meaning(answer)
    seconds = int(role.duration.total_seconds())
    hint = row.hint.format(setting=role.setting, account=role.account_id, seconds=seconds)
    if row.turn is Turn.MINT_AGAIN and offset is not None and abs(offset) > _NOTABLE:
        way = "ahead of" if offset > timedelta(0) else "behind"
        hint += f"; STS is {abs(offset).total_seconds():.0f} s {way} this machine"
    text = answer.message or f"HTTP {answer.status}, without a word"
    what = f"STS gave no credentials for {role.arn}: {answer.code}: {text}"
    return CredentialsRefused(what, hint=hint) if row.turn is Turn.SOMEBODY else CredentialsUnavailable(what, hint=hint)


def _bare(code: str) -> str:
    return code.removesuffix("Exception")
