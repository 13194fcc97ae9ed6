"""What can the kernel of this machine tell of callers, and if not all, why not?

It is asked about a connection that we make to ourselves, of which we know the answer. That is the only way to tell: a
kernel without the module for TCP gives the same answer as one that knows of no such connection.
"""

import errno
import os
import platform
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from agent.callers import End
from agent.callers.kernel import hierarchy, units, user_ids
from agent.callers.kernel.cgroups import Cgroups
from agent.callers.kernel.hierarchy import Hierarchy
from agent.callers.kernel.sock_diag import Owner, SockDiag
from agent.callers.kernel.units import NOWHERE, Place
from agent.clock import SystemClock

#: How long a connection to ourselves may take, in seconds.
_PATIENCE: Final = 1.0

#: What systemd has at the top of the hierarchy, wherever it runs.
_OF_SYSTEMD: Final = ("init.scope", "system.slice")

#: The groups that this process is in, one of each hierarchy; that of v2 has number 0 and no controllers (cgroups(7)).
_OWN: Final = Path("/proc/self/cgroup")

_WITHOUT: Final = "until then grant by token_file or unit_token"


@dataclass(frozen=True, slots=True)
class Wanting:
    """Something that the kernel cannot tell here: one sentence on what is wrong, and one on what to do.

    `of` is what it cannot tell of some callers, or of all: their users, their units, or both.
    """

    what: str
    hint: str
    of: Literal["users", "units", "both"] = "both"


@dataclass(frozen=True, slots=True)
class Sight:
    """What the kernel can tell of callers on this machine.

    Attributes:
        users: whether it tells the user of a caller.
        units: whether it tells the unit, the slices and the container of a caller.
        wanting: what keeps it from telling all, most serious first; some of it may be wanting although both are told.
        own: where in the tree of units this process itself is seen to be.
    """

    users: bool
    units: bool
    wanting: tuple[Wanting, ...] = ()
    own: Place = NOWHERE

    @property
    def summary(self) -> str:
        """One sentence, for the log."""
        if self.users:
            return "callers are recognised by user and unit" if self.units else "callers are recognised by user only"
        return "callers are recognised by unit only" if self.units else "callers are not recognised by what they are"


def probe(seen: Hierarchy | None = None) -> Sight:
    """Ask the kernel about connections of our own; takes some milliseconds, more if a module must be loaded first.

    Control groups are those to be `seen`, or what is found to be mounted. Raises nothing.
    """
    kernel = SockDiag()
    try:
        owner, wanting = _asked(kernel)
    finally:
        kernel.close()
    if owner is None:
        return Sight(users=False, units=False, wanting=tuple(wanting))
    lacking = _users_wanting(owner)
    own, missing = _units_wanting(owner, seen or hierarchy.mounted())
    missing = tuple(replace(one, of="units") for one in missing)
    users = owner.uid == os.geteuid() and user_ids.meaningless() != owner.uid
    return Sight(users, own is not None, (*wanting, *lacking, *missing), own or NOWHERE)


def _asked(kernel: SockDiag) -> tuple[Owner | None, list[Wanting]]:
    """What the kernel says of us: of IPv4 if it can, and what is wrong with either."""
    owners, wanting = [], []
    for family, name in ((socket.AF_INET, "IPv4"), (socket.AF_INET6, "IPv6")):
        try:
            with _connected(family) as (client, server):
                owner = kernel.owner(client, server)
        except _NoLoopback as error:
            if family == socket.AF_INET:
                what = f"this machine cannot connect to itself over {name}: {error}"
                wanting.append(Wanting(what, "bring the loopback interface up: ip link set lo up"))
        except OSError as error:
            wanting.append(_unasked(error))
            break
        else:
            if owner is None:
                wanting.append(_unknown(name))
            else:
                owners.append(owner)
    return (owners[0] if owners else None), wanting


class _NoLoopback(OSError):
    """This machine has no such address."""


@contextmanager
def _connected(family: int) -> Iterator[tuple[End, End]]:
    """A connection of ours to ourselves: its client's end, and its server's. Raises _NoLoopback."""
    here = "127.0.0.1" if family == socket.AF_INET else "::1"
    with (
        socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as listening,
        socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client,
    ):
        try:
            listening.bind((here, 0))
            listening.listen(1)
            client.settimeout(_PATIENCE)
            client.connect(listening.getsockname())
            ends = client.getsockname()[:2], client.getpeername()[:2]
        except OSError as error:
            raise _NoLoopback(error.strerror or "it takes too long") from error
        yield ends


def _unasked(error: OSError) -> Wanting:
    """Why there is no asking."""
    match error.errno:
        case errno.EAFNOSUPPORT:
            return Wanting(
                "this process may not use AF_NETLINK, by which the kernel is asked who calls",
                "add AF_NETLINK to RestrictAddressFamilies= of the unit",
            )
        case errno.EPERM | errno.EACCES:
            return Wanting(
                "a security policy keeps this process from asking the kernel who calls",
                "allow AF_NETLINK sockets of NETLINK_SOCK_DIAG: in the seccomp profile of the container, or in SELinux",
            )
        case errno.EPROTONOSUPPORT | errno.ESOCKTNOSUPPORT:
            return Wanting(
                "this kernel has no sock_diag, by which it is asked who calls",
                f"load inet_diag and tcp_diag, or use a kernel with CONFIG_INET_DIAG; {_WITHOUT}",
            )
        case _:
            return Wanting(
                f"the kernel cannot be asked who calls: {error.strerror or error}",
                f"see whether the command ss shows connections; {_WITHOUT}",
            )


def _unknown(name: str) -> Wanting:
    return Wanting(
        f"the kernel knows nothing of an {name} connection that is there",
        f"load the modules inet_diag and tcp_diag (modprobe tcp_diag), which this process may not do; {_WITHOUT}",
    )


def _users_wanting(owner: Owner) -> Iterator[Wanting]:
    if user_ids.meaningless() is not None:
        yield Wanting(
            "this process is in a user namespace that has not all users, so some callers have no user here",
            "run the agent outside the container to recognise them, or grant by unit or token",
            "users",
        )
    if owner.uid != os.geteuid():
        yield Wanting(
            f"the kernel says that this process is user {owner.uid}, and it is user {os.geteuid()}",
            "run the agent in the user namespace in which its sockets are made",
            "users",
        )


def _units_wanting(owner: Owner, seen: Hierarchy | None) -> tuple[Place | None, tuple[Wanting, ...]]:
    """Where we are in the tree of units, None if that is not to be had; and what is wrong."""
    if not owner.cgroup:
        return None, (
            Wanting(
                f"this kernel ({platform.release()}) does not tell the control group of a socket",
                "use kernel 5.8 or newer, built with CONFIG_SOCK_CGROUP_DATA, or grant by user or token",
            ),
        )
    if seen is None:
        return None, (
            Wanting(
                "no hierarchy of control groups v2 is mounted here, so units cannot be told",
                "boot with systemd.unified_cgroup_hierarchy=1, or let the container see /sys/fs/cgroup",
            ),
        )
    systemd = any(Path(seen.folder, name).is_dir() for name in _OF_SYSTEMD)
    part = () if seen.whole or systemd else (_in_part(seen.folder),)
    found = Cgroups(SystemClock(), seen).path(owner.cgroup, owner.uid)
    if not found:
        return None, part or (_elsewhere(seen.folder),)
    if blurred(found):
        return None, (_blurred_by(seen.folder),)
    if not systemd:
        return None, part or (_without_systemd(seen.folder),)
    return units.place(found), ()


def blurred(found: str, own: Path = _OWN) -> bool:
    """Whether the kernel takes every socket for one of the top group, although this process is in another."""
    try:
        lines = own.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    return found == "/" and any(line.startswith("0::/") and line != "0::/" for line in lines)


def _blurred_by(folder: str) -> Wanting:
    return Wanting(
        f"sockets are not told apart by their control group at {folder}, since net_cls or net_prio are in use",
        "use kernel 5.15 or newer, or no groups of net_cls and net_prio until the next boot",
    )


def _in_part(folder: str) -> Wanting:
    return Wanting(
        f"only a part of the control groups is to be seen at {folder}, so callers elsewhere have no unit here",
        "run the agent outside the container, or in the host's cgroup namespace (--cgroupns=host)",
    )


def _without_systemd(folder: str) -> Wanting:
    return Wanting(
        f"systemd has no units in the hierarchy at {folder}",
        "boot with systemd, in its unified or hybrid layout, or grant by user or token",
    )


def _elsewhere(folder: str) -> Wanting:
    return Wanting(
        f"this process is in a control group that is not to be found at {folder}",
        "let this process read that folder: see ProtectControlGroups= and InaccessiblePaths= of the unit",
    )
