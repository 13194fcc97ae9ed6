"""Which file is the configuration, and what does TOML make of it?"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from agent.errors import ConfigurationError
from agent.settings.mistakes import suspicious

#: Where the configuration is looked for when nobody says where it is.
PLACES: Final = (Path("rolecall.toml"), Path("/etc/rolecall/rolecall.toml"))

_LARGEST = 1024 * 1024
_POSITION = re.compile(
    r"(?P<what>.*?) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
#: tomllib's findings that a person would word otherwise.
_WORDED: Final = (
    ("Cannot overwrite a value", "this name, or this table, already has a value above"),
    ("Cannot declare", "this table is begun a second time, or its name already has a value above; keep one"),
    ("Duplicate inline table key", "this name stands twice in one inline table"),
    ("Expected '=' after a key", "a name must be followed by = and a value"),
    ("Invalid value", "a value is expected here; text stands in quotes"),
    ("Invalid statement", "this is neither a [table] nor a line of the form name = value"),
    ("Unterminated string", "a text in quotes has no end"),
    ("Illegal character", "a character stands here that text on one line cannot have; is a quote missing?"),
    ("Unclosed array", "an array has no end; it needs a ]"),
    ("Unclosed inline table", "an inline table has no end; it needs a }"),
    ("Expected newline or end of document", "a line goes on after its value; does the value need quotes?"),
)


def find(explicit: Path | None, environ: Mapping[str, str]) -> Path:
    """Say which file is the configuration: the given one, $ROLECALL_CONFIG, or the first there is of PLACES.

    Raises ConfigurationError if nobody said and there is none.
    """
    if explicit is not None:
        return explicit
    if named := environ.get("ROLECALL_CONFIG"):
        return Path(named)
    for place in PLACES:
        if _may_be(place):
            return place
    raise ConfigurationError(
        f"there is no configuration: neither ./{PLACES[0]} nor {PLACES[1]} exists",
        hint="write one with: rolecall init; or name one with -c FILE or ROLECALL_CONFIG",
    )


def _may_be(place: Path) -> bool:
    try:
        return place.exists()
    except PermissionError:  # then reading it will say so, which helps more than "there is none"
        return True


def read_toml(path: Path) -> dict[str, object]:
    """Read a TOML file whole. Raises ConfigurationError."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except IsADirectoryError as error:
        raise ConfigurationError(
            f"{path} is a directory, not a configuration file", hint=f"name the file in it: -c {path}/rolecall.toml"
        ) from error
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"{path} does not exist", hint="write one with: rolecall init; or name another with -c FILE"
        ) from error
    except PermissionError as error:
        raise ConfigurationError(
            f"{path} may not be read by this user", hint="run this as the user of the agent, or as root"
        ) from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the path
        reason = getattr(error, "strerror", None) or "it is not the path of a file"
        raise ConfigurationError(f"{path} cannot be read: {reason}", hint="see to the file, or name another") from error
    if len(content) > _LARGEST:
        raise ConfigurationError(f"{path} is larger than 1 MiB", hint="is this the configuration?")
    return _parse(path, content)


def _parse(path: Path, content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode("utf-8").removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError(
            f"{path}, line {line}: there is a byte that is not UTF-8", hint="save the file as UTF-8"
        ) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}{_told(str(error))}", hint="TOML is explained at https://toml.io") from None
    except (ValueError, RecursionError):  # numbers of thousands of digits; arrays nested without end
        raise ConfigurationError(
            f"{path} is not TOML that can be read: a number is too long, or arrays or tables are nested too deeply",
            hint="is this the configuration?",
        ) from None


def _told(message: str) -> str:
    """Say where and what, in a person's words; tomllib's own may quote what stands there."""
    found = _POSITION.fullmatch(message)
    where = f", line {found['line']}, column {found['column']}" if found and found["line"] else ", at its end"
    what = found["what"] if found else message
    for beginning, words in _WORDED:
        if what.startswith(beginning):
            return f"{where}: {words}"
    return f"{where}: not TOML" + ("" if suspicious(what) or not what.isprintable() else f" ({what})")
