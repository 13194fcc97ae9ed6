"""Which user and which unit does a connection come from?"""

from typing import Final, Self

from agent.callers import NOTHING_KNOWN, End, Facts, Origin
from agent.callers.kernel import units, user_ids
from agent.callers.kernel.cgroups import Cgroups
from agent.callers.kernel.hierarchy import Hierarchy
from agent.callers.kernel.sock_diag import Owner, SockDiag
from agent.callers.kernel.units import Patterns
from agent.clock import Clock

#: So many callers are told apart; the one that was known first gives way.
_MOST: Final = 4_096

#: How long it is taken for granted that a control group is still there, in seconds.
_STANDS: Final = 1.0

#: What there is to know a caller by: both addresses, the user, and the control group.
_Key = tuple[str, str, int, int]

_NOBODY: Final = Owner(-1, 0, 0)

#: Which of sixteen million addresses a caller on this machine connects from is up to him, and so says nothing; he would
#: be another one to us from each, if he saw to it that nothing else is known of him.
_LOOPBACK, _ANY_OF_THEM = "127.", "127.0.0.1"


class KernelRecogniser:
    """A Recogniser that asks the kernel: the facts unix.uid, systemd.* and container.id.

    Callers of whom the same is known share an Origin, so that what was decided about one counts for the other; unless
    their sockets are wanted, for attestors that must ask about the very connection.
    """

    def __init__(
        self,
        clock: Clock,
        patterns: Patterns = Patterns(),  # noqa: B008 - a frozen value
        *,
        want_sockets: bool = False,
        hierarchy: Hierarchy | None = None,
    ) -> None:
        """Ask nothing yet. `patterns` are those that become facts where they fit; `hierarchy` is found if not given."""
        self._clock = clock
        self._patterns = patterns
        self._want_sockets = want_sockets
        self._kernel = SockDiag()
        self._cgroups = Cgroups(clock, hierarchy)
        self._meaningless = user_ids.meaningless()
        self._known: dict[_Key, tuple[Origin, float]] = {}  # good until this steady time

    def recognise(self, client: End, server: End) -> Origin:
        """Say who made the client's socket. Of a caller that has gone, or is not on this machine, nothing is known."""
        try:
            owner = self._kernel.owner(client, server) or _NOBODY
        except OSError:
            owner = _NOBODY
        address = _ANY_OF_THEM if owner is _NOBODY and client[0].startswith(_LOOPBACK) else client[0]
        origin = self._origin((address, server[0], owner.uid, owner.cgroup))
        if self._want_sockets:
            return Origin(origin.address, origin.local, origin.facts, socket=owner.inode)
        return origin

    def close(self) -> None:
        """Close the line to the kernel."""
        self._kernel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _origin(self, key: _Key) -> Origin:
        now = self._clock.steady()
        known = self._known.get(key)
        if known is not None and now < known[1]:
            return known[0]
        client, server, uid, cgroup = key
        facts, sure = self._facts(uid, cgroup)
        origin = known[0] if known is not None and known[0].facts == facts else Origin(client, server, facts)
        if sure:
            if len(self._known) >= _MOST:
                del self._known[next(iter(self._known))]
            self._known[key] = (origin, now + _STANDS)
        return origin

    def _facts(self, uid: int, cgroup: int) -> tuple[Facts, bool]:
        """All that is known, and whether that is all there is to know."""
        if uid == _NOBODY.uid:
            return NOTHING_KNOWN, True
        user: Facts = NOTHING_KNOWN if uid == self._meaningless else frozenset((("unix.uid", str(uid)),))
        path = self._cgroups.path(cgroup, uid) if cgroup else ""
        if path is None:
            return user, False
        return user | units.facts(path, self._patterns), True
