"""How is one profile of a shared credentials file changed, and every byte of all others left alone? Pure.

The file is read as botocore reads it, which is Python's configparser without a default section. Only the lines of
our own entries in our own profile are ever replaced; the result is read again before anybody may write it.
"""

import configparser
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

#: What may be written: a superset of what STS gives, and nothing that a parser could take for something else.
_VALUE: Final = re.compile(r"[!-~]+")

#: The entries that are ours in our profile, and one more that would count before them: botocore, for one, prefers what
#: the session token was called before 2014.
OURS: Final = (
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "aws_account_id",
    "x_security_token_expires",
    "aws_security_token",
)

#: For people who open the file. One of our lines, so it comes and goes with them.
_MARK: Final = b"# rolecall keeps these entries fresh"

_HEADER: Final = re.compile(rb"\[(.+)\]")

Sections = dict[str, dict[str, str | None]]


class Unclear(Exception):
    """The file cannot be changed without a doubt; the argument completes "it …", and quotes nothing of the file."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One line: the profile that it is in, and whether it begins one; the entry that it is a part of, if any."""

    raw: bytes = field(repr=False)  # it may be half a secret
    section: bytes | None = field(repr=False)
    option: str
    header: bool


def with_entries(content: bytes, profile: str, entries: Mapping[str, str]) -> bytes:
    """The file with these as our entries of our profile; with none, they are gone, and so is a profile left empty.

    Raises Unclear, and ValueError for a value that cannot be written.
    """
    if not all(_VALUE.fullmatch(value) for value in entries.values()):
        raise ValueError("an entry of a profile must be visible ASCII without blanks")
    lines = list(_lines(content))
    name = profile.encode("ascii")
    headers = [line for line in lines if line.header and line.section is not None and line.section.strip() == name]
    if len(headers) > 1 or any(line.section != name for line in headers):
        raise Unclear(f"has more than one profile {profile}, or spells it in another way")
    end = b"\r\n" if content.partition(b"\n")[0].endswith(b"\r") else b"\n"
    written = b"".join(f"{key} = {value}".encode("ascii") + end for key, value in entries.items())
    if not headers:
        result = _ended(content, end) + b"[" + name + b"]" + end + _MARK + end + written if written else content
    else:
        others = any(line.section == name and line.option and line.option not in OURS for line in lines)
        kept: list[bytes] = []
        for line in lines:
            if line.section == name and line.header:
                kept.append(_ended(line.raw, end) + _MARK + end + written if written else line.raw if others else b"")
            elif line.section != name or not (line.option in OURS or line.raw.strip() == _MARK):
                kept.append(line.raw)
        result = b"".join(kept)  # not piece by piece: that takes minutes for a megabyte of line ends
    _check(content, result, profile, entries)
    return result


def entries_of(content: bytes, profile: str) -> Mapping[str, str]:
    """Our entries of our profile, as they stand. Raises Unclear."""
    found = _read(content).get(profile, {})
    return {key: value or "" for key, value in found.items() if key in OURS}


def holds_others(content: bytes, profile: str) -> bool:
    """Whether anything in the file is not ours. Raises Unclear."""
    return bool(with_entries(content, profile, {}).strip())


def _lines(content: bytes) -> Iterator[_Line]:
    """Every line, as configparser takes it (its `_read`): a line that is indented further goes on with an entry."""
    section: bytes | None = None
    option, indent = "", 0
    for raw in content.splitlines(keepends=True):
        text = raw.strip()
        if not text or text.startswith((b"#", b";")):
            yield _Line(raw, section, "", header=False)
            continue
        deeper = len(raw) - len(raw.lstrip())
        if section is not None and option and deeper > indent:
            yield _Line(raw, section, option, header=False)
            continue
        indent = deeper
        header = _HEADER.match(text)
        if header is not None:
            section, option = header[1], ""
        else:
            option = re.split(rb"[=:]", text, maxsplit=1)[0].strip().lower().decode("ascii", "replace")
        yield _Line(raw, section, option, header=header is not None)


def _ended(content: bytes, end: bytes) -> bytes:
    return content if not content or content.endswith((b"\n", b"\r")) else content + end


def _read(content: bytes) -> Sections:
    """What a reader of the file sees; tolerant of what does not hinder us. Raises Unclear."""
    # A default section called "" is none: the name in a header is at least one letter long.
    parser = configparser.RawConfigParser(default_section="", strict=False, allow_no_value=True)
    text = content.decode("utf-8", "surrogateescape")
    try:
        parser.read_file(line + "\n" for line in re.split("\r\n|\r|\n", text))
    except (configparser.Error, AttributeError):
        # Not chained: the message quotes lines, which may be secrets. AttributeError is what Python before 3.13 makes
        # of an entry without a value that goes on.
        raise Unclear("has something before its first profile, or a line that is none") from None
    return {name: dict(parser.items(name)) for name in parser.sections()}


def _check(before: bytes, after: bytes, profile: str, entries: Mapping[str, str]) -> None:
    """See with a reader's eyes that we have changed what we wanted to, and nothing else. Raises Unclear."""
    was, now = _read(before), _read(after)
    mine, ours = was.pop(profile, {}), now.pop(profile, {})
    expected = {key: value for key, value in mine.items() if key not in OURS} | dict(entries)
    if was != now or ours != expected:
        raise Unclear("has lines that readers do not agree about")
