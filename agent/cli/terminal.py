"""How do we talk to the person at the terminal? Results to stdout, everything else to stderr."""

import json
import os
import sys
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "cyan": "36"}


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour `text`, if the stream (default stdout) is a terminal and NO_COLOR (no-color.org) does not forbid it."""
    stream = sys.stdout if stream is None else stream
    if not stream.isatty() or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def say(text: str) -> None:
    """Tell the person something that is not a result."""
    print(text, file=sys.stderr, flush=True)


def show_json(value: object) -> None:
    """Print a result for a program to read."""
    print(json.dumps(value, indent=2, ensure_ascii=False))
