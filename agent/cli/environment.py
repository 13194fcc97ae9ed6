"""Which environment makes an unmodified SDK fetch a role from here, and nothing get in its way?"""

import os
from dataclasses import dataclass

from agent.cli.reach import Access

#: What would be asked before our endpoint, or instead of it; empty is not enough, several SDKs mind the name.
UNSET: tuple[str, ...] = (
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
)

_TOKENS = ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables to set, and variables that must not be there. `settings` hold a token: they are a secret."""

    settings: dict[str, str]
    unset: tuple[str, ...]


def environment(access: Access, present: dict[str, str] | None = None) -> Environment:
    """The environment for one role; NO_PROXY is added to what is present (default: our own environment)."""
    present = dict(os.environ) if present is None else present
    settings = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": access.url}
    unset = UNSET
    if access.token is not None and access.token_file is not None:
        # Some SDKs know only the value and some only the file, so both are given.
        settings["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = access.token.reveal()
        settings["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(access.token_file.absolute())
    else:
        unset += _TOKENS
    settings["AWS_EC2_METADATA_DISABLED"] = "true"
    for name in ("NO_PROXY", "no_proxy"):
        # Five SDKs send the request, token and all, to HTTP_PROXY unless they are told not to.
        settings[name] = _with_loopback(present.get(name, ""), access.host)
    return Environment(settings, unset)


def _with_loopback(listed: str, host: str) -> str:
    names = [name for name in listed.split(",") if name]
    return ",".join(names + [name for name in dict.fromkeys((host, "127.0.0.1", "localhost")) if name not in names])
