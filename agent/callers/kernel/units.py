"""Which unit of systemd is a control group of, and which container?

The path of a control group is read as systemd reads it (cg_path_get_unit and cg_path_get_user_unit in its
basic/cgroup-util.c): slices first, then one unit; what is below that unit belongs to it, whatever its name. So whoever
is given a group of his own, as users are, can make groups of any name in it and never becomes another unit.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

from agent.callers import NOTHING_KNOWN, Facts
from agent.patterns import fitting

#: What a unit is called: letters, digits and a few signs, at most 255 in all (systemd.unit(5)), and of the types that
#: have a control group and are no slice.
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]{1,255}\.(?:service|scope|socket|mount|swap)")
_SLICE: Final = re.compile(r"[A-Za-z0-9:_.\\-]{1,249}\.slice")
_LONGEST: Final = 255

#: The manager of a user's own units: by the number of the user.
_USER_MANAGER: Final = re.compile(r"user@[0-9]{1,10}\.service")

#: The scopes that engines have PID 1 make for a container: Docker, Podman, containerd, CRI-O.
_CONTAINER: Final = re.compile(r"(?:docker|libpod|cri-containerd|crio)-([0-9a-f]{64})\.scope")

#: The groups that engines make themselves, without systemd: of Docker, Podman, and of a pod's containers.
_BARE_CONTAINER: Final = re.compile(
    r"/docker/([0-9a-f]{64})(?:/.*)?"
    r"|/libpod_parent/libpod-([0-9a-f]{64})(?:/.*)?"
    r"|/kubepods(?:/besteffort|/burstable)?/pod[0-9a-fA-F-]{32,36}/([0-9a-f]{64})(?:/.*)?",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Patterns:
    """The patterns that grants name: of system units, and of users' units. Only * and ? mean anything in them."""

    units: Collection[str] = ()
    user_units: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the tree of units a control group is; "" for what it is not.

    Attributes:
        slices: those around the unit, from the outside in.
        unit: the unit of the system, "backup@daily.service", "user@1000.service" or "session-3.scope".
        user_unit: the unit of the user's own manager; only inside of user@UID.service.
        container: the id of the container, if the system's own engine made it. What a user's engine makes, its user
            could make as well, and therefore it is no container here but a unit of that user.
    """

    slices: tuple[str, ...] = ()
    unit: str = ""
    user_unit: str = ""
    container: str = ""


#: In none: what is at the top of the hierarchy, or made by no systemd.
NOWHERE: Final = Place()


def place(path: str) -> Place:
    """Read the path of a control group, from the root of the hierarchy: "/system.slice/backup.service"."""
    steps = path.strip("/").split("/")
    slices, steps = _slices(steps)
    unit = _unit(steps)
    if not unit:
        bare = _BARE_CONTAINER.fullmatch(path)
        return Place(slices, container=next(filter(None, bare.groups()), "") if bare else "")
    if _USER_MANAGER.fullmatch(unit):
        _, inside = _slices(steps[1:])
        return Place(slices, unit, user_unit=_unit(inside))
    container = _CONTAINER.fullmatch(unit)
    return Place(slices, unit, container=container[1] if container else "")


def facts(path: str, patterns: Patterns) -> Facts:
    """What the path of a control group says of those in it; nothing if it is none of systemd's, nor a container's."""
    return frozenset(_told(place(path), patterns)) if path else NOTHING_KNOWN


def _told(found: Place, patterns: Patterns) -> Iterator[tuple[str, str]]:
    for each in found.slices:
        yield "systemd.slice", each
    if found.unit:
        yield "systemd.unit", found.unit
        if instance := _instance(found.unit):
            yield "systemd.instance", instance
        yield from (("systemd.unit.like", pattern) for pattern in fitting(patterns.units, found.unit))
    if found.user_unit:
        yield "systemd.user_unit", found.user_unit
        yield from (("systemd.user_unit.like", one) for one in fitting(patterns.user_units, found.user_unit))
    if found.container:
        yield "container.id", found.container


def _slices(steps: list[str]) -> tuple[tuple[str, ...], list[str]]:
    """The slices that a path begins with, and what comes after them."""
    count = 0
    while count < len(steps) and _SLICE.fullmatch(_unescaped(steps[count])):
        count += 1
    return tuple(_unescaped(step) for step in steps[:count]), steps[count:]


def _unit(steps: list[str]) -> str:
    """The unit that a path begins with; "" if it begins with none."""
    name = _unescaped(steps[0]) if steps else ""
    if len(name) > _LONGEST or not _UNIT.fullmatch(name):
        return ""
    before, at, instance = name.rpartition(".")[0].partition("@")
    return name if before and (instance or not at) else ""  # a template itself is never running


def _instance(unit: str) -> str:
    return unit.rpartition(".")[0].partition("@")[2]


def _unescaped(step: str) -> str:
    """The name without what systemd puts before one that could be taken for a file of the kernel's: _cpu.service."""
    return step.removeprefix("_")
