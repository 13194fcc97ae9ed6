"""Who is asking, and what may they have?"""

from dataclasses import dataclass, field
from typing import Protocol

#: What is known of a caller: (name, value) pairs, each name beginning with the attestor that vouches for it,
#: as in ("token.file", "/etc/rolecall/tokens/web"), so that none can speak for another.
Facts = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Peer:
    """One end of a connection to us: where it comes from, and what it presented with this request.

    `presented` is the value of the Authorization header as bytes, without the blanks around it; None if
    there was none.
    """

    address: str
    presented: bytes | None = field(repr=False)  # a secret, as likely as not


@dataclass(frozen=True, slots=True)
class Caller:
    """A peer, and all that is known of it."""

    peer: Peer
    facts: Facts

    @property
    def name(self) -> str:
        """A short description for logs: facts and address, never what was presented."""
        known = ",".join(f"{name}={value}" for name, value in sorted(self.facts))
        return known or f"unknown at {self.peer.address}"


class Attestor(Protocol):
    """One way to tell who a peer is."""

    def attest(self, peer: Peer) -> Facts:
        """Say what this attestor knows of the peer; nothing, if it knows nothing. Never raises, never waits."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """Callers of whom all of `when` is known may have the role. An empty `when` means anyone."""

    role: str
    when: Facts

    def covers(self, caller: Caller, role: str) -> bool:
        """Whether this grant gives `role` to `caller`."""
        return self.role == role and self.when <= caller.facts
