r"""How is text written so that Terraform and CloudFormation read back just that?

Both take a double-quoted string with the same escapes, as long as everything beyond printable ASCII is written as
`\uXXXX` or `\UXXXXXXXX`. Terraform also looks for `${` and `%{`. Pure.
"""

import re
from collections.abc import Iterable
from itertools import groupby


def filled(template: str, **values: str) -> str:
    """A template with each `@NAME@` replaced, once: what a value holds is never taken for a place to fill."""
    return re.sub(r"@([A-Z]+)@", lambda place: values[place[1].lower()], template)


def quoted(text: str) -> str:
    """A double-quoted string of YAML."""
    return '"' + "".join(_character(character) for character in text) + '"'


def hcl_quoted(text: str) -> str:
    """A double-quoted string of HCL, in which nothing is a template."""
    return re.sub(r"[$%]+\{", _no_template, quoted(text))


def comment(text: str) -> str:
    """Text for a comment: one line, whatever it holds."""
    return quoted(text)[1:-1]


def identifier(text: str, taken: Iterable[str], *, allowed: str) -> str:
    """A name of letters, digits and what else is allowed, made from any text, and none of those taken.

    Where `allowed` has no underscore, parts are joined as in `BackupNightly`.
    """
    parts = [part for part in re.split(f"[^A-Za-z0-9{re.escape(allowed)}]+", text) if part]
    name = "_".join(parts) if "_" in allowed else "".join(part[0].upper() + part[1:] for part in parts)
    if not name or not name[0].isalpha():
        name = f"role_{name}" if "_" in allowed else f"Role{name}"
    known, candidate, number = set(taken), name, 2
    while candidate in known:
        candidate, number = f"{name}{number}", number + 1
    return candidate


def hcl(value: object, indent: int = 0) -> str:
    """JSON-like data as an HCL expression, laid out as `terraform fmt` would."""
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        pairs = [(hcl_quoted(name), hcl(item, indent + 2)) for name, item in value.items()]
        return "{\n" + "".join(f"{inner}{line}\n" for line in aligned(pairs)) + " " * indent + "}"
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return "[\n" + "".join(f"{inner}{hcl(item, indent + 2)},\n" for item in value) + " " * indent + "]"
    if isinstance(value, list):
        return "[" + ", ".join(hcl(item) for item in value) + "]"
    return hcl_quoted(str(value))


def aligned(pairs: Iterable[tuple[str, str]]) -> list[str]:
    """Assignments with their equals signs in line, as far as they stand on one line each."""
    lines: list[str] = []
    for is_long, run in groupby(pairs, lambda pair: "\n" in pair[1]):
        group = list(run)
        width = 0 if is_long else max(len(name) for name, _ in group)
        lines += [f"{name:{width}} = {value}" for name, value in group]
    return lines


def yaml(value: object, indent: int = 0) -> str:
    """JSON-like data as a block of YAML, to follow a key and a colon; every string is quoted."""
    margin = "\n" + " " * indent
    if isinstance(value, dict):
        return "".join(f"{margin}{quoted(name)}:{yaml(item, indent + 2)}" for name, item in value.items())
    if isinstance(value, list):
        return "".join(f"{margin}-{_item(item, indent + 2)}" for item in value)
    return " " + quoted(str(value))


def _item(value: object, indent: int) -> str:
    """What follows a dash: a mapping begins on the same line."""
    written = yaml(value, indent)
    return " " + written.lstrip() if isinstance(value, dict) else written


def _character(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if " " <= character <= "~":
        return character
    number = ord(character)
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"


def _no_template(found: re.Match[str]) -> str:
    """`$${` stands for `${`, but only where no other sign comes before; code points are never ambiguous."""
    signs = found[0][:-1]
    return "$${" if signs == "$" else "".join(_code_point(sign) for sign in signs) + "{"


def _code_point(character: str) -> str:
    return f"\\u{ord(character):04x}"
