"""A custodian that keeps keys in memory, and a site that the world sees as we tell it to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from agent.errors import AgentError, ConfigurationError, KeyUnavailable
from agent.keys import Kind, SigningKey
from agent.publishing import Jwk, Placed, Sighting
from tests.fakes.memory_key import MemoryKey


@dataclass
class MemoryCustodian:
    """Keys by name; `failure`, while set, is raised instead of doing anything; `called` is what was asked."""

    kind: str = "memory"
    keys: dict[str, MemoryKey] = field(default_factory=dict)
    makes: bool = True
    named: list[str] = field(default_factory=list)
    failure: AgentError | None = None
    called: list[str] = field(default_factory=list)

    @classmethod
    def with_key(cls, kind: str = "memory") -> "MemoryCustodian":
        custodian = cls(kind)
        custodian.named.append(custodian.put(MemoryKey()))
        return custodian

    def put(self, key: MemoryKey) -> str:
        name = f"key-{key.public.kid}"
        self.keys[name] = key
        return name

    async def names(self) -> Sequence[str]:
        self._note("names")
        return [name for name in self.named if name in self.keys]

    async def open(self, name: str) -> SigningKey:
        self._note(f"open {name}")
        if name not in self.keys:
            raise KeyUnavailable(f"there is no {name}")
        return self.keys[name]

    async def make(self, kind: Kind) -> str:
        self._note(f"make {kind}")
        if not self.makes:
            raise ConfigurationError("keys are not ours to make")
        return self.put(MemoryKey())

    async def discard(self, name: str) -> None:
        self._note(f"discard {name}")
        self.keys.pop(name, None)

    async def close(self) -> None:
        self._note("close")

    def _note(self, what: str) -> None:
        self.called.append(what)
        if self.failure is not None:
            raise self.failure


@dataclass
class FakeSite:
    """What the world reads: what was published, unless `shown` says otherwise; `failure` while it cannot be read."""

    keys: dict[str, Jwk] = field(default_factory=dict)
    shown: dict[str, Jwk] | None = None
    failure: AgentError | None = None
    publishing_failure: AgentError | None = None
    looks: int = 0
    published: list[tuple[str, ...]] = field(default_factory=list)

    async def publish(self, shown: Sequence[Jwk], withdrawn: Collection[str]) -> Sequence[Placed]:
        if self.publishing_failure is not None:
            raise self.publishing_failure
        self.keys |= {str(key["kid"]): key for key in shown}
        for kid in withdrawn:
            self.keys.pop(kid, None)
        self.published.append(tuple(str(key["kid"]) for key in shown))
        return []

    async def look(self) -> Sighting:
        self.looks += 1
        if self.failure is not None:
            raise self.failure
        return Sighting(dict(self.keys if self.shown is None else self.shown), 300)
