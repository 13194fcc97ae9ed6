"""Is what STS gave what was asked for?

Pure. Nothing replaces good credentials before it has passed here, and no reason given here quotes a value.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.credentials import Credentials
from agent.credentials.sts.exchange import Role
from agent.errors import CredentialsUnavailable
from agent.secret import Secret

#: By how much an expiry may lie beyond the duration that was asked for: rounding, and the trip of the answer.
SLACK: Final = timedelta(minutes=5)

# Temporary keys begin with ASIA (IAM User Guide, "Unique identifiers"); 16-128 of \w is STS's own model.
_ACCESS_KEY_ID = re.compile(r"ASIA\w{12,124}", re.ASCII)
_PRINTABLE = re.compile(r"[!-~]+")


def believe(result: Mapping[str, object], role: Role, now: datetime) -> Credentials:
    """Make credentials of the members of STS's answer; `now` is the time as STS tells it.

    Raises CredentialsUnavailable, saying which member is wrong and why.
    """
    given = _members(result, "Credentials")
    user = _members(result, "AssumedRoleUser")
    if _text(user, "Arn") != role.session_arn:
        raise _unbelievable("AssumedRoleUser is not the role and session that were asked for")
    access_key_id = _text(given, "AccessKeyId")
    if _ACCESS_KEY_ID.fullmatch(access_key_id) is None:
        raise _unbelievable("AccessKeyId is not the id of a temporary key")
    return Credentials(
        access_key_id=access_key_id,
        secret_access_key=Secret(_printable(given, "SecretAccessKey")),
        session_token=Secret(_printable(given, "SessionToken")),
        obtained_at=now,
        expires_at=_expiry(given, now, role.duration + SLACK),
        role_arn=role.arn,
        account_id=role.account_id,
    )


def _members(of: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = of.get(name)
    if not isinstance(value, Mapping) or not value:
        raise _unbelievable(f"{name} is missing")
    return value


def _text(of: Mapping[str, object], name: str) -> str:
    value = of.get(name)
    if not isinstance(value, str) or not value:
        raise _unbelievable(f"{name} is missing or empty")
    return value


def _printable(of: Mapping[str, object], name: str) -> str:
    value = _text(of, name)
    if _PRINTABLE.fullmatch(value) is None:
        raise _unbelievable(f"{name} holds characters that no SDK could send")
    return value


def _expiry(of: Mapping[str, object], now: datetime, longest: timedelta) -> datetime:
    value = of.get("Expiration")
    if not isinstance(value, datetime):
        raise _unbelievable("Expiration is missing or is no time")
    if value.tzinfo is None:
        raise _unbelievable("Expiration does not say in which time zone it is")
    left = value - now
    if left <= timedelta(0):
        raise _unbelievable(
            f"Expiration lies {-left.total_seconds():.0f} s in the past", hint="is this machine's clock right?"
        )
    if left > longest:
        raise _unbelievable(
            f"Expiration lies {left.total_seconds():.0f} s ahead, more than was asked for",
            hint="is this machine's clock right?",
        )
    return value.astimezone(UTC)


def _unbelievable(what: str, hint: str = "") -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"STS granted the role, but its answer cannot be used: {what}",
        hint=hint or "see that sts.endpoint_url, if set, is really STS, and that nothing in between changes answers",
    )
