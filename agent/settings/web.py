"""How are regions, and the addresses of services, written?"""

import ipaddress
import re
from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Surroundings
from agent.settings.spelling import array, text

_REGION = re.compile(r"[a-z]{2,5}(-[a-z]+)+-[0-9]{1,2}")


def _region(value: str, _: Surroundings) -> str:
    if value in {"aws-global", "global"}:
        raise Wrong(f'{shown(value)} is no region; name the nearest one, as in "eu-central-1"')
    if not _REGION.fullmatch(value):
        raise Wrong(f'{shown(value)} does not look like a region; write it as in "eu-central-1"')
    return value


def _web_url(value: str, schemes: tuple[str, ...]) -> SplitResult:
    """Take a URL apart. Never quotes it whole: it may hold a password. Raises Wrong."""
    wanted = " or ".join(f"{scheme}://" for scheme in schemes)
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise Wrong(f"is not a URL; write {wanted}, a host name and, if need be, a port") from None
    if parts.scheme not in schemes or not parts.hostname or port == 0:
        raise Wrong(f"is not a URL that can be used here; write {wanted}, a host name and, if need be, a port")
    if "@" in parts.netloc:
        raise Wrong("has a user name or password in it, which this file is no place for; leave that out")
    if parts.query or parts.fragment or not value.isprintable() or " " in value:
        raise Wrong("has a query, a fragment or blanks in it; leave that out")
    return parts


def endpoint_url(value: str, _: Surroundings) -> str:
    """Read the URL of a service: over TLS, unless it is on this machine. Raises Wrong."""
    parts = _web_url(value, ("https", "http"))
    if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
        raise Wrong(
            "would send tokens and credentials over the network unprotected; write https://, or a loopback host"
        )
    return value


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _proxy(value: str, _: Surroundings) -> str:
    parts = _web_url(value, ("http", "https"))
    if parts.path.strip("/"):
        raise Wrong('has a path, which a proxy does not; write it as in "http://proxy.example.com:3128"')
    return value


#: An AWS region.
Region = Annotated[str, text(_region)]
#: Several of them.
Regions = Annotated[tuple[str, ...], array(_region, of="regions")]
#: The URL of a service: https, unless it is on this machine.
Url = Annotated[str, text(endpoint_url)]
#: The URL of an HTTP proxy, without a password.
Proxy = Annotated[str, text(_proxy)]
