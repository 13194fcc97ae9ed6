"""Which of the containers that run here is at the other end?

By its namespace: the connection's other end must be a socket in the network namespace of that container, which the
kernel is asked in there; where several containers share one, the socket's cgroup must be that of the container. By its
address, which is weaker: the engine must say that this container, and no other, has the address. A container that may
send raw packets can borrow the address of a neighbour.

What was found out holds for the connection, for as long as the container runs.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NoReturn, Protocol
from weakref import WeakKeyDictionary

from agent.callers import NOTHING_KNOWN, End, Facts, Origin, Peer
from agent.callers.containers.held import Container, Inspecting, by_address, by_namespace, told
from agent.callers.containers.namespace import Line, Owner
from agent.callers.containers.shapes import ID, Listed
from agent.clock import Clock, within
from agent.errors import AgentError

#: How long is waited for an unknown container to turn up in the engine's list, in seconds. An engine starts the
#: first process of a container before it says that it runs.
_PATIENCE: Final = 0.45

#: How long a connection, or a container of another engine, stays unknown before it is looked for again, in seconds; and
#: how long the engine is then asked just once: most likely it is none of its containers, and shows a token.
_UNKNOWN: Final = 1.0
_STRANGE: Final = 60.0

#: How often the engine is asked at most and at least, in seconds; what was renamed is noticed that late. And how often
#: those that have ended are let go, since we keep their namespaces from ending with them.
_AT_MOST: Final = 0.1
_AT_LEAST: Final = 30.0
_SWEEP: Final = 5.0

#: So many containers are asked about at once, and so many are held.
_AT_ONCE: Final = 8
_MOST: Final = 2048

#: So many namespaces are asked in a row before others have their turn; each takes some 10 microseconds.
_IN_A_ROW: Final = 32

#: So many of those who are strangers to the engine are remembered.
_STRANGERS: Final = 1024


class Engine(Inspecting, Protocol):
    """The engine whose containers these are."""

    @property
    def name(self) -> str:
        """What it is: "docker" or "podman"."""
        ...

    async def list(self) -> Sequence[Listed]:
        """Those that run. Raises ConfigurationError."""
        ...


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What was found out of a connection: its container; if it is nobody's, until which steady time we think so."""

    container: Container | None
    until: float = 0.0


class Containers:
    """Knows callers by their container: container.id, .name and .engine, and .name.like for each pattern that fits."""

    def __init__(
        self,
        engine: Engine,
        *,
        line: Callable[[], Line] | None,
        clock: Clock,
        tell: Callable[[AgentError | None], None],
        patterns: Collection[str] = (),
    ) -> None:
        """Know nobody yet; `keep_known` finds out.

        `line` makes a line to the kernel, to be opened in a namespace; without it, containers are told by address.
        `tell` is told once when containers cannot be recognised, and None once when all is well again.
        """
        self._engine = engine
        self._line = line
        self._clock = clock
        self._tell = tell
        self._patterns = tuple(patterns)
        self._held: dict[str, Container] = {}
        self._at: dict[str, list[str]] = {}  # the ids of those that have an address, by address
        self._begun = self._done = 0  # how many looks have begun; how many of those that have, have been taken in
        self._failing = False
        self._trouble = ""
        self._verdicts: WeakKeyDictionary[Origin, _Verdict] = WeakKeyDictionary()
        self._strangers: dict[str, float] = {}  # ids and addresses that were no container's, at this steady time
        self._wanted = asyncio.Event()
        self._looked = asyncio.Event()  # set, and replaced, after each look
        self._own = os.stat("/proc/self/ns/net").st_ino if line is not None else 0  # noqa: PTH116 - no file

    def attest(self, peer: Peer) -> Facts | None:
        """What is known of the container that this connection comes from, if it comes from one."""
        identity = _id_of(peer.origin)
        if not identity:
            return self._by_connection(peer.origin)
        container = self._held.get(identity)
        if container is not None and container.alive:
            return container.facts
        return NOTHING_KNOWN if self._given_up(identity) < _UNKNOWN else None

    async def learn(self, peer: Peer) -> None:
        """Ask the engine what runs now, until the container is found, for less than half a second."""
        with suppress(TimeoutError):
            await within(self._clock, _PATIENCE, self._found(peer))
        if self.attest(peer) is None:
            self._give_up(peer.origin)

    async def keep_known(self) -> NoReturn:
        """Ask the engine for ever: at once when somebody unknown is there, else now and then."""
        try:
            while True:
                self._wanted.clear()
                self._begun += 1
                self._listed_anew(await self._look())
                self._done = self._begun
                self._looked.set()
                self._looked = asyncio.Event()
                await self._clock.sleep(_AT_MOST)
                await self._rest()
        finally:
            for container in self._held.values():
                container.close()

    async def _rest(self) -> None:
        """Until the engine is to be asked again."""
        until = self._clock.steady() + (_SWEEP if self._trouble else _AT_LEAST)
        while not self._wanted.is_set() and self._clock.steady() < until:
            with suppress(TimeoutError):
                await within(self._clock, _SWEEP, self._wanted.wait())
            self._let_go(identity for identity, container in self._held.items() if not container.alive)

    def _by_connection(self, origin: Origin) -> Facts | None:
        if origin.ends is None:
            return NOTHING_KNOWN
        verdict = self._verdicts.get(origin)
        if verdict is None or (verdict.container is None and self._clock.steady() >= verdict.until):
            container = self._whose(*origin.ends, fresh=False)
            if container is None:
                return None
            verdict = self._verdicts[origin] = _Verdict(container)
        if verdict.container is None or not verdict.container.alive:
            return NOTHING_KNOWN  # also when another one has its address by now: this connection was not that one's
        return verdict.container.facts

    async def _found(self, peer: Peer) -> None:
        """Return when `attest` has an answer, by what the engine says from now on; of strangers it says it once."""
        first = self._begun + 1
        stranger = self._given_up(_id_of(peer.origin) or peer.address) < _STRANGE
        while True:
            looked = self._looked
            self._wanted.set()
            await looked.wait()
            fresh = self._done >= first
            if self._find(peer.origin, fresh=fresh) or await self._find_elsewhere(peer.origin, fresh=fresh):
                return
            if stranger and fresh:
                return

    def _find(self, origin: Origin, *, fresh: bool) -> bool:
        """Whether it is known now whose this is."""
        if fresh and origin.ends is not None:
            container = self._whose(*origin.ends, fresh=True)
            if container is not None:
                self._verdicts[origin] = _Verdict(container)
                return True
        return self.attest(Peer(origin, None)) is not None

    async def _find_elsewhere(self, origin: Origin, *, fresh: bool) -> bool:
        """The same for a container that uses an address of which the engine does not know."""
        if self._line is None or origin.ends is None:
            return False
        for number, container in enumerate(list(self._held.values()), 1):
            if (owner := container.owner(*origin.ends)) is not None:
                found = self._among_sharers(container, owner, fresh=fresh)
                if found is not None:
                    self._verdicts[origin] = _Verdict(found)
                return found is not None
            if number % _IN_A_ROW == 0:
                await asyncio.sleep(0)
        return False

    def _give_up(self, origin: Origin) -> None:
        now, identity = self._clock.steady(), _id_of(origin)
        if not identity:
            self._verdicts[origin] = _Verdict(None, now + _UNKNOWN)
        if len(self._strangers) >= _STRANGERS:
            self._strangers.clear()
        self._strangers[identity or origin.address] = now

    def _given_up(self, stranger: str) -> float:
        """How many seconds ago that id, or address, was found to be no container's."""
        return self._clock.steady() - self._strangers.get(stranger, -_STRANGE)

    def _whose(self, client: End, server: End, *, fresh: bool) -> Container | None:
        """The container at the other end; `fresh`: the engine has said what runs since the connection came in."""
        owners = self._at.get(client[0], ())
        claiming = [self._held[identity] for identity in owners if identity in self._held]
        if self._line is None:
            sole = len(owners) == len(claiming) == 1 and claiming[0].alive
            return claiming[0] if sole and (fresh or self._failing) else None
        for container in claiming:
            owner = container.owner(client, server)
            if owner is not None:
                return self._among_sharers(container, owner, fresh=fresh)
        return None

    def _among_sharers(self, container: Container, owner: Owner, *, fresh: bool) -> Container | None:
        """Which of those that share the network namespace of a container made the socket; None if it cannot be told.

        By the socket's cgroup; without that, only one that the engine says is alone in there.
        """
        sharing = [one for one in self._held.values() if one.namespace == container.namespace and one.alive]
        if owner.cgroup:
            inside = [one for one in sharing if one.has(owner.cgroup)]
            if inside:
                return inside[0] if len(inside) == 1 else None
            if any(one.traceable for one in sharing):
                return None  # somebody has joined them from outside
        return container if sharing == [container] and (fresh or self._failing) else None

    async def _look(self) -> Sequence[Listed] | None:
        """What runs now, all of it held on to; None if the engine does not say. Tells of trouble, once."""
        trouble: AgentError | None = None
        listed: Sequence[Listed] | None = None
        try:
            listed = (await self._engine.list())[:_MOST]
        except AgentError as error:
            trouble = error
        else:
            new = [one for one in listed if not self._holds(one.id)]
            for start in range(0, len(new), _AT_ONCE):
                for failed in await asyncio.gather(*map(self._hold, new[start : start + _AT_ONCE])):
                    trouble = trouble or failed
        self._failing = listed is None
        what = "" if trouble is None else trouble.what
        if what != self._trouble:
            self._trouble = what
            self._tell(trouble)
        return listed

    def _holds(self, identity: str) -> bool:
        container = self._held.get(identity)
        return container is not None and container.alive

    async def _hold(self, one: Listed) -> AgentError | None:
        """Hold on to one more; gives what kept us from it, if it runs."""
        try:
            if self._line is None:
                container = await by_address(self._engine, one.id)
            else:
                container = await by_namespace(self._engine, one.id, self._line, self._own)
        except AgentError as error:
            return error
        if container is not None:
            container.facts = self._facts(one)  # before anybody can find it
            self._let_go([one.id])
            self._held[one.id] = container
        return None

    def _facts(self, one: Listed) -> Facts:
        return told(one.id, one.name, self._engine.name, self._patterns)

    def _listed_anew(self, listed: Sequence[Listed] | None) -> None:
        if listed is None:
            return
        self._let_go(self._held.keys() - {one.id for one in listed})
        self._at = {}
        addresses = {one.id: one.addresses for one in listed}
        for one in listed:
            container = self._held.get(one.id)
            if container is not None:
                container.facts = self._facts(one)
            self._strangers.pop(one.id, None)
            for address in one.addresses | addresses.get(one.joined, frozenset()):
                self._at.setdefault(address, []).append(one.id)
                self._strangers.pop(address, None)

    def _let_go(self, identities: Iterable[str]) -> None:
        for identity in list(identities):
            container = self._held.pop(identity, None)
            if container is not None:
                container.close()


def _id_of(origin: Origin) -> str:
    """The id of the container that the kernel has named already; "" if it has named none."""
    return next((value for name, value in origin.facts if name == "container.id" and ID.fullmatch(value)), "")
