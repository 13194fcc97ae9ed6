"""Is a role, or a token, handed to more callers than was probably meant?"""

from collections.abc import Iterator
from typing import Final

from agent.patterns import fits, is_pattern
from agent.settings import Settings
from agent.settings.callers import Grant
from agent.settings.mistakes import listed, shown

_ROOT: Final = frozenset({"root", "0"})
#: Who has no number here: the overflow ids of user namespaces (user_namespaces(7)).
_NOBODY: Final = frozenset({"nobody", "nogroup", "65534"})
#: Groups that distributions put nearly everybody into.
_EVERYBODY: Final = frozenset({"users", "100"})
_WIDE_SLICES: Final = {
    "system.slice": "nearly every service of this machine is in it",
    "user.slice": "everybody who logs in is in it",
    "machine.slice": "containers and virtual machines are in it, whosoever they are",
}
#: A unit of everybody who logs in, and what they are called.
_OF_USERS: Final = {
    "session-1.scope": "the sessions of everybody who logs in",
    "user@1000.service": "what any user starts with systemctl --user",
}


def openings(settings: Settings) -> Iterator[str]:
    """Say who else gets it, and how to keep them out."""
    for number, grant in enumerate(settings.grants, start=1):
        given = listed(grant.given)
        if grant.anyone:
            everywhere = listed(_addresses(settings))
            yield f"grants#{number}.anyone: every process that can connect to {everywhere} gets {given}"
        yield from (f"grants#{number}.{word}: {said}" for word, said in _opening(grant, given))
    if settings.containers is not None and settings.containers.recognise == "address":
        said = "a container that may send packets by hand, as Docker's may, can pass for another"
        yield f'containers.recognise: is "address": {said}; "namespace" cannot be deceived so'


def _addresses(settings: Settings) -> list[str]:
    """All at which credentials are handed out."""
    listen, containers = settings.listen, settings.containers
    found = (*listen.credentials_addresses, *(containers.listen if containers else ()), *filter(None, [listen.imds]))
    return [str(address) for address in found]


def _opening(grant: Grant, given: str) -> Iterator[tuple[str, str]]:
    """What one word lets in, where no other word keeps it out."""
    known = {*grant.named}
    if known <= {"user", "group"} and _ROOT & {*grant.user}:
        yield "user", f"every process of root gets {given}, most services among them; add unit, unless that is meant"
    if known <= {"user", "group", "executable"} and (odd := _NOBODY & {*grant.user, *grant.group}):
        word = "user" if odd & {*grant.user} else "group"
        said = "several services, and all users whose numbers mean nothing here"
        yield word, f"{shown(min(odd))} is nobody in particular, but {said}; grant it by unit"
    if known <= {"group", "executable"} and (wide := _EVERYBODY & {*grant.group}):
        yield "group", f"nearly every user may be in {shown(min(wide))}, and gets {given}; name a group of their own"
    if known <= {"slice", "executable"} and (slices := _WIDE_SLICES.keys() & {*grant.slice}):
        first = min(slices)
        yield "slice", f"{_WIDE_SLICES[first]}, and gets {given}; name units, or a slice of their own"
    if known <= {"unit", "slice", "executable"}:
        yield from _wide_units(grant, given)
    if known <= {"user_unit", "slice", "executable"} and grant.user_unit:
        names = shown(grant.user_unit[0])
        yield "user_unit", f"any user can start a unit of their own by the name {names}; add user, or group"
    if known == {"executable"}:
        said = "whoever may start that program can have it do as they like"
        yield "executable", f"{said}, and gets {given}; add user, or unit"


def _wide_units(grant: Grant, given: str) -> Iterator[tuple[str, str]]:
    for pattern in filter(is_pattern, grant.unit):
        whose = [whom for example, whom in _OF_USERS.items() if fits(pattern, example)]
        letters = [mark for mark in pattern.rpartition(".")[0] if mark.isalnum()]
        if whose:
            yield "unit", f"{shown(pattern)} fits {listed(whose)}, who get {given}; add user, or group"
        elif len(letters) == 1 and "@" not in pattern:
            yield "unit", f"{shown(pattern)} fits units that nobody has thought of yet; write more of the name"
