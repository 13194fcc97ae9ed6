"""What does each error of a user pool mean, and whose turn is it?

One table, read from the top: the first row with the error's code, and with its words, counts. Texts are matched
loosely, because AWS documents its codes and not its texts.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from agent.errors import AgentError, CredentialsRefused, SignInNeeded, TokenUnavailable

#: The command that signs in by hand.
LOGIN: Final = "rolecall login"
_LONGEST_MESSAGE: Final = 300
# Cognito quotes parameters that it finds malformed, and tokens may be among them.
_TOKEN_LIKE: Final = re.compile(r"eyJ[\w.=-]*|[\w+/=-]{65,}", re.ASCII)


class Turn(Enum):
    """Who has to do something now."""

    SOON = auto()  # nobody: it passes, ask again
    LOCKED = auto()  # nobody, and above all not us: each further try keeps the user out for longer
    PASSWORD = auto()  # whoever keeps the password: it is not the right one
    OVER = auto()  # whoever can sign in anew: what renews the sign-in is good no more
    PERSON = auto()  # a person: the pool wants what is in no file
    CODE = auto()  # a person: what it typed was wrong, or came too late
    SOMEBODY = auto()  # whoever rules the pool or our configuration


class Refused(Exception):
    """Cognito said no: its code, its words with nothing in them that could be a token, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        """Remember what was said."""
        super().__init__(f"{code}: {message}")
        self.code = code.removesuffix("Exception")
        self.message = message
        self.status = status

    @property
    def turn(self) -> Turn:
        """Whose turn it is."""
        return _meaning(self).turn

    def apology(self, user: str, *, flow: str = "") -> AgentError:
        """Make our error of it; `user` is who was to sign in, by which flow of Cognito's."""
        row = _meaning(self)
        said = self.message or f"HTTP {self.status}, without a word"
        what = f"Cognito did not sign in {user}: {self.code}: {said}"
        hint = row.hint.format(flow=flow or "ALLOW_USER_SRP_AUTH", user=user)
        if row.turn in (Turn.SOON, Turn.LOCKED):
            return TokenUnavailable(what, hint=hint)
        return CredentialsRefused(what, hint=hint) if row.turn is Turn.SOMEBODY else SignInNeeded(what, hint=hint)


@dataclass(frozen=True, slots=True)
class Row:
    """One error: the codes it comes under, words of its text, whose turn it is and what to do."""

    codes: frozenset[str]
    turn: Turn
    hint: str
    words: tuple[str, ...] = ()


def _row(codes: str, turn: Turn, hint: str, *words: str) -> Row:
    return Row(frozenset(codes.split()), turn, hint, words)


_TABLE: Final = (
    _row(
        "NotAuthorized",
        Turn.LOCKED,
        "nothing is tried for a quarter of an hour, since each try would keep the user out for longer; meanwhile see "
        "who tries with a wrong password",
        "attempts exceeded",
    ),
    _row("NotAuthorized RefreshTokenReuse", Turn.OVER, f"sign in again with: {LOGIN}", "refresh token"),
    _row("RefreshTokenReuse", Turn.OVER, f"sign in again with: {LOGIN}"),
    _row(
        "NotAuthorized",
        Turn.SOMEBODY,
        "put the app client's secret into the file of identity.client_secret_file, or leave that out if it has none",
        "secret",
    ),
    _row("NotAuthorized", Turn.SOMEBODY, "enable the user {user} in the user pool", "disabled"),
    _row("NotAuthorized", Turn.CODE, f"answer within three minutes; begin anew with: {LOGIN}", "invalid session"),
    _row(
        "NotAuthorized",
        Turn.PERSON,
        "have an administrator of the user pool give {user} a new temporary password; then sign in with: " + LOGIN,
        "temporary password has expired",
    ),
    _row(
        "NotAuthorized",
        Turn.PASSWORD,
        "correct identity.user, or the password in the file of identity.password_file, which is not tried again until "
        f"it changes or an hour has passed; or leave that out, and sign in with: {LOGIN}",
    ),
    _row("UserNotFound", Turn.SOMEBODY, "correct identity.user, or create the user {user} in the user pool"),
    _row(
        "UserNotConfirmed",
        Turn.PERSON,
        "have an administrator confirm {user} (aws cognito-idp admin-confirm-sign-up), then sign in with: " + LOGIN,
    ),
    _row(
        "PasswordResetRequired",
        Turn.PERSON,
        "have an administrator set a password for {user} (aws cognito-idp admin-set-user-password --permanent), put it "
        f"into the file of identity.password_file, or sign in with: {LOGIN}",
    ),
    _row(
        "InvalidParameter UnsupportedOperation",
        Turn.SOMEBODY,
        "enable {flow} among the app client's authentication flows (ExplicitAuthFlows), or change identity.flow",
        "not enabled",
        "auth flow",
    ),
    _row("InvalidParameter", Turn.SOMEBODY, "correct what the message names, in [identity]"),
    _row(
        "ResourceNotFound",
        Turn.SOMEBODY,
        "correct identity.client_id and identity.region: the app client is not there",
    ),
    _row(
        "TooManyRequests LimitExceeded Throttling InternalError InternalFailure ServiceUnavailable RequestTimeout",
        Turn.SOON,
        "Cognito asks for patience, or has trouble of its own; if this lasts, see health.aws.amazon.com",
    ),
    _row(
        "Forbidden AccessDenied",
        Turn.SOMEBODY,
        "a web ACL of AWS WAF, or a proxy, keeps us from the user pool: let this machine through",
    ),
    _row("CodeMismatch ExpiredCode", Turn.CODE, f"enter a fresh code: {LOGIN}"),
    _row("InvalidPassword PasswordHistoryPolicyViolation", Turn.CODE, f"choose another password: {LOGIN}"),
    _row(
        "UnexpectedLambda UserLambdaValidation InvalidLambdaResponse",
        Turn.SOMEBODY,
        "a Lambda trigger of the user pool refuses or fails: see its logs",
    ),
    _row(
        "UnknownOperation OperationNotEnabled InvalidAction NotImplemented",
        Turn.SOMEBODY,
        "what answers is not Cognito, or not all of it: correct identity.endpoint_url",
    ),
)
_UNKNOWN: Final = Row(
    frozenset(),
    Turn.SOMEBODY,
    "this error of Cognito is not known here; look its code up in the API reference, and check [identity]",
)
_NOT_COGNITO: Final = Row(
    frozenset(),
    Turn.SOMEBODY,
    "Cognito's errors have a code and this has none: see that identity.endpoint_url, if set, is really Cognito, and "
    "what proxy or firewall answers instead",
)
_TROUBLE: Final = Row(frozenset(), Turn.SOON, "Cognito, or what stands before it, has trouble of its own")


def _meaning(refused: Refused) -> Row:
    text = refused.message.lower()
    if refused.status >= 500 or refused.status in {408, 425, 429}:
        return _TROUBLE
    for row in _TABLE:
        if refused.code in row.codes and (not row.words or any(word in text for word in row.words)):
            return row
    return _NOT_COGNITO if refused.code.isdigit() else _UNKNOWN


def readable(message: str) -> str:
    """Cognito's words on one line, without what could be a token."""
    plain = "".join(character if character.isprintable() else " " for character in message)
    return " ".join(_TOKEN_LIKE.sub("…", plain).split())[:_LONGEST_MESSAGE]
