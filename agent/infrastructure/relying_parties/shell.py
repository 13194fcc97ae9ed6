"""How is a script of commands written, so that the shell passes on just what was meant?"""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

_BEGINNING: Final = "#!/bin/sh\n"


def script(heading: Sequence[str], lines: Sequence[str]) -> str:
    """A script: comments first, and it ends at the first command that fails."""
    comments = "".join(f"# {line}\n" if line else "#\n" for line in heading)
    return f"{_BEGINNING}{comments}set -eu\n\n" + "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True)
class Own:
    """A word that the shell is to replace `$NAME` in; its text is ours, and nobody else's."""

    text: str


#: One word of a command.
Word = str | Own


def words(*several: Word) -> str:
    """Words of a command, each passed on as it is."""
    return " ".join(f'"{word.text}"' if isinstance(word, Own) else shlex.quote(word) for word in several)


def command(*lines: Sequence[Word]) -> str:
    """A command over several lines."""
    return " \\\n    ".join(words(*line) for line in lines)


def json_option(value: Mapping[str, object]) -> str:
    """A JSON object as one word."""
    return json.dumps(dict(value), ensure_ascii=False)


def here(value: Mapping[str, object]) -> str:
    """A JSON object as a here-document, in which the shell replaces nothing but what is its own."""
    lines = []
    for name, one in value.items():
        written = f'"{one.text}"' if isinstance(one, Own) else _literal(json.dumps(one, ensure_ascii=False))
        lines.append(f'  "{name}": {written}')
    return "<<END\n{\n" + ",\n".join(lines) + "\n}\nEND"


def _literal(text: str) -> str:
    return text.replace("\\", "\\\\").replace("$", "\\$").replace("`", "\\`")
