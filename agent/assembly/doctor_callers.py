"""What is there on this machine of what the grants name, and what does the agent see of us?"""

import grp
import os
import pwd
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from agent.assembly.installed import UNIT_DIRECTORIES, is_installed, unit_files
from agent.assembly.sight import Sight, sight
from agent.callers.containers.engine import Engine
from agent.doctor import Tried, callers
from agent.doctor.callers import Kind, Meant, Named, Seen
from agent.doctor.environment import FULL_URI, variables
from agent.errors import AgentError, ConfigurationError
from agent.patterns import fits
from agent.settings import Grant, Settings
from agent.settings.callers import BY_KERNEL
from agent.threads import aside

_BY_UNIT: Final = frozenset({"unit", "user_unit", "slice"})
#: The words of grants that name what this machine knows of, and what that is.
_KINDS: Final[Mapping[str, Kind]] = {
    "user": "user",
    "group": "group",
    "unit": "unit",
    "unit_token": "unit",
    "container": "container",
    "executable": "executable",
}


async def callers_link(
    settings: Settings,
    answer: Mapping[str, Any] | AgentError | None,
    everybody: Path,
    units: Sequence[Path] = UNIT_DIRECTORIES,
) -> Tried:
    """The link; `answer` is what the agent says of us, None if it was not to be asked. Raises nothing."""
    words = {word for grant in settings.grants for word in grant.named}
    by_kernel = settings.callers.recognise == "kernel" and bool(words & {*BY_KERNEL})
    there = await aside(sight) if by_kernel else Sight(users=True, units=True)
    wanting = [(one.what, one.hint) for one in there.wanting]
    containers, trouble = await _containers(settings) if "container" in words else (None, None)
    meant = Meant(
        by_kernel=by_kernel,
        by_unit=bool(words & _BY_UNIT),
        by_itself=any(grant.anyone or not {"token_file", "unit_token"} & {*grant.named} for grant in settings.grants),
        absent=await aside(_absent, settings.grants, units, containers),
        uid=os.geteuid(),
        url=f"http://{settings.listen.credentials}/v1/credentials",
    )
    led = (await aside(variables, everybody)).get(FULL_URI, "")
    return callers.examined(meant, Seen(there.users, there.units, wanting, trouble, answer, led))


async def _containers(settings: Settings) -> tuple[Collection[str] | None, AgentError | None]:
    """The names of the containers that run; None if nobody can say, and why if that is wrong."""
    if settings.containers is None:
        return None, None
    path = settings.containers.engine_socket
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return None, None  # the agent's user may
    try:
        listed = await Engine(settings.containers.engine, path).list()
    except ConfigurationError as error:
        return None, error
    return {one.name for one in listed}, None


def _absent(grants: Sequence[Grant], units: Sequence[Path], containers: Collection[str] | None) -> list[Named]:
    """Those named that this machine does not know; not those of whom nobody can say."""
    files = unit_files(units)
    found: dict[Kind, Collection[str] | None] = {"unit": files or None, "container": containers}
    return [one for one in _named(grants) if not _is_there(one, found.get(one.kind))]


def _named(grants: Sequence[Grant]) -> Iterator[Named]:
    for number, grant in enumerate(grants, start=1):
        for word, kind in _KINDS.items():
            yield from (Named(f"grants#{number}.{word}", kind, name) for name in grant.values(word))


def _is_there(one: Named, known: Collection[str] | None) -> bool:
    match one.kind:
        case "user":
            return one.name.isdecimal() or _knows(pwd.getpwnam, one.name)
        case "group":
            return one.name.isdecimal() or _knows(grp.getgrnam, one.name)
        case "executable":
            return Path(one.name).exists()
        case "unit":
            return known is None or is_installed(one.name, known)
        case "container":
            return known is None or any(fits(one.name, name) for name in known)


def _knows(ask: Any, name: str) -> bool:
    with suppress(KeyError):
        ask(name)
        return True
    return False
