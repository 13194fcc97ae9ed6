"""How are users, units, containers and programs named?

As the system itself names them, since that is what callers are compared with: a name that no user and no unit can
have is a mistake here, and not a grant that never comes true.
"""

import os.path
import re
from typing import Annotated, Final

from pydantic import PlainValidator, ValidationInfo

from agent.patterns import is_pattern
from agent.settings.mistakes import Wrong, kind_of, listed, shown
from agent.settings.section import Surroundings
from agent.settings.spelling import Reader, read_array, read_text, text

#: systemd's own limit (systemd.unit(5)), and what unit names are made of; "\" is in escaped ones.
_LONGEST_UNIT: Final = 255
_UNIT: Final = re.compile(r"[A-Za-z0-9:_.\\@-]+")
#: Kinds of units that processes run in. Slices are said by another word; all the others have no processes.
_RUNNING: Final = ("service", "scope", "socket", "mount", "swap")
_IDLE: Final = ("target", "timer", "path", "device", "automount")
#: Units that can be given credentials (systemd.exec(5)).
_LOADING: Final = ("service", "socket", "mount", "swap")
#: Below the one that stands for "none" (chown(2)).
_NUMBERS: Final = 4_294_967_295
_LONGEST_NAME: Final = 256
_CONTAINER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_CONTAINER_ID: Final = re.compile(r"[0-9a-f]{12}|[0-9a-f]{64}")
_LONGEST_PATH: Final = 4095


def _account(value: str, word: str) -> str:
    """A name as systemd takes it where it is not strict, which is what directories of users need as well."""
    if not value.strip() or value != value.strip():
        raise Wrong(f"is empty, or begins or ends with a blank; write the name of a {word}")
    if is_pattern(value):
        raise Wrong(f"{shown(value)} is a pattern, which names of {word}s are not taken as; write each {word}")
    if "," in value:
        raise Wrong(f'{shown(value)} has a comma; write several as {word} = ["…", "…"]')
    odd = not value.isprintable() or any(mark in value for mark in ":/$!") or value[0] in "-+~"
    if odd or value in {".", ".."} or value.isdigit() or len(value.encode()) > _LONGEST_NAME:
        raise Wrong(f"{shown(value)} is no name that a {word} can have")
    return value


def _user(value: str, _: Surroundings) -> str:
    if value[:1] in {"@", "%"}:
        raise Wrong(f"{shown(value)} looks like a group; write group = {shown(value[1:])}")
    return _number(value, "user") if _is_number(value) else _account(value, "user")


def _group(value: str, _: Surroundings) -> str:
    if value[:1] in {"@", "%"}:
        raise Wrong(f"{shown(value)} begins with a sign that is no part of the name; write {shown(value[1:])}")
    return _number(value, "group") if _is_number(value) else _account(value, "group")


def _is_number(value: str) -> bool:
    return value.isascii() and value.isdigit()


def _number(value: str, word: str) -> str:
    """The number of a user or a group, as the kernel spells it. Raises Wrong."""
    if len(value) > 10 or value != str(int(value)) or int(value) >= _NUMBERS:
        raise Wrong(f"{shown(value)} is not the number of a {word}: 0 to 4294967294, without zeros before it")
    return value


def _unit_name(value: str, word: str, kinds: tuple[str, ...]) -> str:
    """A unit, or a pattern of units, of one of these kinds. Raises Wrong."""
    _unit_marks(value)
    stem, dot, suffix = value.rpartition(".")
    if suffix == "slice" and dot:
        raise Wrong(f"{shown(value)} is a slice; write slice = {shown(value)}")
    if suffix in _IDLE and dot:
        raise Wrong(f'no process ever runs in a {suffix}; write the unit that it starts, as in "backup.service"')
    if suffix not in _RUNNING or not dot:
        raise Wrong(f"{shown(value)} has no ending that says what kind of unit it is{_meant(value)}")
    if suffix not in kinds:
        raise Wrong(f"{shown(value)} is a {suffix}, which {word} cannot be; only {listed(kinds)} units can")
    if not any(mark.isalnum() for mark in stem):
        raise Wrong(f"{shown(value)} fits nearly every unit; write more of the name, or anyone = true if that is meant")
    if stem.endswith("@"):
        instances = shown(f"{stem}*.{suffix}")
        raise Wrong(f"{shown(value)} is a template, in which no process runs; write {instances} for all its instances")
    return value


def _unit_marks(value: str) -> None:
    """What a unit is spelt with. Raises Wrong."""
    if not value.strip():
        raise Wrong('is empty; write the name of a unit, as in "backup.service"')
    if any(mark in value for mark in "[]{}"):
        raise Wrong(f"{shown(value)} has brackets; a pattern knows * and ? alone")
    if "/" in value:
        raise Wrong(f"{shown(value)} is a path; write the name of the unit alone, as systemctl status shows it")
    if not any(mark.isalnum() for mark in value):
        raise Wrong(f"{shown(value)} fits nearly every unit; write more of the name, or anyone = true if that is meant")
    odd = not _UNIT.fullmatch(value.replace("*", "x").replace("?", "x")) or value[0] in "@."
    if odd or len(value) > _LONGEST_UNIT:
        raise Wrong(f"{shown(value)} is no name that a unit can have: letters, digits and : _ . - @ \\, at most 255")


def _meant(value: str) -> str:
    """What was probably meant by a unit without a kind."""
    if value.endswith((".*", ".?")):
        return '; write it out, as in "backup*.service"'
    name = f"{value.rstrip('.')}{'*' if value.endswith('@') else ''}.service"
    return f" (did you mean {shown(name)}?)" if shown(name) != "this" else '; write it as in "backup.service"'


def _unit(value: str, _: Surroundings) -> str:
    return _unit_name(value, "this", _RUNNING)


def _user_unit(value: str, _: Surroundings) -> str:
    return _unit_name(value, "a unit of a user", _RUNNING)


def _unit_token(value: str, _: Surroundings) -> str:
    return _unit_name(value, "a unit with a token", _LOADING)


def _slice(value: str, _: Surroundings) -> str:
    if is_pattern(value):
        raise Wrong(f"{shown(value)} is a pattern, which slices are not taken as; name one that all of them are in")
    if not _UNIT.fullmatch(value) or len(value) > _LONGEST_UNIT:
        raise Wrong(f'{shown(value)} is no name that a slice can have; write it as in "backup.slice"')
    stem, dot, suffix = value.rpartition(".")
    if dot and suffix in (*_RUNNING, *_IDLE):
        raise Wrong(f"{shown(value)} is a unit, but no slice; write unit = {shown(value)}")
    if not dot or suffix != "slice":
        meant = f" (did you mean {shown(f'{value}.slice')}?)" if shown(value).startswith('"') else ""
        raise Wrong(f"{shown(value)} does not end in .slice{meant}")
    if stem == "-":
        raise Wrong('"-.slice" is around everything, so nobody is known by it; write anyone = true if that is meant')
    if not stem or stem.startswith("-") or stem.endswith("-") or "--" in stem:
        raise Wrong(f"{shown(value)} is no name that a slice can have: dashes stand between the names of slices")
    return value


def _container(value: str, _: Surroundings) -> str:
    name = value.removeprefix("/")  # as Docker's API writes it
    if not name:
        raise Wrong('is empty; write the name of a container, as in "web"')
    if not any(mark.isalnum() for mark in name):
        raise Wrong(f"{shown(value)} fits nearly every container; write more of the name")
    if not _CONTAINER.fullmatch(name.replace("*", "x").replace("?", "x")) or len(name) > _LONGEST_NAME:
        raise Wrong(f"{shown(value)} is no name that a container can have: letters, digits and _ . -")
    if _CONTAINER_ID.fullmatch(name):
        raise Wrong("looks like the id of a container, which is another one after each update; write its name")
    return name


def _executable(value: str, _: Surroundings) -> str:
    if is_pattern(value):
        raise Wrong(f"{shown(value)} is a pattern, which programs are not taken as; write the path of each")
    if value[:1] != "/" or value[:2] == "//" or value.endswith("/"):
        raise Wrong(f'{shown(value)} is not the absolute path of a program; write it as in "/usr/bin/restic"')
    if not value.isprintable() or len(value.encode()) > _LONGEST_PATH:
        raise Wrong("is not a path: it is too long, or holds line breaks or other unprintable characters")
    if os.path.normpath(value) != value:
        raise Wrong(f"{shown(value)} goes a roundabout way; write {shown(os.path.normpath(value))}")
    return value


def _names(word: str, reader: Reader[str], of: str) -> PlainValidator:
    """Take one name, or an array of them; say of numbers how they are written."""

    def check(value: object, info: ValidationInfo) -> tuple[str, ...]:
        if isinstance(value, int) and not isinstance(value, bool):
            raise Wrong(f"must be text in quotes; write {word} = {shown(str(value))}")
        if isinstance(value, str):
            return (read_text(value, reader, Surroundings.of(info)),)
        if not isinstance(value, list):
            raise Wrong(f"must be text in quotes, or an array of {of}, not {kind_of(value)}")
        return read_array(value, reader, Surroundings.of(info), of)

    return PlainValidator(check)


Users = Annotated[tuple[str, ...], _names("user", _user, "names of users")]
Groups = Annotated[tuple[str, ...], _names("group", _group, "names of groups")]
Units = Annotated[tuple[str, ...], _names("unit", _unit, "names of units")]
UserUnits = Annotated[tuple[str, ...], _names("user_unit", _user_unit, "names of units")]
Slices = Annotated[tuple[str, ...], _names("slice", _slice, "names of slices")]
Containers = Annotated[tuple[str, ...], _names("container", _container, "names of containers")]
UnitTokens = Annotated[tuple[str, ...], _names("unit_token", _unit_token, "names of units")]
Executables = Annotated[tuple[str, ...], _names("executable", _executable, "paths of programs")]


#: The name of one group.
OneGroup = Annotated[str, text(_group)]
