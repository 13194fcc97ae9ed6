"""Does this machine have what the configuration names: units, users, groups, programs, addresses?

Nothing here keeps the agent from starting: a unit may be installed later, and a user be made, and then grants count.
"""

import errno
import grp
import os
import pwd
import socket
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

from agent.assembly.installed import UNIT_DIRECTORIES, is_installed, template_of, unit_files
from agent.assembly.sight import Sight, sight
from agent.patterns import is_pattern
from agent.settings import Https, Settings
from agent.settings.callers import BY_KERNEL, Grant
from agent.settings.mistakes import near_word, shown
from agent.settings.outputs import Address, numbered

_OF_SYSTEMD: Final = ("unit", "user_unit", "slice")


def absent(
    settings: Settings, *, units: Sequence[Path] = UNIT_DIRECTORIES, see: Callable[[], Sight] = sight
) -> Iterator[str]:
    """Say what is not there, with the setting that names it. Asks the account databases, which may take a while."""
    yield from _unseen(settings, see)
    installed = unit_files(units)
    for number, grant in enumerate(settings.grants, start=1):
        for word, said in (*_accounts(grant), *_units(grant, units, installed), *_programs(grant)):
            yield f"grants#{number}.{word}: {said}"
    for number, file in enumerate(settings.files, start=1):
        if file.group is not None and not _there(grp.getgrnam, grp.getgrgid, file.group):
            yield f"files#{number}.group: there is no group {shown(file.group)} on this machine"
    yield from _engine(settings)
    yield from _addresses(settings)


def _unseen(settings: Settings, see: Callable[[], Sight]) -> Iterator[str]:
    """What grants ask for and the kernel does not tell, once for all grants."""
    words = {word: number for number, grant in reversed([*enumerate(settings.grants, 1)]) for word in grant.named}
    asked = [word for word in BY_KERNEL if word in words]
    if settings.callers.recognise == "off" or not asked:
        return
    seen = see()
    unknown = [word for word in asked if not (seen.units if word in _OF_SYSTEMD else seen.users)]
    for one in seen.wanting:
        concerned = [word for word in unknown if one.of == "both" or (one.of == "units") == (word in _OF_SYSTEMD)]
        if concerned:
            where = f"grants#{words[concerned[0]]}.{concerned[0]}"
            yield f"{where}: is known of no caller here: {one.what}; {one.hint}"


def _accounts(grant: Grant) -> Iterator[tuple[str, str]]:
    for name in grant.user:
        if not name.isdigit() and not _there(pwd.getpwnam, pwd.getpwuid, name):
            yield "user", f"there is no user {shown(name)} on this machine; the grant counts once there is"
    for name in grant.group:
        if not name.isdigit() and not _there(grp.getgrnam, grp.getgrgid, name):
            yield "group", f"there is no group {shown(name)} on this machine; the grant counts once there is"


def _there(by_name: Callable[[str], object], by_number: Callable[[int], object], name: str) -> bool:
    """Whether the account databases know it; what cannot be asked is taken to be there."""
    try:
        return bool(by_number(int(name)) if name.isdigit() else by_name(name))
    except (KeyError, ValueError, OverflowError):
        return False
    except OSError:
        return True


def _units(grant: Grant, directories: Sequence[Path], installed: Collection[str]) -> Iterator[tuple[str, str]]:
    if not installed:
        return  # not a machine that systemd runs
    for word in ("unit", "unit_token"):
        for name in grant.values(word):
            if said := _missing(name, installed, directories):
                yield word, said


def _missing(name: str, installed: Collection[str], directories: Sequence[Path]) -> str:
    """What is to be said of a unit that a grant names; "" if it is there, under that name."""
    if is_installed(name, installed):
        return _alias(name, directories) if name in installed else ""
    if is_pattern(name):
        return f"no unit on this machine fits {shown(name)}; the grant counts once there is one"
    stem, _, kind = name.rpartition(".")
    known = [one.removesuffix(f".{kind}") for one in installed if one.endswith(f".{kind}")]
    near = near_word(stem, [one for one in known if not one.endswith("@")])
    meant = f" (did you mean {shown(f'{near}.{kind}')}?)" if near else ""
    return f"there is no unit {shown(name)} on this machine{meant}; the grant counts once there is"


def _alias(name: str, directories: Sequence[Path]) -> str:
    """A unit is known by its own name, however it was started; and not at all if it is masked."""
    for directory in directories:
        file = directory / name
        try:
            if not stat.S_ISLNK(file.lstat().st_mode):
                return ""
            own = file.resolve().name
        except OSError:
            continue
        if own == "null":
            return f"{shown(name)} is masked on this machine, so it never runs"
        if own not in {name, template_of(name)}:
            return f"{shown(name)} is another name of {shown(own)}, by which its processes are known; write that"
        return ""
    return ""


def _programs(grant: Grant) -> Iterator[tuple[str, str]]:
    for name in grant.executable:
        try:
            real = os.path.realpath(name, strict=True)
        except FileNotFoundError:
            yield "executable", f"there is no {shown(name)} on this machine; the grant counts once there is"
            continue
        except OSError:
            continue  # not for us to look at
        if real != name:
            said = f"{shown(name)} is a link to {shown(real)}, by which the kernel knows it; write that"
            yield "executable", said
        elif _is_script(real):
            said = f"{shown(name)} is a script, and what runs is the program that reads it; grant it by unit"
            yield "executable", said


def _is_script(path: str) -> bool:
    try:
        with Path(path).open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _engine(settings: Settings) -> Iterator[str]:
    containers = settings.containers
    if containers is None:
        return
    path = containers.engine_socket
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            yield f"containers.socket: {shown(str(path))} is not a socket"
    except FileNotFoundError:
        said = f"does not exist; start {containers.engine}, or name its socket"
        yield f"containers.socket: {shown(str(path))} {said}"
    except OSError as error:
        yield f"containers.socket: {shown(str(path))} cannot be looked at: {error.strerror}"


def _addresses(settings: Settings) -> Iterator[str]:
    """Addresses that this machine does not have; of those for containers that nobody has written, one is enough."""
    named = [(f"listen.{word}", address) for word, address in settings.listen.addresses()]
    if isinstance(settings.publishing, Https):
        named.append(("publishing.listen", settings.publishing.listen))
    containers = settings.containers
    if containers is not None and "listen" in containers.model_fields_set:
        named += numbered("containers.listen", containers.listen)
    elif containers is not None and all(_not_ours(address) for address in containers.listen):
        yield f"containers.listen: {_not_ours(containers.listen[0])}"
    yield from (f"{word}: {said}" for word, address in named if (said := _not_ours(address)))


def _not_ours(address: Address) -> str:
    """What keeps this machine from listening there; the port is not tried, since an agent may run."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.bind((address.host, 0))
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT or (error.errno == errno.EADDRNOTAVAIL and address.host == "::1"):
            return f"{address.host} cannot be listened on: IPv6 is off on this machine"
        if error.errno == errno.EADDRNOTAVAIL:
            host = f"{address.host}/{'128' if family == socket.AF_INET6 else '32'}"
            return f"{address.host} is not an address of this machine; add it, as in: ip address add {host} dev lo"
    return ""
