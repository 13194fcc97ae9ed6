"""Is what the access portal gave what was asked for, and can it be used?

Pure. Nothing replaces good credentials before it has passed here, and no reason given here quotes a value.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from agent.errors import CredentialsUnavailable
from agent.secret import Secret
from agent.sign_in import Answer

#: A permission set's sessions last 1 to 12 hours (IAM Identity Center User Guide, "Set session duration"); and the
#: trip of the answer.
LONGEST: Final = timedelta(hours=12, minutes=5)

# Temporary keys begin with ASIA (IAM User Guide, "Unique identifiers"); 16-128 of \w is STS's own model.
_ACCESS_KEY_ID: Final = re.compile(r"ASIA\w{12,124}", re.ASCII)
_PRINTABLE: Final = re.compile(r"[!-~]+")
#: The end of the year 9999, in milliseconds.
_END_OF_TIME: Final = 253_402_300_799_000


@dataclass(frozen=True, slots=True)
class Given:
    """Credentials of nobody knows which role yet."""

    access_key_id: str
    secret_access_key: Secret
    session_token: Secret
    obtained_at: datetime
    expires_at: datetime


def believe(answer: Answer, now: datetime) -> Given:
    """Read the portal's answer; `now` is the time as it tells it.

    Raises CredentialsUnavailable, saying which member is wrong and why.
    """
    given = answer.members.get("roleCredentials")
    if not isinstance(given, Mapping) or not given:
        raise _unbelievable("roleCredentials is missing")
    access_key_id = given.get("accessKeyId")
    if not isinstance(access_key_id, str) or _ACCESS_KEY_ID.fullmatch(access_key_id) is None:
        raise _unbelievable("accessKeyId is not the id of a temporary key")
    return Given(
        access_key_id=access_key_id,
        secret_access_key=_secret(given, "secretAccessKey"),
        session_token=_secret(given, "sessionToken"),
        obtained_at=now,
        expires_at=_expiry(given, now),
    )


def _secret(of: Mapping[str, object], name: str) -> Secret:
    value = of.get(name)
    if not isinstance(value, str) or _PRINTABLE.fullmatch(value) is None:
        raise _unbelievable(f"{name} is missing, or holds characters that no SDK could send")
    return Secret(value)


def _expiry(of: Mapping[str, object], now: datetime) -> datetime:
    """Milliseconds since 1970, unlike all other times of AWS's."""
    value = of.get("expiration")
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= _END_OF_TIME:
        raise _unbelievable("expiration is missing or is no time")
    ends = datetime.fromtimestamp(value / 1000, UTC)
    left = ends - now
    if left <= timedelta(0):
        said = f"expiration lies {-left.total_seconds():.0f} s in the past"
        raise _unbelievable(said, hint="is this machine's clock right?")
    if left > LONGEST:
        said = f"expiration lies {left.total_seconds():.0f} s ahead, more than any permission set allows"
        raise _unbelievable(said, hint="is this machine's clock right?")
    return ends


def _unbelievable(what: str, hint: str = "") -> CredentialsUnavailable:
    return CredentialsUnavailable(
        f"IAM Identity Center gave credentials, but its answer cannot be used: {what}",
        hint=hint or "see that identity_center.endpoint_url, if set, is really it, and that nothing changes answers",
    )
