"""What may the operator say about where we listen, and what we log?"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field

from agent.settings.mistakes import Wrong, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import one_of, text

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):([0-9]{1,5})")
#: Addresses besides loopback to which AWS's SDKs send a request for credentials over plain HTTP.
_LINK_LOCAL: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})


class Address(NamedTuple):
    """Where to listen: a literal IP address without brackets, and a port; 0 leaves the port to the system."""

    host: str
    port: int

    def __str__(self) -> str:
        """As it is written in the configuration and in URLs."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect to it."""
        return ipaddress.ip_address(self.host).is_loopback

    def collides(self, other: "Address") -> bool:
        """Whether both cannot be listened on at once."""
        if self.port != other.port or self.port == 0:
            return False
        return self.host == other.host or any(ipaddress.ip_address(a.host).is_unspecified for a in (self, other))


def parse_address(value: str) -> Address:
    """Read "127.0.0.1:9170" or "[::1]:9170". Raises Wrong."""
    example = 'write an address and a port, as in "127.0.0.1:9170" or "[::1]:9170"'
    match = _ADDRESS.fullmatch(value)
    if match is None:
        raise Wrong(f"{shown(value)} is not an address to listen on; {example}")
    host, port = match[1] or match[2], int(match[3])
    if port > 65535:
        raise Wrong(f"{shown(value)} has a port above 65535; {example}")
    if host == "localhost":
        raise Wrong(f'"localhost" may be one address or another; write "127.0.0.1:{port}" or "[::1]:{port}"')
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        raise Wrong(f"{shown(value)} has no literal IP address; {example}") from None
    if (ip.version == 6) != (match[1] is not None):
        raise Wrong(f"{shown(value)} is not an address to listen on; {example}")
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
        raise Wrong(f'{shown(value)} is an IPv4 address in disguise; write "{ip.ipv4_mapped}:{port}"')
    return Address(str(ip), port)


def _credentials_address(value: str, _: Surroundings) -> Address:
    address = parse_address(value)
    if not address.is_loopback and address.host not in _LINK_LOCAL:
        raise Wrong(
            f"{shown(value)} can be reached by other machines, and credentials go over it in the clear; "
            "write a loopback address, or one of 169.254.170.2, 169.254.170.23 and [fd00:ec2::23]"
        )
    return address


def _admin_address(value: str, _: Surroundings) -> Address:
    return parse_address(value)


class Listen(Section):
    """Where credentials are handed out, and where metrics and status are shown."""

    credentials: Annotated[Address, text(_credentials_address)] = Field("127.0.0.1:9170", validate_default=True)
    admin: Annotated[Address, text(_admin_address)] = Field("127.0.0.1:9171", validate_default=True)

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Two listeners need two addresses."""
        try:
            credentials, admin = (
                parse_address(str(words.get(word, cls.model_fields[word].default))) for word in ("credentials", "admin")
            )
        except Wrong:
            return
        if credentials.collides(admin):
            yield "admin", f"cannot be {admin} while listen.credentials is {credentials}; give it another port"


class Log(Section):
    """How much is logged, and how; "auto" is text on a terminal and JSON elsewhere."""

    level: Annotated[LogLevel, one_of(LogLevel)] = "info"
    format: Annotated[LogFormat, one_of(LogFormat)] = "auto"
