"""Who is asking, and what may they have?"""

from dataclasses import dataclass, field
from typing import Final, Protocol

from agent.narrowing import WHOLE, Narrowing

#: What is known of a caller: (name, value) pairs, each name beginning with the attestor that vouches for it, so that
#: none can speak for another. A name that ends in ".like" says that the value, a pattern of some grant, fits.
Facts = frozenset[tuple[str, str]]

NOTHING_KNOWN: Final[Facts] = frozenset()
#: The longest that `Attestor.learn` takes, in seconds.
LEARNING: Final = 0.5

#: One end of a connection: an IP address, and a port.
End = tuple[str, int]

#: The facts by which a caller is called, in the order in which they are told.
_CALLED: Final = (
    "unix.user",
    "unix.uid",
    "systemd.unit",
    "systemd.user_unit",
    "container.name",
    "container.id",
    "process.pid",
    "token.file",
    "token.unit",
    "aws.principal",
    "aws.session",
    "peer.address",
)


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class Origin:
    """Where a connection to us comes from, as it was when it was accepted. It holds until the connection ends.

    Connections of which the same is known may share one, so it is told apart from others by being another object.

    Attributes:
        address: the IP address at the other end; `local` is ours.
        facts: what the kernel vouches for.
        ends: the other end and ours, with their ports, where an attestor must ask about this very connection.
        socket: the inode number of the other end's socket, for the same; 0 if it is not wanted, or not on this host.
    """

    address: str
    local: str = ""
    facts: Facts = NOTHING_KNOWN
    ends: tuple[End, End] | None = None
    socket: int = 0


@dataclass(frozen=True, slots=True)
class Peer:
    """Who sent a request, and the value of its Authorization header, without blanks around it; None if it had none."""

    origin: Origin
    presented: bytes | None = field(repr=False)  # a secret, as likely as not

    @property
    def address(self) -> str:
        """The IP address that it came from."""
        return self.origin.address


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer, and all that is known of it."""

    peer: Peer
    facts: Facts

    @property
    def name(self) -> str:
        """A short description for logs: facts and address, never what was presented."""
        known = ",".join(
            f"{name}={value}" for called in _CALLED for name, value in sorted(self.facts) if name == called
        )
        return known or f"unknown at {self.peer.address}"


class Recogniser(Protocol):
    """Tells what a connection says of whoever is at its other end."""

    def recognise(self, client: End, server: End) -> Origin:
        """Ask once, when the connection from `client` to `server` is accepted. Never raises, never waits."""
        ...


class Attestor(Protocol):
    """One way to tell who a peer is."""

    def attest(self, peer: Peer) -> Facts | None:
        """Say what is known of the peer, nothing included; None if `learn` must find out first.

        Never raises, never waits.
        """
        ...

    async def learn(self, peer: Peer) -> None:
        """Find out, within `LEARNING`; then `attest` says something, if only that nothing is known."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Callers of whom all of `when` is known may have so much of the role of that name. An empty `when` means anyone.

    `setting` is where the configuration says so, as in "grants#2".
    """

    name: str
    when: Facts
    extent: Narrowing = WHOLE
    setting: str = ""
