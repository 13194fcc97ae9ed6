"""What may the operator say about where we listen, and what we log?"""

import contextlib
import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import Field, PlainValidator, ValidationInfo

from agent.settings.mistakes import Wrong, kind_of, shown
from agent.settings.section import Section, Surroundings
from agent.settings.spelling import one_of, read_array, text

LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "text", "json"]

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+)):([0-9]{1,5})")
#: Addresses besides loopback to which AWS's SDKs send a request for credentials over plain HTTP.
_LINK_LOCAL: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
#: Those at which they look for the metadata of an EC2 instance.
_IMDS: Final = frozenset({"169.254.169.254", "fd00:ec2::254"})


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


#: Where SDKs look for the credentials of containers, on their usual port.
CREDENTIALS_EVERYWHERE: Final = (
    Address("169.254.170.2", 80),
    Address("169.254.170.23", 80),
    Address("fd00:ec2::23", 80),
)


def _several(value: object, info: ValidationInfo) -> tuple[Address, ...]:
    surroundings = Surroundings.of(info)
    if isinstance(value, str):
        return (_credentials_address(value, surroundings),)
    if not isinstance(value, list):
        raise Wrong(f"must be text in quotes, or an array of addresses, not {kind_of(value)}")
    if not value:
        raise Wrong('is empty; write at least one address, as in "127.0.0.1:9170"')
    return read_array(value, _credentials_address, surroundings, "addresses")


#: One address that credentials may be served on, or several, as a tuple of them.
CredentialsAddresses = Annotated[tuple[Address, ...], PlainValidator(_several)]


def _imds_address(value: str, _: Surroundings) -> Address:
    address = parse_address(value)
    if not address.is_loopback and address.host not in _IMDS:
        raise Wrong(
            f"{shown(value)} can be reached by other machines, and credentials go over it in the clear; "
            "write a loopback address, or one of 169.254.169.254 and [fd00:ec2::254]"
        )
    return address


class Listen(Section):
    """Where credentials are handed out, and where metrics and status are shown."""

    credentials_addresses: CredentialsAddresses = Field(
        (Address("127.0.0.1", 9170),), alias="credentials", examples=['"127.0.0.1:9170"']
    )
    admin: Annotated[Address, text(_admin_address)] = Field("127.0.0.1:9171", validate_default=True)
    imds: Annotated[Address, text(_imds_address)] | None = Field(None, examples=['"127.0.0.1:9172"'])
    verify: Annotated[Address, text(_admin_address)] | None = Field(None, examples=['"127.0.0.1:9173"'])

    @property
    def verify_address(self) -> Address:
        """Where tokens of others are verified, if there are rules for them."""
        return self.verify or Address("127.0.0.1", 9173)

    @property
    def credentials(self) -> Address:
        """The first address at which credentials are handed out, which is the one that callers are told."""
        return self.credentials_addresses[0]

    def addresses(self) -> Iterator[tuple[str, Address]]:
        """All addresses, each with the word that it stands at, numbered where there are several."""
        yield from numbered("credentials", self.credentials_addresses)
        yield "admin", self.admin
        if self.imds is not None:
            yield "imds", self.imds
        if self.verify is not None:
            yield "verify", self.verify

    @classmethod
    def together(cls, words: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Each listener needs an address of its own."""
        before: list[tuple[str, Address]] = []
        for word, address in _as_written({"credentials": "127.0.0.1:9170", "admin": "127.0.0.1:9171", **words}):
            taken = [(other, theirs) for other, theirs in before if address.collides(theirs)]
            if taken and not word.startswith("credentials"):  # the same one twice is told of by itself
                other, theirs = taken[0]
                yield word, f"cannot be {address} while listen.{other} is {theirs}; give it another port"
            before.append((word, address))


def _as_written(words: Mapping[str, object]) -> Iterator[tuple[str, Address]]:
    """Each address that can be read, with its word."""
    for word in ("credentials", "admin", "imds", "verify"):
        value = words.get(word)
        several = list(enumerate(value, start=1)) if isinstance(value, list) else [(0, value)]
        for number, one in several:
            with contextlib.suppress(Wrong):
                if isinstance(one, str):
                    yield (f"{word}#{number}" if number else word), parse_address(one)


def numbered(word: str, addresses: Sequence[Address]) -> Iterator[tuple[str, Address]]:
    """The addresses of one setting, each with its path."""
    for number, address in enumerate(addresses, start=1):
        yield (word if len(addresses) == 1 else f"{word}#{number}"), address


class Log(Section):
    """How much is logged, and how; "auto" is text on a terminal and JSON elsewhere."""

    level: Annotated[LogLevel, one_of(LogLevel)] = "info"
    format: Annotated[LogFormat, one_of(LogFormat)] = "auto"
