"""Which grants can hardly ever count, by how systemd and the kernel see callers?"""

import re
from collections.abc import Iterator
from typing import Final

from agent.settings import Settings
from agent.settings.callers import BY_KERNEL, Grant
from agent.settings.likeness import covers, meet
from agent.settings.mistakes import shown

#: What people start: sessions, and the managers of their own units. systemd has all of it in user.slice.
_OF_USERS: Final = ("session-*.scope", "user@*.service")
_USER_SLICE: Final = re.compile(r"user(-[0-9]+)?\.slice")
_ONE_SESSION: Final = re.compile(r"session-c?[0-9]+\.scope")


def in_vain(settings: Settings) -> Iterator[str]:
    """Say which conditions are never true together, and what can be written instead."""
    for number, grant in enumerate(settings.grants, start=1):
        for word, said in (*_sessions(grant), *_tokens(grant), *_containers(grant, settings)):
            yield f"grants#{number}.{word}: {said}"
    grants = settings.grants
    if settings.containers is not None and not any(grant.container for grant in grants):
        yield "containers: no grant names a container; add container to one, or take the section out"
    if settings.unit_tokens is not None and not any(grant.unit_token for grant in grants):
        yield "unit_tokens: no grant names a unit by its token; add unit_token to one, or take the section out"


def _sessions(grant: Grant) -> Iterator[tuple[str, str]]:
    of_users = grant.user_unit or (
        grant.unit and all(any(covers(theirs, unit) for theirs in _OF_USERS) for unit in grant.unit)
    )
    if of_users and grant.slice and not any(_USER_SLICE.fullmatch(name) for name in grant.slice):
        said = f"nothing that a user starts is in {shown(grant.slice[0])}, but in user.slice"
        yield "slice", f"{said}; leave it out, or name the slice of a user, as in user-1000.slice"
    for unit in grant.unit:
        if _ONE_SESSION.fullmatch(unit):
            yield "unit", f"{shown(unit)} is one session, and the next has another number; grant it by user"


def _tokens(grant: Grant) -> Iterator[tuple[str, str]]:
    """Systemd gives a token to the unit that it is for, and that unit keeps it from others."""
    for units in (grant.unit, grant.user_unit):
        if units and grant.unit_token and not any(meet(a, b) for a in units for b in grant.unit_token):
            said = f"a token of {shown(grant.unit_token[0])} is not seen in {shown(units[0])}"
            yield "unit_token", f"{said}; write the same unit in both, or leave one of them out"


def _containers(grant: Grant, settings: Settings) -> Iterator[tuple[str, str]]:
    """Of connections out of another network namespace the kernel tells nothing."""
    other = next((word for word in BY_KERNEL if grant.values(word)), "")
    if not grant.container or not other or settings.containers is None:
        return
    if settings.containers.recognise == "address":
        said = f'beside "{other}" it never fits: a container is known by its address, of which the kernel tells no more'
        yield "container", f"{said}; keep one of them"
    else:
        said = f'beside "{other}" it fits only a container that uses the network of this machine (host)'
        yield "container", f"{said}; of others nothing but the container is known"
