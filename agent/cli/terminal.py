"""How do we talk to the person at the terminal? Results to stdout, everything else to stderr."""

import json
import os
import shutil
import sys
from types import TracebackType
from typing import Self, TextIO

from agent.errors import AgentError

_CODES = {"bold": "1", "dim": "2", "green": "32", "yellow": "33", "red": "31", "cyan": "36"}

#: Back to the start of the line, and clear it (ECMA-48).
_OVERWRITE = "\r\x1b[K"


def paint(text: str, style: str, stream: TextIO | None = None) -> str:
    """Colour `text`, if the stream (default stdout) is a terminal and NO_COLOR (no-color.org) does not forbid it."""
    stream = sys.stdout if stream is None else stream
    if not _is_screen(stream) or os.environ.get("NO_COLOR"):
        return text
    return f"\x1b[{_CODES[style]}m{text}\x1b[0m"


def say(text: str) -> None:
    """Tell the person something that is not a result."""
    print(text, file=sys.stderr, flush=True)


def warn(trouble: AgentError) -> None:
    """Tell the person of something that is wrong, but not so wrong that nothing can be done."""
    say(f"warning: {trouble.what}\nhint: {trouble.hint}")


def show_json(value: object) -> None:
    """Print a result for a program to read."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


class Progress:
    """One line on stderr that is written over, and gone when the waiting ends; nothing where that is no terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Show nothing yet."""
        self._stream = sys.stderr if stream is None else stream
        self._shown = False

    def show(self, text: str) -> None:
        """Put this in place of what stands there; cut to the width of the terminal, so that it stays one line."""
        if _is_screen(self._stream):
            width = shutil.get_terminal_size().columns - 1
            self._write(_OVERWRITE + " ".join(text.split())[:width])
            self._shown = True

    def clear(self) -> None:
        """Leave the line as if nothing had stood there."""
        if self._shown:
            self._write(_OVERWRITE)
            self._shown = False

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def __enter__(self) -> Self:
        """Begin to wait."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Have waited."""
        self.clear()


def _is_screen(stream: TextIO) -> bool:
    return stream.isatty() and os.environ.get("TERM") != "dumb"
