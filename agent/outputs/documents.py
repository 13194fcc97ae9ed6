"""How are credentials written down for those who ask? Pure."""

import json
from collections.abc import Iterable

from agent.callers import Caller, Grant
from agent.clock import instant
from agent.credentials import Credentials


def ecs(credentials: Credentials) -> bytes:
    """The JSON that AWS SDKs read from a container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI).

    Some SDKs demand `Code`, `RoleArn` or exactly these names, one takes an empty string anywhere for a name, and
    one splits at commas; so: these members, in this order, none empty. Raises ValueError rather than leave one empty.
    """
    return _json(
        {
            "Code": "Success",
            "LastUpdated": instant(credentials.obtained_at),
            "Type": "AWS-HMAC",
            "AccessKeyId": credentials.access_key_id,
            "SecretAccessKey": credentials.secret_access_key.reveal(),
            "Token": credentials.session_token.reveal(),
            "Expiration": instant(credentials.expires_at),
            "AccountId": credentials.account_id,
            "RoleArn": credentials.role_arn,
        }
    )


def who(caller: Caller, grants: Iterable[Grant]) -> bytes:
    """What we see of a caller, and what it may have: nothing of others, nor of roles that it may not have."""
    granted = [{"role": grant.role, "by": grant.setting} for grant in grants]
    seen = {"caller": caller.name, "facts": sorted(caller.facts), "granted": granted}
    return json.dumps(seen, separators=(",", ":")).encode("ascii")


def _json(members: dict[str, str]) -> bytes:
    empty = [name for name, value in members.items() if not value]
    if empty:
        raise ValueError(f"credentials without {', '.join(empty)} are no credentials")
    return json.dumps(members, separators=(",", ":")).encode("ascii")
