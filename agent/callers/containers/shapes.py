"""What does a container engine's answer say that we want to know?

Of the Docker Engine API, as Docker and Podman speak it; what we do not know of is passed over. An engine is trusted as
root is, but what stands in its answers was in part written by whoever started a container.
"""

import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Final

#: The full id of a container, as engines make it.
ID: Final = re.compile(r"[0-9a-f]{64}")

#: No process has a higher id: it would be no int of C, and no call takes it.
_LAST_PID: Final = 2**31 - 1

#: The name of one: what engines let it be, without the slash with which they write it.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,254}")


class Unintelligible(Exception):
    """That is no answer of such an engine; says why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A running container as the list of them has it; `name` is "" where it has none that could be granted anything.

    `joined` is the id of the container whose network it uses, where that is how it was started and the engine says so.
    """

    id: str
    name: str
    addresses: frozenset[str]
    joined: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """A running container as one asks about it alone.

    Attributes:
        id: 64 hexadecimal digits.
        name: without the slash; "" where it has none.
        pid: the id of its first process, as the engine counts processes.
        started: when that was, in the engine's own spelling.
        sandbox: a file that is its network namespace; "" where it has none of its own, or the engine does not say.
    """

    id: str
    name: str
    pid: int
    started: str
    sandbox: str


def listed(content: bytes) -> list[Listed]:
    """The containers of GET /containers/json that run, or are paused. Raises Unintelligible."""
    document = _json(content)
    if not isinstance(document, list):
        raise Unintelligible("it is no list of containers")
    found = []
    for one in document:
        container = _object(one)
        if container.get("State", "running") not in ("running", "paused"):  # it may be of any type
            continue
        names = container.get("Names")
        called = [name for name in map(_name, names if isinstance(names, list) else []) if name]
        networks = _object(_object(container.get("NetworkSettings")).get("Networks"))
        addresses = {address for network in networks.values() for address in _addresses(_object(network))}
        mode = _object(container.get("HostConfig")).get("NetworkMode")
        joined = mode.removeprefix("container:") if isinstance(mode, str) and mode.startswith("container:") else ""
        found.append(Listed(_id(container), called[0] if called else "", frozenset(addresses), joined))
    return found


def running(content: bytes) -> Running | None:
    """The container of GET /containers/{id}/json; None if it does not run. Raises Unintelligible."""
    container = _object(_json(content))
    state = _object(container.get("State"))
    pid, started = state.get("Pid"), state.get("StartedAt")
    identity = _id(container)
    if state.get("Running") is not True or isinstance(pid, bool) or not isinstance(pid, int):
        return None
    if not 0 < pid <= _LAST_PID:
        return None
    sandbox = _object(container.get("NetworkSettings")).get("SandboxKey")
    return Running(
        identity,
        _name(container.get("Name")),
        pid,
        started if isinstance(started, str) else "",
        sandbox if isinstance(sandbox, str) and sandbox.startswith("/") and "\0" not in sandbox else "",
    )


def _json(content: bytes) -> object:
    try:
        document: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unintelligible("it is no JSON") from error
    return document


def _object(value: object) -> dict[str, object]:
    """A JSON object; engines write null where there is nothing in one."""
    return value if isinstance(value, dict) else {}


def _id(container: dict[str, object]) -> str:
    identity = container.get("Id")
    if not isinstance(identity, str) or ID.fullmatch(identity) is None:
        raise Unintelligible("it has a container without an id")
    return identity


def _name(value: object) -> str:
    """Without the slash. Docker lists "/other/alias", too, which is what another one calls it."""
    name = value.removeprefix("/") if isinstance(value, str) else ""
    return name if _NAME.fullmatch(name) else ""


def _addresses(network: dict[str, object]) -> list[str]:
    """Its addresses there, spelt as the kernel spells them."""
    found = []
    for member in ("IPAddress", "GlobalIPv6Address"):
        value = network.get(member)
        if isinstance(value, str) and value:
            try:
                found.append(str(ipaddress.ip_address(value)))
            except ValueError:
                continue
    return found
