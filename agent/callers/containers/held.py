"""What do we hold of a container while it runs?

Its first process, by which we know that it is still the same, and a line to the kernel in its network namespace.
"""

import errno
import os
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from agent.callers import NOTHING_KNOWN, End, Facts
from agent.callers.containers.namespace import Line, Owner, line_in
from agent.callers.containers.process import Process, cgroup_ids, cgroup_of, inode
from agent.callers.containers.shapes import Running
from agent.errors import ConfigurationError
from agent.patterns import fitting
from agent.threads import aside

_PRIVILEGES: Final = (
    'grant CAP_SYS_ADMIN and CAP_SYS_PTRACE, as in docs/containers.md, or set containers.recognise = "address"'
)


class Inspecting(Protocol):
    """What is asked of the engine about one container."""

    async def inspect(self, identity: str) -> Running | None:
        """The container of that full id, if it runs. Raises ConfigurationError."""
        ...


@dataclass(slots=True, eq=False)
class Container:
    """A running container. `namespace` is the inode number of its network namespace, 0 if that was not looked at."""

    id: str
    process: Process
    namespace: int = 0
    cgroup: Path | None = None
    line: Line | None = None
    facts: Facts = NOTHING_KNOWN
    _cgroups: frozenset[int] = field(default=frozenset())

    @property
    def alive(self) -> bool:
        """Whether it is still there."""
        return self.process.alive

    def owner(self, client: End, server: End) -> Owner | None:
        """Who in there holds the client's end of that connection, if somebody does."""
        if self.line is None or not self.alive:
            return None
        try:
            return self.line.owner(client, server)
        except OSError:
            self.close()  # it is held anew at the next look
            return None

    def has(self, cgroup: int) -> bool:
        """Whether that is the id of its cgroup, or of one below."""
        if self.cgroup is not None and cgroup not in self._cgroups:
            self._cgroups = cgroup_ids(self.cgroup)
        return cgroup in self._cgroups

    @property
    def traceable(self) -> bool:
        """Whether the kernel's word for a cgroup can tell who is in this container."""
        return bool(self._cgroups)

    def close(self) -> None:
        """Let go of it: it is not alive any more, as far as we are concerned."""
        self.process.close()
        if self.line is not None:
            self.line.close()
            self.line = None


async def by_namespace(engine: Inspecting, identity: str, line: Callable[[], Line], own: int) -> Container | None:
    """Hold the container of that id so that the kernel can be asked in its namespace; `own` is the inode of ours.

    The process must be in a cgroup that bears the container's id, or in the namespace that the engine names. None if
    it does not run any more. Raises ConfigurationError if the engine cannot be asked, or its word not be proven.
    """
    found = await engine.inspect(identity)
    if found is None:
        return None
    process = await _process(engine, found)
    if process is None:
        return None
    container = Container(identity, process)
    try:
        await _enter(container, found, line, own)
    except BaseException as error:
        gone = not process.alive
        container.close()
        if gone and isinstance(error, OSError | ConfigurationError):
            return None
        if isinstance(error, OSError):
            what = f"cannot look into the network namespace of container {_called(found)}: {error.strerror}"
            raise ConfigurationError(what, hint=_PRIVILEGES) from error
        raise
    return container


async def _enter(container: Container, found: Running, line: Callable[[], Line], own: int) -> None:
    """Open a line in its namespace, unless that is ours. Raises OSError, ConfigurationError."""
    descriptor = container.process.namespace()
    try:
        container.namespace = os.fstat(descriptor).st_ino
        cgroups = container.process.cgroups()
        container.cgroup = cgroup_of(found.id, cgroups)
        if found.id not in cgroups and container.namespace not in (inode(found.sandbox), own):
            raise _unproven(found)
        if container.namespace != own:  # who uses ours is recognised as everybody out here is
            container.line = await _opened(os.dup(descriptor), line)
    finally:
        os.close(descriptor)


async def _opened(namespace: int, line: Callable[[], Line]) -> Line:
    """A line in that namespace, whose descriptor is closed. Raises OSError."""
    try:
        return await aside(line_in, namespace, line)
    except RuntimeError as error:  # no thread is to be had
        os.close(namespace)
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error


async def by_address(engine: Inspecting, identity: str) -> Container | None:
    """Hold the container of that id, to know when it ends. None if it has. Raises ConfigurationError.

    The engine is asked twice: what it says again of a process once we hold on to that is no leftover of an earlier one.
    """
    found = await engine.inspect(identity)
    if found is None:
        return None
    process = await _process(engine, found)
    if process is None:
        return None
    again = None
    try:
        again = await engine.inspect(identity)
    finally:
        if again is None or not _same(found, again) or not process.alive:
            process.close()
    return Container(identity, process) if process.alive else None


def told(identity: str, name: str, engine: str, patterns: Collection[str]) -> Facts:
    """The facts of a container, those of the `patterns` that its name fits included."""
    facts = {("container.id", identity), ("container.engine", engine)}
    if name:
        facts.add(("container.name", name))
        facts |= {("container.name.like", pattern) for pattern in fitting(patterns, name)}
    return frozenset(facts)


async def _process(engine: Inspecting, found: Running) -> Process | None:
    """Its first process; None if it has ended. Raises ConfigurationError if there is none though it has not."""
    try:
        return Process(found.pid)
    except OSError as error:
        again = await engine.inspect(found.id)
        if again is None or not _same(found, again):
            return None
        raise _unproven(found) from error


def _same(one: Running, other: Running) -> bool:
    return (one.pid, one.started) == (other.pid, other.started)


def _unproven(found: Running) -> ConfigurationError:
    return ConfigurationError(
        f"process {found.pid} is not that of container {_called(found)}, as the engine says",
        hint="the agent and the engine must count processes alike: run both on the host itself",
    )


def _called(found: Running) -> str:
    return found.name or found.id[:12]
