"""How is the agent found by a user who may not read its configuration?

Which is the usual user: the configuration is for root and the agent, and what a caller is granted, it is by what it
is. So where nobody has named a configuration, and the usual one is closed, we go where SDKs would go.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from agent.cli.configuration import settings_of
from agent.cli.reach import Access, access, with_token
from agent.cli.terminal import say
from agent.errors import ConfigurationError
from agent.secret import Secret
from agent.settings import Address, Settings

#: Where the agent is unless its configuration says otherwise.
USUAL: Final = Address("127.0.0.1", 9170)

_PATH: Final = re.compile(r"/v1/credentials(/[^/?#]*)?")
_ROLE: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_TOKEN: Final = re.compile(r"[\x21-\x7e]+")


def settings_if_open(config: Path | None, environ: Mapping[str, str] = os.environ) -> Settings | None:
    """The configuration; None where the usual one is not for this user to read. Raises ConfigurationError.

    One that was named, by -c or by ROLECALL_CONFIG, is meant to be read.
    """
    try:
        return settings_of(config)
    except ConfigurationError as error:
        if config is not None or environ.get("ROLECALL_CONFIG") or not isinstance(error.__cause__, PermissionError):
            raise
    return None


def way(config: Path | None, role: str, token_file: Path | None, *, elsewhere: bool = False) -> Access:
    """How `role` is fetched, with the configuration or without it; says so where it is without.

    `elsewhere` and what is raised are those of `access`.
    """
    settings = settings_if_open(config)
    if settings is not None:
        return access(settings, role, token_file, elsewhere=elsewhere)
    return without(role, token_file, os.environ, elsewhere=elsewhere)


def without(role: str, token_file: Path | None, environ: Mapping[str, str], *, elsewhere: bool = False) -> Access:
    """How `role` is fetched by whoever knows no more than SDKs do; says so. Raises ConfigurationError.

    With `elsewhere` no token that this environment names is taken.
    """
    if role and not _ROLE.fullmatch(role):
        raise ConfigurationError(f"{role!r} is no name for a role", hint="write it as whoever granted it does")
    address, where = _address(environ)
    say(f"note: the configuration is not for this user to read, so the agent is taken to be at {address}, {where}")
    if token_file is not None:
        return with_token(role, address, token_file)
    if elsewhere:
        return Access(role, address)
    if named := environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
        return with_token(role, address, Path(named))
    value = environ.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    return Access(role, address, Secret(value) if _TOKEN.fullmatch(value) else None)


def _address(environ: Mapping[str, str]) -> tuple[Address, str]:
    """Where SDKs here would ask, if that can be the agent; else where it usually is. With how that is known."""
    name = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
    try:
        parts = urlsplit(environ.get(name, ""))
        host = "127.0.0.1" if parts.hostname == "localhost" else str(ipaddress.ip_address(parts.hostname or ""))
        port = parts.port or 80
    except ValueError:
        return USUAL, "where it usually is"
    if parts.scheme != "http" or not _PATH.fullmatch(parts.path):
        return USUAL, "where it usually is"
    return Address(host, port), f"by {name}"
