"""How are credentials written down for those who ask? Pure."""

import json
from collections.abc import Iterable

from agent.callers import Caller
from agent.clock import instant
from agent.credentials import Credentials
from agent.narrowing import Narrowing
from agent.tokens import IssuedToken
from agent.vending import Granting
from agent.wording import Wording


def ecs(credentials: Credentials) -> bytes:
    """The JSON that AWS SDKs read from a container credentials endpoint (AWS_CONTAINER_CREDENTIALS_FULL_URI).

    Some SDKs demand `Code`, `RoleArn` or exactly these names, one takes an empty string anywhere for a name, and
    one splits at commas; so: these members, in this order, none empty. Raises ValueError rather than leave one empty.
    """
    return _json({**_set(credentials), "AccountId": credentials.account_id, "RoleArn": credentials.role_arn})


def imds(credentials: Credentials) -> bytes:
    """The JSON that AWS SDKs read from EC2's instance metadata service; five of them look at `Code`.

    No more than EC2 itself says. Raises ValueError rather than leave a member empty.
    """
    return _json(_set(credentials))


def profile(credentials: Credentials) -> dict[str, str]:
    """The entries of a profile in a shared credentials file, by name, as SDKs read them.

    They read no end there. `x_security_token_expires` is what other tools that write such files call it, and what
    prompts and scripts look for. Raises ValueError rather than leave one empty.
    """
    return _whole(
        {
            "aws_access_key_id": credentials.access_key_id,
            "aws_secret_access_key": credentials.secret_access_key.reveal(),
            "aws_session_token": credentials.session_token.reveal(),
            "aws_account_id": credentials.account_id,
            "x_security_token_expires": instant(credentials.expires_at),
        }
    )


def token(issued: IssuedToken) -> bytes:
    """The JSON that says a token, whom it is for, what for, and until when."""
    members = {
        "token": issued.value.reveal(),
        "token_type": "Bearer",
        "audience": issued.audience,
        "scope": issued.scope,
        "expires_at": instant(issued.expires_at),
    }
    return json.dumps(members, separators=(",", ":")).encode("ascii")


def who(caller: Caller, roles: Iterable[Granting[Narrowing]], tokens: Iterable[Granting[Wording]]) -> bytes:
    """What we see of a caller, and what it may have: nothing of others, nor of what it may not have."""
    granted = [{"role": grant.name, "by": grant.setting} for grant in roles]
    audiences = [{"audience": grant.name, "scopes": grant.extent.scopes, "by": grant.setting} for grant in tokens]
    seen = {"caller": caller.name, "facts": sorted(caller.facts), "granted": granted, "tokens": audiences}
    return json.dumps(seen, separators=(",", ":")).encode("ascii")


def _set(credentials: Credentials) -> dict[str, str]:
    """What both endpoints say of a set, in this order."""
    return {
        "Code": "Success",
        "LastUpdated": instant(credentials.obtained_at),
        "Type": "AWS-HMAC",
        "AccessKeyId": credentials.access_key_id,
        "SecretAccessKey": credentials.secret_access_key.reveal(),
        "Token": credentials.session_token.reveal(),
        "Expiration": instant(credentials.expires_at),
    }


def _json(members: dict[str, str]) -> bytes:
    return json.dumps(_whole(members), separators=(",", ":")).encode("ascii")


def _whole(members: dict[str, str]) -> dict[str, str]:
    empty = [name for name, value in members.items() if not value]
    if empty:
        raise ValueError(f"credentials without {', '.join(empty)} are no credentials")
    return members
