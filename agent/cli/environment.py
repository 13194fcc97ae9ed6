"""Which environment makes an unmodified SDK fetch a role from here, and nothing get in its way?"""

import configparser
import contextlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent.cli.reach import Access
from agent.errors import ConfigurationError

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

#: The token, as its value and as a file.
TOKEN, TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"

#: Where profiles with keys may be: the variable that names the file, and where it usually is below HOME.
_PROFILE_FILES = (("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), ("AWS_CONFIG_FILE", ".aws/config"))


@dataclass(frozen=True, slots=True)
class Environment:
    """Variables to set, and variables that must not be there. `settings` hold a token: they are a secret."""

    settings: dict[str, str] = field(repr=False)
    unset: tuple[str, ...]


def environment(access: Access, present: Mapping[str, str]) -> Environment:
    """The environment for one role; NO_PROXY is added to what is `present`."""
    settings = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": access.url}
    unset = UNSET
    # Some SDKs know only the value and some only the file, so both are given; but most prefer the file, send it as it
    # is, and refuse to send a newline.
    if access.token is not None:
        settings[TOKEN] = access.token.reveal()
    else:
        unset += (TOKEN,)
    if access.token_file is not None and access.bare:
        settings[TOKEN_FILE] = str(access.token_file)
    else:
        unset += (TOKEN_FILE,)
    settings["AWS_EC2_METADATA_DISABLED"] = "true"
    # Five SDKs send the request, token and all, to HTTP_PROXY unless they are told not to. Who set one of the two
    # names meant both, and some programs read only the other.
    listed = ",".join(filter(None, (present.get(name, "") for name in ("NO_PROXY", "no_proxy"))))
    settings["NO_PROXY"] = settings["no_proxy"] = _with_loopback(listed, access.address.host)
    return Environment(settings, unset)


def over_default_profile(present: Mapping[str, str]) -> dict[str, str]:
    """What hides the keys of a [default] profile from SDKs, which would take them before they ask us; mostly nothing.

    No variable switches that profile off. Where it holds keys, the file that holds them is replaced by an empty one.
    """
    hidden = {}
    for variable, usual in _PROFILE_FILES:
        parser = configparser.RawConfigParser(strict=False)
        # A file that cannot be read or understood gives no keys to an SDK either.
        with contextlib.suppress(OSError, ValueError, configparser.Error):
            parser.read(Path(present.get(variable) or Path(present.get("HOME") or "/") / usual), encoding="utf-8")
        if parser.has_option("default", "aws_access_key_id"):
            hidden[variable] = os.devnull
    return hidden


def trouble_with_file(access: Access) -> ConfigurationError | None:
    """What is wrong with the token file, if SDKs cannot use it as it is; a warning, where its value is enough."""
    if access.bare:
        return None
    path = shlex.quote(str(access.token_file))
    return ConfigurationError(
        f"the token file {access.token_file} holds a newline or more besides the token, which most SDKs refuse to "
        "send; those that know only the file, and not its value, get no token",
        hint=f'take the newline away: token=$(head -n 1 {path}) && printf %s "$token" > {path}',
    )


def only_for_units(access: Access) -> ConfigurationError:
    """Why nobody but a unit can have a role that is granted to units by a token of their own."""
    role = f"role {access.role}" if access.role else "every role"
    words = f"{access.role} " if access.role else ""
    return ConfigurationError(
        f"{role} is granted to units that show a token of their own, which systemd alone can fetch",
        hint=f"write a drop-in for the unit: rolecall env {words}--format systemd",
    )


def _with_loopback(listed: str, host: str) -> str:
    names = dict.fromkeys(filter(None, (name.strip() for name in listed.split(","))))
    if "*" in names:
        return "*"  # everything goes without a proxy already; beside other names most programs would not know the *
    ours = (host, f"[{host}]") if ":" in host else (host,)  # an IPv6 address is written either way
    return ",".join(names | dict.fromkeys((*ours, "127.0.0.1", "localhost")))
