"""An attestor that has to ask first who a caller is."""

from dataclasses import dataclass, field

from agent.callers import Facts, Origin, Peer


@dataclass(slots=True, eq=False)
class Late:
    """Knows the same of every connection, once it has asked."""

    knows: Facts
    learnt: set[Origin] = field(default_factory=set)

    def attest(self, peer: Peer) -> Facts | None:
        return self.knows if peer.origin in self.learnt else None

    async def learn(self, peer: Peer) -> None:
        self.learnt.add(peer.origin)
