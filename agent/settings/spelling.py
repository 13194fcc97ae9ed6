"""How are durations, paths, templates and the like written?

Each is a type for the fields of sections: it takes what TOML gives, checks all of it itself and raises `Wrong`,
so that no library's message, which might quote a secret, ever reaches the operator.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, TypeVar, get_args

from pydantic import PlainValidator, ValidationInfo

from agent.settings.mistakes import Wrong, kind_of, nearest, shown, shown_word
from agent.settings.section import Surroundings

T = TypeVar("T")
#: Reads one text, against its surroundings. Raises Wrong.
Reader = Callable[[str, Surroundings], T]

_DURATION = re.compile(r"(?:([0-9]{1,4})d)?(?:([0-9]{1,5})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,7})s)?")
_TEMPLATE = re.compile(r"\$(?:\$|\{([^{}]*)\}|)")
_CREDENTIAL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,254}")
#: Where systemd keeps the credentials of our unit, as seen from outside it.
UNIT_CREDENTIALS: Final = "/run/credentials/rolecall.service"
#: Linux's PATH_MAX, less the final zero byte.
_LONGEST_PATH = 4095


def read_text(value: object, reader: Reader[T], surroundings: Surroundings) -> T:
    """Read a value that must be text. Raises Wrong."""
    if not isinstance(value, str):
        raise Wrong(f"must be text in quotes, not {kind_of(value)}")
    return reader(value, surroundings)


def text(reader: Reader[T]) -> PlainValidator:
    """Take text, and read it."""

    def check(value: object, info: ValidationInfo) -> T:
        return read_text(value, reader, Surroundings.of(info))

    return PlainValidator(check)


def array(reader: Reader[T], *, of: str, most: int | None = None, single: bool = False) -> PlainValidator:
    """Take an array of different texts, `of` being their name in the plural; with `single`, also one text alone."""

    def check(value: object, info: ValidationInfo) -> tuple[T, ...]:
        if single and isinstance(value, str):
            return (read_text(value, reader, Surroundings.of(info)),)
        read = read_array(value, reader, Surroundings.of(info), of)
        if most is not None and len(read) > most:
            raise Wrong(f"has {len(read)} {of}; AWS takes at most {most}")
        return read

    return PlainValidator(check)


def read_array(value: object, reader: Reader[T], surroundings: Surroundings, of: str) -> tuple[T, ...]:
    """Read an array of different texts. Raises Wrong."""
    if not isinstance(value, list):
        raise Wrong(f'must be an array of {of}, as in ["…", "…"], not {kind_of(value)}')
    read: dict[T, int] = {}
    parts: list[tuple[str, str]] = []
    for number, item in enumerate(value, start=1):
        try:
            one = read_text(item, reader, surroundings)
        except Wrong as wrong:
            parts += [(f"#{number}{suffix}", said) for suffix, said in wrong.parts]
        else:
            if one in read:
                parts.append((f"#{number}", f"says the same as #{read[one]}; once is enough"))
            read.setdefault(one, number)
    if parts:
        raise Wrong(parts=parts)
    return tuple(read)


def one_of(choice: object) -> PlainValidator:
    """Take one of the words of a Literal."""
    words: tuple[str, ...] = get_args(choice)

    def check(value: str, _: Surroundings) -> str:
        if value not in words:
            known = ", ".join(f'"{word}"' for word in words)
            raise Wrong(f"{shown(value)} is unknown{nearest(value, words)}; write one of {known}")
        return value

    return text(check)


def whole(least: int, most: int) -> PlainValidator:
    """Take a whole number within bounds."""

    def check(value: object) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Wrong(f"must be a whole number from {least} to {most}, without quotes")
        return value

    return PlainValidator(check)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise Wrong(f"must be true or false, without quotes, not {kind_of(value)}")
    return value


#: true or false, and nothing that might be taken for it.
Flag = Annotated[bool, PlainValidator(_flag)]


def parse_duration(value: str) -> timedelta:
    """Read "90s", "5m", "1h30m", "2d". Raises Wrong."""
    match = _DURATION.fullmatch(value)
    if not value or match is None:
        raise Wrong(f'{shown(value)} is not a duration; write it as in "90s", "5m", "1h30m" or "2d"')
    days, hours, minutes, seconds = (int(number or 0) for number in match.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)


def span(least: str, most: str) -> PlainValidator:
    """Take a duration within bounds, both included."""
    low, high = parse_duration(least), parse_duration(most)

    def check(value: object) -> timedelta:
        if isinstance(value, int | float) and not isinstance(value, bool):
            example = f"{value}s" if isinstance(value, int) and 0 <= value < 10**7 else "90s"
            raise Wrong(f'must be a duration with its unit, in quotes, as in "{example}"')
        if not isinstance(value, str):
            raise Wrong(f'must be a duration in quotes, as in "5m", not {kind_of(value)}')
        given = parse_duration(value)
        if not low <= given <= high:
            raise Wrong(f"{shown(value)} is out of bounds; it may be from {least} to {most}")
        return given

    return PlainValidator(check)


def expand(template: str, surroundings: Surroundings) -> str:
    """Fill in ${HOST} and the like; "$$" is one dollar sign. Raises Wrong."""
    known = " and ".join(f"${{{name}}}" for name in surroundings.names)

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = match[1]
        if name is None:
            raise Wrong(f"has a lone dollar sign; write $$ for a dollar sign, and {known} to have a value put in")
        if name not in surroundings.names:
            raise Wrong(f"${{{shown_word(name)}}} is unknown here; write {known}")
        return surroundings.names[name]

    return _TEMPLATE.sub(value, template)


def file_path(value: str, surroundings: Surroundings) -> Path:
    """Read a path; a relative one starts at the directory of the configuration file. Raises Wrong."""
    _check_path(value)
    if value.startswith("credential:"):
        raise Wrong("is no secret, so no systemd credential stands here; write the path of the file or directory")
    return surroundings.directory / value


def _secret_path(value: str, surroundings: Surroundings) -> Path:
    """Never quotes the value: whoever is wrong here may well have written the secret itself."""
    if value.startswith("credential:"):
        if not _CREDENTIAL.fullmatch(value.removeprefix("credential:")):
            raise Wrong('a systemd credential is written "credential:NAME", NAME being letters, digits and _.@-')
        if surroundings.credentials is None:
            raise Wrong(
                "names a systemd credential, but CREDENTIALS_DIRECTORY is not set: only systemd sets it, for a unit "
                f"with LoadCredential=; by hand, set it to {UNIT_CREDENTIALS}"
            )
        return surroundings.credentials / value.removeprefix("credential:")
    if not value.startswith("/"):
        raise Wrong(
            'must be the absolute path of a file, as in "/etc/rolecall/secret", or a systemd credential, '
            'as in "credential:NAME"; a secret itself never stands here'
        )
    _check_path(value)
    return Path(value)


def _check_path(value: str) -> None:
    if not value.strip():
        raise Wrong("is empty; write a path")
    if not value.isprintable() or len(value.encode()) > _LONGEST_PATH:
        raise Wrong("is not a path: it is too long, or holds line breaks or other unprintable characters")


#: A path; a relative one starts at the directory of the configuration file.
FilePath = Annotated[Path, text(file_path)]
#: The absolute path of a file with a secret in it, or "credential:NAME" for a systemd credential.
SecretPath = Annotated[Path, text(_secret_path)]
#: One or several of those.
SecretPaths = Annotated[tuple[Path, ...], array(_secret_path, of="paths", single=True)]
